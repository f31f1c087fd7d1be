//! What a keep-alive asks, how often, and how little of its answer is read (PARTNER_API 2.7).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use order_model::MerchantId;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::rig::{eventually, merchant};
use crate::webhook_platform::{Ground, Receiver, set, stop};
use crate::webhooks::check_standard;

/// The most that is read of an answer.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Merchants of one request.
const MERCHANTS_MAX: usize = 1_000;

fn wanted(url: &str, presence: &str) -> Value {
    json!({ "url": url, "dialect": "IFOOD", "secret": "pos-secret", "presence": presence })
}

/// An answer that lists `merchant`, of so many bytes.
fn listing(merchant: MerchantId, bytes: usize) -> String {
    let answer = json!({ "merchantIds": [merchant.to_string()] }).to_string();
    format!("{answer}{}", " ".repeat(bytes - answer.len()))
}

#[tokio::test]
async fn a_receiver_is_asked_at_most_every_30_s_whoever_asks() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    set(&rig.as_application("pos").await, &wanted(&receiver.url(), "ALL")).await;
    receiver.has(1).await;
    stop(rig).await;
    // More than the lease of a receiver; with all that a slow machine takes, less than 30 s.
    ground.clock.jump(Duration::from_secs(16));
    let second = ground.start().await;
    ground.is_looked_at().await;
    assert_eq!(receiver.count(), 1, "not before 30 s are over");
    second.clock.jump(Duration::from_secs(15));
    receiver.has(2).await;
}

#[tokio::test]
async fn a_keepalive_of_standard_webhooks_is_the_data_of_the_type_keepalive() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let made = set(&pos, &json!({ "url": receiver.url(), "dialect": "STANDARD", "presence": "ALL" })).await;
    receiver.has(1).await;
    let asked = receiver.all().remove(0);
    check_standard(&asked, &[made["secret"].as_str().unwrap()]);
    let id = asked.header("webhook-id");
    let body = asked.json();
    assert_eq!(body["type"], "keepalive");
    assert_eq!(body["data"], json!({ "code": "KEEPALIVE", "fullCode": "KEEPALIVE", "id": id }));
    eventually("its answer counts", || rig.peers.merchants.beats.lock().len() == 2).await;
}

#[tokio::test]
async fn a_keepalive_by_merchant_names_at_most_1000_of_them() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let merchants: Vec<MerchantId> = (1..=u32::try_from(MERCHANTS_MAX + 1).unwrap())
        .map(|number| format!("00000000-0000-4000-8000-{number:012}").parse().unwrap())
        .collect();
    ground.applications.put("pos", "pos-secret", &merchants);
    let rig = ground.start().await;
    let online = [merchants[0], merchants[MERCHANTS_MAX]];
    *receiver.answer.lock() = json!({ "merchantIds": online.map(|id| id.to_string()) }).to_string();
    set(&rig.as_application("pos").await, &wanted(&receiver.url(), "PER_MERCHANT")).await;
    receiver.has(2).await;
    let asked: Vec<Vec<String>> =
        receiver.all().iter().map(|one| serde_json::from_value(one.json()["merchantIds"].clone()).unwrap()).collect();
    assert_eq!(asked.iter().map(Vec::len).collect::<Vec<_>>(), [MERCHANTS_MAX, 1]);
    let all: BTreeSet<String> = merchants.iter().map(ToString::to_string).collect();
    assert_eq!(asked.into_iter().flatten().collect::<BTreeSet<_>>(), all);
    eventually("both answers count", || rig.peers.merchants.beats.lock().iter().eq(&online)).await;
}

#[tokio::test]
async fn an_answer_of_more_than_64_kib_says_nothing() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    *receiver.answer.lock() = listing(merchant(1), ANSWER_MAX_BYTES + 1);
    set(&rig.as_application("pos").await, &wanted(&receiver.url(), "PER_MERCHANT")).await;
    receiver.has(1).await;
    // What has begun ends with it: the answer was read, or given up on.
    stop(rig).await;
    *receiver.answer.lock() = listing(merchant(2), ANSWER_MAX_BYTES);
    ground.clock.jump(Duration::from_secs(31));
    let _second = ground.start().await;
    receiver.has(2).await;
    let beats = &ground.peers.merchants.beats;
    eventually("the longest answer that is read counts", || !beats.lock().is_empty()).await;
    assert!(beats.lock().iter().eq(&[merchant(2)]));
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let ground = Ground::new().await;
    let rig = ground.start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (begun, cut_off) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (has_begun, was_cut_off) = (Arc::clone(&begun), Arc::clone(&cut_off));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            has_begun.fetch_add(1, Ordering::SeqCst);
            let was_cut_off = Arc::clone(&was_cut_off);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n";
                let chunk = format!("{:x}\r\n{}\r\n", 16 * 1024, "x".repeat(16 * 1024));
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(chunk.as_bytes()).await;
                }
                was_cut_off.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    set(&rig.as_application("pos").await, &wanted(&url, "PER_MERCHANT")).await;
    eventually("it is asked", || begun.load(Ordering::SeqCst) == 1).await;
    // Long before the 15 s after which any answer is given up on.
    eventually("the connection is closed", || cut_off.load(Ordering::SeqCst) == 1).await;
    assert!(rig.peers.merchants.beats.lock().is_empty());
}
