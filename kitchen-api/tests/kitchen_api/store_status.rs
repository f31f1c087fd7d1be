//! PARTNER_API, section 1.5: opening hours, interruptions and presence make the status. It is Monday 2033-03-21, 06:40 UTC
//! and 03:40 in São Paulo.

use std::sync::atomic::Ordering;
use std::time::Duration;

use order_model::Clock;
use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Rig, merchant};

/// One store that is connected and open around the clock.
async fn rig() -> (Rig, Client) {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    rig.peers.merchants.change(merchant(1), |merchant| merchant.time_zone = "America/Sao_Paulo".to_owned());
    rig.peers.merchants.online.lock().insert(merchant(1));
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn path(tail: &str) -> String {
    format!("/merchant/v1.0/merchants/{}{tail}", merchant(1))
}

/// The status of delivery, the same from both endpoints.
async fn status(client: &Client) -> Value {
    let one = client.get(&path("/status/delivery")).await.json();
    let all = client.get(&path("/status")).await.json();
    assert_eq!(all[0], one);
    for status in all.as_array().unwrap() {
        let same = |field: &str| assert_eq!(status[field], one[field]);
        ["available", "state", "validations", "message", "salesChannel"].into_iter().for_each(same);
    }
    one
}

fn brief(status: &Value) -> (&str, bool, &str, Vec<(&str, &str, &str)>) {
    fn text<'a>(value: &'a Value, field: &str) -> &'a str {
        value[field].as_str().unwrap()
    }
    let validations = status["validations"].as_array().unwrap().iter();
    let validations = validations.map(|one| (text(one, "id"), text(one, "code"), text(one, "state"))).collect();
    let available = status["available"].as_bool().unwrap();
    (text(status, "state"), available, text(&status["message"], "subtitle"), validations)
}

const CONNECTED: (&str, &str, &str) = ("is-connected", "is.connected.config", "OK");
const NOT_CONNECTED: (&str, &str, &str) = ("is-connected", "is.connected.config", "ERROR");
const DURING: (&str, &str, &str) = ("opening-hours", "during.opening-hours.config", "OK");
const OUTSIDE: (&str, &str, &str) = ("opening-hours", "outside.opening-hours.config", "CLOSED");
const NO_PAUSE: (&str, &str, &str) = ("unavailabilities", "unavailabilities.config", "OK");
/// What a store with a problem is told beside, always in this order.
const BESIDE: [(&str, &str, &str); 6] = [
    NO_PAUSE,
    ("radius-restriction", "radius-restriction.config", "OK"),
    ("payout-blocked", "payout-blocked.config", "OK"),
    ("logistics-blocked", "logistics-blocked.config", "OK"),
    ("terms-service-violation", "terms-service-violation.config", "OK"),
    ("status-availability", "status-availability.config", "OK"),
];
const PAUSE: (&str, &str, &str) = ("unavailabilities", "unavailabilities.config", "CLOSED");

#[tokio::test]
async fn within_its_hours_a_store_is_open_when_it_is_connected_and_else_closed_by_mistake() {
    let (rig, pos) = rig().await;
    let open = status(&pos).await;
    assert_eq!(brief(&open), ("OK", true, "Dentro do horário programado", vec![CONNECTED, DURING]));
    rig.peers.merchants.online.lock().clear();
    let lost = status(&pos).await;
    let validations = [&[NOT_CONNECTED, DURING][..], &BESIDE].concat();
    assert_eq!(brief(&lost), ("ERROR", false, "Sem conexão com a plataforma", validations));
}

