//! The page on which a merchant's owner authorises an application: what it shows, what it never shows, who may try how often.

use crate::client::Answer;
use crate::rate_limits::limit_named_by;
use crate::rig::merchant;
use crate::sign_in::SignIn;

fn html(answer: &Answer) -> String {
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_is_portuguese_unless_asked_otherwise_and_fills_in_the_code() {
    let flow = SignIn::start().await;
    let client = &flow.instances[0];
    let page = client.get("/activate?c=BCDF-GHJK").await;
    let text = html(&page);
    assert_eq!(page.status, 200);
    assert!(text.contains("<html lang=\"pt-BR\">") && text.contains("Chave do portal"), "{text}");
    assert!(text.contains("value=\"BCDF-GHJK\"") && text.contains("<form method=\"post\">"), "{text}");
    for (language, word) in [("en", "Portal key"), ("es-AR", "Clave del portal"), ("fr", "Chave do portal")] {
        let text = html(&client.send("GET", "/activate", &[("accept-language", language)], "").await);
        assert!(text.contains(word), "{language}: {text}");
    }
}

#[tokio::test]
async fn nothing_from_elsewhere_runs_in_it_and_nobody_frames_or_keeps_it() {
    let flow = SignIn::start().await;
    let nasty = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    let shown = flow.instances[0].get(&format!("/activate?c={nasty}")).await;
    let refused = flow.activate(0, "192.0.2.1", nasty, "cpk-secret").await;
    for answer in [&shown, &refused] {
        let text = html(answer);
        assert!(!text.contains("<script") && text.contains("&quot;&gt;&lt;script&gt;"), "{text}");
        assert!(!text.contains("cpk-secret"), "a key is never shown again");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.headers[name], value);
        }
    }
}

#[tokio::test]
async fn the_application_is_named_and_its_name_is_only_text() {
    let flow = SignIn::start().await;
    let key = flow.portal_key(merchant(1)).await;
    let opened = flow.open(0).await;
    let answer = flow.activate(0, "192.0.2.1", &opened.user_code, &key).await;
    assert!(html(&answer).contains("<strong>PDV &amp; Cia</strong>"));
    assert!(!html(&answer).contains(&key) && !html(&answer).contains(&opened.verifier));
    let again = flow.activate(0, "192.0.2.1", &opened.user_code, &key).await;
    assert_eq!(again.status, 403, "a user code is approved once");
}

#[tokio::test]
async fn a_wrong_code_and_a_wrong_key_answer_identically() {
    let flow = SignIn::start().await;
    let key = flow.portal_key(merchant(1)).await;
    let other = flow.portal_key(merchant(2)).await;
    let opened = flow.open(0).await;
    let wrong_key = format!("{}{}", &key[..key.len() - 8], "AAAAAAAA");
    let no_key_at_all = format!("cpk-{}", "A".repeat(64));
    let refused = flow.activate(0, "192.0.2.1", &opened.user_code, &wrong_key).await;
    assert_eq!(refused.status, 403);
    for key in ["nonsense", &no_key_at_all, &key[4..]] {
        let answer = flow.activate(1, "192.0.2.1", &opened.user_code, key).await;
        assert_eq!((answer.status, &answer.body), (refused.status, &refused.body), "{key}");
    }
    let code_shown = |answer: &Answer, code: &str| html(answer).replace(code, "");
    let unknown = if opened.user_code == "BCDF-GHJK" { "BCDF-GHJL" } else { "BCDF-GHJK" };
    let answer = flow.activate(0, "192.0.2.1", unknown, &key).await;
    assert_eq!(answer.status, 403);
    assert_eq!(code_shown(&answer, unknown), code_shown(&refused, &opened.user_code));
    for (code, key) in [("", key.as_str()), (opened.user_code.as_str(), ""), ("", "")] {
        assert_eq!(flow.activate(0, "192.0.2.1", code, key).await.status, 400);
    }
    let replaced = flow.portal_key(merchant(1)).await;
    assert_eq!(flow.activate(0, "192.0.2.1", &opened.user_code, &key).await.status, 403, "the old key has ended");
    assert_eq!(flow.activate(0, "192.0.2.1", &opened.user_code, &replaced).await.status, 200);
    let opened = flow.open(1).await;
    assert_eq!(flow.activate(1, "192.0.2.1", &opened.user_code, &other).await.status, 200);
}

#[tokio::test]
async fn guesses_from_one_address_are_locked_out() {
    let flow = SignIn::start().await;
    let key = flow.portal_key(merchant(1)).await;
    let opened = flow.open(0).await;
    for number in 0..10 {
        let guess = format!("BCDF-GH{}", ["BB", "CC", "DD", "FF", "GG", "HH", "JJ", "KK", "LL", "MM"][number]);
        assert_eq!(flow.activate(0, "192.0.2.1", &guess, &key).await.status, 403);
    }
    let locked = flow.activate(0, "192.0.2.1", &opened.user_code, &key).await;
    assert_eq!(locked.status, 429);
    assert!(locked.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 60);
    assert_eq!(limit_named_by(&locked), 10, "so many may be wrong");
    assert!(html(&locked).contains("Muitas tentativas"));
    assert_eq!(flow.activate(0, "192.0.2.2", &opened.user_code, &key).await.status, 200, "others are not");
}

#[tokio::test]
async fn many_guesses_at_once_are_counted() {
    let flow = SignIn::start().await;
    let opened = flow.open(0).await;
    let guesses = (0..40).map(|_| flow.activate(0, "192.0.2.1", &opened.user_code, "cpk-guess"));
    let answers = futures::future::join_all(guesses).await;
    let tried = answers.iter().filter(|answer| answer.status == 403).count();
    assert_eq!(tried, 10, "{answers:?}");
}

#[tokio::test]
async fn keys_tried_with_one_code_or_for_one_merchant_are_bounded_over_all_addresses_and_instances() {
    let flow = SignIn::start().await;
    let key = flow.portal_key(merchant(1)).await;
    let wrong = format!("{}{}", &key[..key.len() - 8], "AAAAAAAA");
    let mut opened = flow.open(0).await;
    for number in 0..30 {
        if number % 10 == 0 {
            opened = flow.open(0).await;
        }
        let address = format!("192.0.2.{number}");
        assert_eq!(flow.activate(number % 2, &address, &opened.user_code, &wrong).await.status, 403, "{number}");
        if number == 9 {
            let other = flow.portal_key(merchant(2)).await;
            let spent = flow.activate(0, "198.51.100.1", &opened.user_code, &other).await;
            assert_eq!(spent.status, 429, "ten keys were tried with this code");
        }
    }
    let fresh = flow.open(0).await;
    let locked = flow.activate(1, "198.51.100.2", &fresh.user_code, &key).await;
    assert_eq!((locked.status.as_u16(), &locked.headers["retry-after"]), (429, &http::HeaderValue::from_static("600")));
    let other = flow.portal_key(merchant(2)).await;
    assert_eq!(flow.activate(1, "198.51.100.2", &fresh.user_code, &other).await.status, 200, "others are not");
}
