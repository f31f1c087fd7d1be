//! Webhooks with the real binary: an operator sets a receiver, events are pushed to it signed, and what fails can be sent again.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::platform::{Dev, eventually, run};
use crate::webhook_receiver::{Received, Receiver};

const MERCHANT: &str = "00000000-0000-4000-8000-000000000001";
const APPLICATION: &str = "dev-pos";
const SECRET: &str = "dev-pos-secret";
const LIMIT: Duration = Duration::from_secs(20);

impl Received {
    /// Whether it is signed with `secret`, as its receiver would check it.
    fn is_signed_with(&self, secret: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hex::decode(self.header("x-ifood-signature"));
        signature.is_ok_and(|signature| hmac::verify(&key, &self.body, &signature).is_ok())
    }
}

impl Receiver {
    /// The pushes that say this, once there are so many.
    async fn got(&self, what: &str, count: usize, is_it: impl Fn(&Value) -> bool) -> Vec<Received> {
        eventually(what, LIMIT, async || {
            let found: Vec<Received> = self.all().into_iter().filter(|push| is_it(&push.json())).collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }

    /// The only push of this event of an order.
    async fn event(&self, order: &str, code: &str) -> Received {
        let is_it = |event: &Value| event["orderId"] == order && event["code"] == code;
        self.got(&format!("{code} of {order} is pushed"), 1, is_it).await.remove(0)
    }
}

/// Commands beside a running platform.
struct Operator {
    environment: Vec<(&'static str, String)>,
}

impl Operator {
    fn of(dev: &Dev) -> Self {
        let environment = [
            ("AWS_ENDPOINT_URL", format!("http://{}", dev.process.address("aws"))),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("COMANDA_WEBHOOKS_ALLOW_LOOPBACK", "true".to_owned()),
        ];
        Self { environment: environment.into() }
    }

    fn run(&self, arguments: &[&str], further: &[(&str, &str)]) -> (i32, String, String) {
        let environment = self.environment.iter().map(|(name, value)| (*name, value.as_str()));
        run(arguments, &environment.chain(further.iter().copied()).collect::<Vec<_>>())
    }

    /// What `comanda app webhook` answers to these arguments.
    fn webhook(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["app", "webhook"];
        all.extend(arguments);
        all.push("--json");
        self.json(&all, &[])
    }

    fn json(&self, arguments: &[&str], further: &[(&str, &str)]) -> Value {
        let (code, stdout, stderr) = self.run(arguments, further);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        serde_json::from_str(stdout.lines().next().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{arguments:?}: {stdout}"))
    }

    fn place_order(&self) -> String {
        let placed = self.json(&["order", "place", "--merchant", MERCHANT, "--json"], &[]);
        placed["orderId"].as_str().unwrap().to_owned()
    }

    /// Sets the webhook, and waits until the platform knows it: a keep-alive comes.
    async fn set(&self, receiver: &Receiver) -> Value {
        let url = receiver.url();
        let arguments = ["app", "webhook", "set", APPLICATION, "--url", &url, "--presence", "ALL", "--json"];
        let set = self.json(&arguments, &[("COMANDA_WEBHOOK_SECRET", SECRET)]);
        let asked = receiver.got("a keep-alive", 1, |body| body["code"] == "KEEPALIVE").await;
        assert!(asked[0].is_signed_with(SECRET) && asked[0].path == "/hook");
        set
    }

    /// The delivery of an event as `deliveries` has it, once `is_reached` holds of it.
    async fn delivery(&self, event: &str, more: &[&str], is_reached: impl Fn(&Value) -> bool) -> Value {
        let mut arguments = vec!["deliveries", APPLICATION];
        arguments.extend(more);
        eventually(&format!("the delivery of {event}"), LIMIT, async || {
            let page = self.webhook(&arguments);
            let deliveries = page["deliveries"].as_array().unwrap().clone();
            deliveries.into_iter().find(|one| one["eventId"] == event && is_reached(one))
        })
        .await
    }
}

fn start() -> (Dev, Operator) {
    let dev = Dev::start(&["--webhooks-allow-loopback", "true"], &[]);
    let operator = Operator::of(&dev);
    (dev, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_pushed_signed_to_the_receiver_that_an_operator_set() {
    let ((dev, operator), receiver) = (start(), Receiver::start().await);
    let pos = dev.pos().await;
    let set = operator.set(&receiver).await;
    assert_eq!((&set["dialect"], &set["presence"], &set["status"]), (&json!("IFOOD"), &json!("ALL"), &json!("ACTIVE")));
    assert!(!set.to_string().contains(SECRET), "{set}");

    let order = operator.place_order();
    let placed = receiver.event(&order, "PLC").await;
    assert_eq!((&placed.json()["fullCode"], &placed.json()["merchantId"]), (&json!("PLACED"), &json!(MERCHANT)));
    pos.act(&order, "confirm").await.unwrap();
    let confirmed = receiver.event(&order, "CFM").await;
    for push in [&placed, &confirmed] {
        assert!(push.is_signed_with(SECRET) && !push.is_signed_with("another"), "{:?}", push.headers);
        let event = push.json()["id"].as_str().unwrap().to_owned();
        let delivery = operator.delivery(&event, &[], |one| one["status"] == "DELIVERED").await;
        assert_eq!((&delivery["orderId"], &delivery["attempts"][0]["status"]), (&json!(order), &json!(202)));
    }
    let polled = pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
    assert!(polled.iter().any(|event| event["id"] == placed.json()["id"]), "polls show it all the same");

    let shown = operator.webhook(&["show", APPLICATION]);
    assert_eq!((&shown["waiting"], &shown["deadLetters"], &shown["url"]), (&json!(0), &json!(0), &set["url"]));
    let listed = operator.webhook(&["list"]);
    assert_eq!(
        (&listed["webhooks"][0]["application"], listed["webhooks"].as_array().unwrap().len()),
        (&json!(APPLICATION), 1)
    );
    assert_eq!(operator.webhook(&["list", "--failing"]), json!({ "webhooks": [] }));

    assert_eq!(operator.webhook(&["remove", APPLICATION]), json!({ "removed": true }));
    let (code, _, stderr) = operator.run(&["app", "webhook", "show", APPLICATION], &[]);
    assert_eq!((code, stderr.contains("dev-pos has no webhook")), (1, true), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refused_is_sent_again_when_an_operator_asks() {
    let ((dev, operator), receiver) = (start(), Receiver::start().await);
    let pos = dev.pos().await;
    operator.set(&receiver).await;
    let order = operator.place_order();
    receiver.event(&order, "PLC").await;

    receiver.answers(404);
    pos.act(&order, "confirm").await.unwrap();
    let refused = receiver.event(&order, "CFM").await.json()["id"].as_str().unwrap().to_owned();
    let dead = operator.delivery(&refused, &["--dead"], |one| one["status"] == "DEAD").await;
    assert_eq!((&dead["reason"], &dead["attempts"][0]["status"]), (&json!("REJECTED"), &json!(404)));
    receiver.answers(202);
    assert_eq!(operator.webhook(&["redeliver", APPLICATION, &refused]), json!({ "redelivered": 1 }));
    receiver.got("the same event comes again", 2, |event| event["id"] == refused.as_str()).await;
    operator.delivery(&refused, &[], |one| one["status"] == "DELIVERED").await;
    let (code, _, stderr) = operator.run(&["app", "webhook", "redeliver", APPLICATION, &refused], &[]);
    assert_eq!((code, stderr.contains("no dead letter")), (1, true), "{stderr}");

    // A receiver that says that it is gone is left alone until somebody resumes it.
    receiver.answers(410);
    pos.act(&order, "startPreparation").await.unwrap();
    let gone = receiver.event(&order, "PRS").await.json()["id"].as_str().unwrap().to_owned();
    let paused = eventually("it is paused", LIMIT, async || {
        let listed = operator.webhook(&["list", "--failing"]);
        listed["webhooks"].as_array().unwrap().iter().find(|one| one["status"] == "PAUSED").cloned()
    })
    .await;
    assert_eq!((&paused["application"], &paused["pauseReason"]), (&json!(APPLICATION), &json!("GONE")));
    receiver.answers(202);
    assert_eq!(operator.webhook(&["resume", APPLICATION]), json!({ "wasPaused": true }));
    assert_eq!(operator.webhook(&["resume", APPLICATION]), json!({ "wasPaused": false }));
    assert_eq!(operator.webhook(&["redeliver", APPLICATION]), json!({ "redelivered": 1 }), "all there are");
    receiver.got("what it refused comes again", 2, |event| event["id"] == gone.as_str()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_client_secret_signs_once_the_webhook_is_set_with_it() {
    let ((_dev, operator), receiver) = (start(), Receiver::start().await);
    operator.set(&receiver).await;
    let rotated = operator.json(&["app", "rotate", APPLICATION, "--json"], &[]);
    let secret = rotated["clientSecret"].as_str().unwrap();
    assert_ne!(secret, SECRET);
    // Only its hash is stored: what signs stays until somebody says otherwise.
    let order = operator.place_order();
    assert!(receiver.event(&order, "PLC").await.is_signed_with(SECRET));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{secret}\n")).unwrap();
    let (url, path) = (format!("http://{}/rotated", receiver.address), file.path().to_str().unwrap());
    operator.webhook(&["set", APPLICATION, "--url", &url, "--secret-file", path]);
    let push = eventually("the change counts", LIMIT, async || {
        let push = receiver.event(&operator.place_order(), "PLC").await;
        (push.path == "/rotated").then_some(push)
    })
    .await;
    assert!(push.is_signed_with(secret) && !push.is_signed_with(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhooks_secret_is_taken_from_no_flag() {
    let (_dev, operator) = start();
    let url = "https://pos.example.com/hook";
    let (code, _, stderr) =
        operator.run(&["app", "webhook", "set", APPLICATION, "--url", url, "--secret", "typed-in"], &[]);
    assert_eq!(code, 2, "{stderr}");
    let (code, _, stderr) = operator.run(&["app", "webhook", "set", APPLICATION, "--url", url], &[]);
    assert_eq!((code, stderr.contains("secret")), (1, true), "{stderr}");
    let (_, help, _) = operator.run(&["app", "webhook", "set", "--help"], &[("COLUMNS", "120")]);
    assert!(help.contains("--secret-file") && help.contains("COMANDA_WEBHOOK_SECRET"), "{help}");
}