#[tokio::test]
async fn outside_its_hours_a_store_is_closed_as_expected() {
    let (rig, pos) = rig().await;
    let until = async |minutes: u32| {
        // Sunday 22:00, over midnight; it is Monday 03:40 there.
        let shifts = json!({ "shifts": [{ "dayOfWeek": "SUNDAY", "start": "22:00:00", "duration": minutes }] });
        assert_eq!(pos.send("PUT", &path("/opening-hours"), &[], shifts.to_string()).await.status, 201);
        status(&pos).await
    };
    let open = until(5 * 60 + 42).await;
    assert_eq!(brief(&open), ("OK", true, "Dentro do horário programado", vec![CONNECTED, DURING]));
    let closed = until(5 * 60 + 40).await;
    assert_eq!(brief(&closed), ("CLOSED", false, "Fora do horário de funcionamento", vec![CONNECTED, OUTSIDE]));
    rig.peers.merchants.online.lock().clear();
    let closed = status(&pos).await;
    assert_eq!(brief(&closed), ("CLOSED", false, "Fora do horário de funcionamento", vec![NOT_CONNECTED, OUTSIDE]));
}

#[tokio::test]
async fn an_interruption_closes_a_store_while_it_lasts() {
    let (rig, pos) = rig().await;
    let pause = json!({ "description": "Falta de gás", "start": "2033-03-21T03:50:00", "end": "2033-03-21T04:00:00" });
    let added = pos.post(&path("/interruptions"), pause.to_string()).await;
    assert_eq!(added.status, 201);
    assert_eq!(status(&pos).await["state"], "OK", "it has not begun");
    rig.clock.jump(Duration::from_secs(600));
    let paused = status(&pos).await;
    assert_eq!(brief(&paused), ("CLOSED", false, "Pausa programada", vec![CONNECTED, DURING, PAUSE]));
    rig.peers.merchants.online.lock().clear();
    let paused = status(&pos).await;
    assert_eq!(brief(&paused), ("CLOSED", false, "Pausa programada", vec![NOT_CONNECTED, DURING, PAUSE]));
    rig.peers.merchants.online.lock().insert(merchant(1));
    rig.clock.jump(Duration::from_secs(600));
    assert_eq!(status(&pos).await["state"], "OK", "it is over");
    rig.clock.jump(Duration::from_secs(60));
    let pause = json!({ "start": "2033-03-21T04:00:00", "end": "2033-03-22T04:00:00" });
    let id = pos.post(&path("/interruptions"), pause.to_string()).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(status(&pos).await["state"], "CLOSED");
    assert_eq!(pos.send("DELETE", &path(&format!("/interruptions/{id}")), &[], "").await.status, 204);
    assert_eq!(status(&pos).await["state"], "OK", "taken back while it lasted");
}

#[tokio::test]
async fn a_store_not_heard_of_for_more_than_a_minute_is_open_with_a_problem() {
    let (rig, pos) = rig().await;
    let heard = |silence_ms: i64| {
        let at_ms = rig.clock.now().unix_ms() - silence_ms;
        rig.peers.merchants.last_heartbeat_at_ms.store(at_ms, Ordering::SeqCst);
    };
    heard(30_000);
    assert_eq!(status(&pos).await["state"], "OK");
    heard(61_000);
    let late = status(&pos).await;
    let is_connected = ("is-connected", "is.connected.config", "WARNING");
    let validations = [&[is_connected, DURING][..], &BESIDE].concat();
    assert_eq!(brief(&late), ("WARNING", true, "Conexão instável com a plataforma", validations));
}

