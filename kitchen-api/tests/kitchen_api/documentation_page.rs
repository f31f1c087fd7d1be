//! `/docs`: the documents as a page that needs nothing from elsewhere.

use crate::rig::Rig;

/// What stands between `before` and the next quotation mark, wherever it stands.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
}

#[tokio::test]
async fn the_page_and_everything_it_names_is_served_by_us_alone() {
    let rig = Rig::start().await;
    let page = rig.client.get("/docs").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let html = std::str::from_utf8(&page.body).unwrap();
    let scripts: Vec<&str> = quoted(html, "<script src=\"").collect();
    let styles: Vec<&str> = quoted(html, "<link rel=\"stylesheet\" href=\"").collect();
    assert_eq!((scripts.len(), styles.len()), (2, 2));
    for (names, content_type) in [(&scripts, "text/javascript; charset=utf-8"), (&styles, "text/css; charset=utf-8")] {
        for name in names {
            let file = rig.client.get(name).await;
            assert_eq!(
                (file.status.as_u16(), file.headers["content-type"].to_str().unwrap()),
                (200, content_type),
                "{name}"
            );
            assert_eq!(file.headers["x-content-type-options"], "nosniff");
            let is_gzip = file.body.starts_with(&[0x1f, 0x8b]);
            assert_eq!(file.headers.get("content-encoding").is_some_and(|value| value == "gzip"), is_gzip, "{name}");
            assert!(is_gzip || !String::from_utf8_lossy(&file.body).contains("//unpkg"), "{name}");
        }
    }
    let documents: Vec<&str> = quoted(html, "data-document=\"").collect();
    assert_eq!(documents.len(), 3, "one for each dialect and one of our own");
    for document in documents {
        assert_eq!(rig.client.get(document).await.json()["openapi"], "3.1.0", "{document}");
    }
    assert!(!html.contains("://"), "nothing from elsewhere");
}

#[tokio::test]
async fn its_policy_lets_a_browser_load_nothing_from_elsewhere() {
    let rig = Rig::start().await;
    for path in ["/docs", "/docs/page.js"] {
        let answer = rig.client.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for elsewhere in ["unsafe", "http:", "https:", "*", "blob:"] {
            assert!(!policy.contains(elsewhere), "{policy}");
        }
    }
    let html = rig.client.get("/docs").await.body;
    let html = std::str::from_utf8(&html).unwrap();
    for inline in ["<style", "style=", "onclick", "<script>"] {
        assert!(!html.contains(inline), "{inline} would not run");
    }
}

#[tokio::test]
async fn a_file_that_there_is_not_is_404() {
    let rig = Rig::start().await;
    for path in ["/docs/swagger-ui.js", "/docs/..%2fCargo.toml", "/docs/page.html"] {
        let answer = rig.client.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "NotFound"), "{path}");
    }
}
