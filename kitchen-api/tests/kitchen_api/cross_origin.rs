//! CORS is off: no page of another origin may read an answer of ours, whatever it asks.

use crate::client::Answer;
use crate::rig::{Rig, merchant};

const DOCUMENTS: [&str; 3] = ["/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"];
const ORIGIN: (&str, &str) = ("origin", "https://elsewhere.example.com");

fn allowances(answer: &Answer) -> Vec<String> {
    let names = answer.headers.keys().map(ToString::to_string);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn no_answer_allows_another_origin_and_a_preflight_is_refused() {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    let pos = rig.as_application("pos").await;
    let mut preflights = 0;
    for path in DOCUMENTS {
        let document = rig.client.get(path).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            let filled = path.split('/').map(|segment| if segment.starts_with('{') { "none" } else { segment });
            let filled = filled.collect::<Vec<_>>().join("/");
            let methods = item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object());
            for method in methods.map(|(method, _)| method.to_uppercase()) {
                let asks = [ORIGIN, ("access-control-request-method", method.as_str())];
                let preflight = rig.client.send("OPTIONS", &filled, &asks, "").await;
                assert_eq!((preflight.status.as_u16(), allowances(&preflight)), (405, Vec::new()), "{path}");
                let answer = rig.client.send(&method, &filled, &[ORIGIN], "").await;
                assert_eq!(allowances(&answer), [""; 0], "{method} {path}: {}", answer.status);
                preflights += 1;
            }
        }
    }
    assert!(preflights > 100, "{preflights}");
    for path in ["/events/v1.0/events:polling", "/merchant/v1.0/merchants", "/openapi.json", "/docs"] {
        let answer = pos.send("GET", path, &[ORIGIN], "").await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(allowances(&answer), [""; 0], "{path}");
    }
}
