//! PARTNER_API, section 1.5: check-in codes of stores as a PDF.

use serde_json::{Value, json};

use crate::client::Answer;
use crate::rig::{Rig, merchant};

const PATH: &str = "/merchant/v1.0/merchants/checkin-qrcode";

async fn rig() -> Rig {
    let rig = Rig::start().await;
    for number in 1..=3 {
        rig.peers.merchants.put(merchant(number), &format!("Pão & Cia {number}"));
    }
    rig
}

async fn ask(rig: &Rig, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let pos = rig.as_application("pos").await;
    let headers = [headers, &[("accept", "application/pdf"), ("content-type", "application/json")]].concat();
    pos.send("POST", PATH, &headers, body.to_string()).await
}

#[tokio::test]
async fn every_store_has_a_page_in_the_order_they_were_named() {
    let rig = rig().await;
    let ids = [merchant(2), merchant(1), merchant(2)].map(|id| id.to_string());
    let answer = ask(&rig, &json!({ "merchantIds": ids, "more": 1 }), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()), (200, "application/pdf"));
    assert_eq!(answer.headers["content-language"], "pt-BR");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.starts_with("%PDF-"), "{text}");
    assert!(text.contains("/Count 2"), "a store named twice has one page");
    let (second, first) = (text.find(&ids[0]).unwrap(), text.find(&ids[1]).unwrap());
    assert!(second < first, "in the order they were named");
}

#[tokio::test]
async fn it_speaks_the_owners_language() {
    let rig = rig().await;
    let body = json!({ "merchantIds": [merchant(1).to_string()] });
    for (sent, tag, title) in
        [("", "pt-BR", "Check-in de entregadores"), ("en-US", "en", "Courier check-in"), ("es", "es", "repartidores")]
    {
        let answer = ask(&rig, &body, &[("accept-language", sent)]).await;
        assert_eq!(answer.headers["content-language"], tag);
        assert!(String::from_utf8_lossy(&answer.body).contains(title), "{tag}");
    }
}

#[tokio::test]
async fn a_foreign_store_and_an_unknown_one_refuse_all_of_it_and_are_named() {
    let rig = rig().await;
    for other in [merchant(3), merchant(9)] {
        let body = json!({ "merchantIds": [merchant(1).to_string(), other.to_string()] });
        let answer = ask(&rig, &body, &[]).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["unauthorizedMerchants"], json!([other.to_string()]));
    }
    assert_eq!(rig.client.post(PATH, "{}").await.status, 401);
}

#[tokio::test]
async fn what_is_no_list_of_up_to_20_stores_is_400_and_names_the_field() {
    let rig = rig().await;
    let own = merchant(1).to_string();
    for wrong in [
        json!({}),
        json!({ "merchantIds": [] }),
        json!({ "merchantIds": own }),
        json!({ "merchantIds": ["x"] }),
        json!({ "merchantIds": [1] }),
        json!({ "merchantIds": [null] }),
        json!({ "merchantIds": vec![&own; 21] }),
    ] {
        let answer = ask(&rig, &wrong, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["field"].as_str()),
            (400, Some("merchantIds")),
            "{wrong}"
        );
    }
    assert_eq!(ask(&rig, &json!({ "merchantIds": vec![&own; 20] }), &[]).await.status, 200);
    let pos = rig.as_application("pos").await;
    assert_eq!(pos.post(PATH, "[1").await.status, 400);
}

#[tokio::test]
async fn while_merchants_cannot_be_asked_it_is_503() {
    let rig = rig().await;
    rig.peers.merchants.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = ask(&rig, &json!({ "merchantIds": [merchant(1).to_string()] }), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}