#[tokio::test]
async fn messages_are_portuguese_by_default_and_codes_are_the_same_in_every_language() {
    let (_rig, pos) = rig().await;
    let default = status(&pos).await;
    for (language, title) in
        [("pt-BR", "Loja aberta"), ("en-GB, pt;q=0.5", "Store open"), ("es", "Tienda abierta"), ("ja", "Loja aberta")]
    {
        for tail in ["/status", "/status/delivery"] {
            let answer = pos.send("GET", &path(tail), &[("accept-language", language)], "").await.json();
            let status = if tail == "/status" { &answer[0] } else { &answer };
            assert_eq!(status["message"]["title"], title, "{language}");
            let codes = |status: &Value| {
                status["validations"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect::<Vec<_>>()
            };
            assert_eq!((codes(status), &status["state"]), (codes(&default), &default["state"]));
        }
    }
}

/// The object as it is published: every field, each operation in lower case, however the path writes it.
#[tokio::test]
async fn the_status_of_an_operation_is_the_published_object_and_its_name_is_in_lower_case() {
    let (_rig, pos) = rig().await;
    let message = |title: &str, subtitle: &str, priority: u32| json!({ "title": title, "subtitle": subtitle, "description": "", "priority": priority });
    for operation in ["delivery", "takeout", "indoor"] {
        let expected = json!({
            "operation": operation,
            "salesChannel": "ifood-app",
            "available": true,
            "state": "OK",
            "reopenable": { "identifier": null, "type": null, "reopenable": false },
            "validations": [
                { "id": "is-connected", "code": "is.connected.config", "state": "OK",
                  "message": message("Loja conectada", "A loja está recebendo pedidos", 1) },
                { "id": "opening-hours", "code": "during.opening-hours.config", "state": "OK",
                  "message": message("Dentro do horário de funcionamento", "", 2) },
            ],
            "message": message("Loja aberta", "Dentro do horário programado", 0),
        });
        let capitalised = format!("{}{}", operation[..1].to_ascii_uppercase(), &operation[1..]);
        for named in [operation.to_owned(), operation.to_ascii_uppercase(), capitalised] {
            assert_eq!(pos.get(&path(&format!("/status/{named}"))).await.json(), expected, "{named}");
        }
    }
    let unknown = pos.get(&path("/status/drive-thru")).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "NotFound"));
}

#[tokio::test]
async fn what_no_store_is_restricted_by_is_said_in_each_language() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.online.lock().clear();
    let titles = async |language: &str| {
        let answer = pos.send("GET", &path("/status/delivery"), &[("accept-language", language)], "").await.json();
        let all = answer["validations"].as_array().unwrap()[2..].iter();
        all.map(|one| one["message"]["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let portuguese = [
        "Sem pausa em andamento",
        "Área de entrega sem restrição",
        "Repasses sem bloqueio",
        "Logística sem bloqueio",
        "Termos de serviço respeitados",
        "Loja ativa",
    ];
    assert_eq!(titles("pt").await, portuguese);
    let english = [
        "No pause in progress",
        "Delivery area not restricted",
        "Payouts not blocked",
        "Logistics not blocked",
        "Terms of service respected",
        "Store active",
    ];
    assert_eq!(titles("en").await, english);
    let spanish = [
        "Sin pausa en curso",
        "Área de entrega sin restricción",
        "Pagos sin bloqueo",
        "Logística sin bloqueo",
        "Términos de servicio respetados",
        "Tienda activa",
    ];
    assert_eq!(titles("es").await, spanish);
}

/// A store that has closed itself is told what opens it again, and that does.
#[tokio::test]
async fn a_paused_store_can_be_reopened_by_taking_back_the_interruption_that_is_named() {
    let (rig, pos) = rig().await;
    let pause = json!({ "id": "gas", "start": "2033-03-21T03:00:00", "end": "2033-03-21T05:00:00" });
    assert_eq!(pos.post(&path("/interruptions"), pause.to_string()).await.status, 201);
    let nothing = json!({ "identifier": null, "type": null, "reopenable": false });
    let paused = status(&pos).await;
    assert_eq!(paused["reopenable"], json!({ "identifier": "gas", "type": "INTERRUPTION", "reopenable": true }));
    let document = pos.get("/openapi.json").await.json();
    let schema = json!({ "$ref": "#/components/schemas/MerchantStatus" });
    assert_eq!(crate::documentation::differences(&document, &schema, &paused, "status"), [""; 0]);
    rig.peers.merchants.online.lock().clear();
    assert_eq!(status(&pos).await["reopenable"], nothing, "it would not be open: nobody there asks for orders");
    rig.peers.merchants.online.lock().insert(merchant(1));
    assert_eq!(pos.send("DELETE", &path("/interruptions/gas"), &[], "").await.status, 204);
    let open = status(&pos).await;
    assert_eq!((&open["state"], &open["reopenable"]), (&json!("OK"), &nothing));
}
