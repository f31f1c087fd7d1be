//! Nothing of a message's content reaches a log line or a dead-letter attribute.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tonic::Code;
use tracing_subscriber::fmt::MakeWriter;

use crate::bed::{Bed, eventually, order, update};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Orders with canaries in every personal place, in three formats, each also broken in several ways.
fn messages() -> Vec<String> {
    let native = order(1);
    let start = native.find("\"order\":").unwrap() + "\"order\":".len();
    let inner = &native[start..native.len() - 1];
    let cloud_event = format!(
        r#"{{"specversion":"1.0","id":"ce","source":"app","type":"comanda.order.placed.v1","data":{{"order":{inner}}}}}"#
    );
    let open_delivery = inner
        .replace("orderType", "type")
        .replace("30.0", r#"{"value":30.0,"currency":"BRL"}"#)
        .replace("\"observations\"", "\"specialInstructions\"")
        .replace(
            "000000000001\"}",
            "000000000001\"},\"delivery\":{\"pickupCode\":\"CANARY\",\"deliveryAddress\":{\"street\":\"CANARY\"}}",
        );
    let whole = [native, cloud_event, open_delivery];
    let mut all = whole.to_vec();
    for (index, body) in whole.iter().enumerate() {
        all.push(body.replace("\"displayId\":\"1\"", "\"displayId\":[\"CANARY\"]"));
        all.push(body.replace("TAKEOUT", "CANARY"));
        all.push(body.replace("\"Pizza\"", "{\"CANARY\":\"CANARY\"}"));
        all.push(body.replace("2026-11-20T12:00:00Z", &format!("CANARY-{index}")));
        all.push(body.replace("\"customer\":{", "\"customer\":{\"name\":\"CANARY\",\"name\":1,"));
        all.push(body[..body.len() / 2].to_owned());
        all.push(format!("{body}CANARY"));
    }
    all.extend([update("CANARY-early", 99), update("illegal-CANARY", 1), update("CANARY-poison", 1)]);
    all
}

#[tokio::test(start_paused = true)]
async fn canaries_stay_in_their_cage() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bed = Bed::start();
    bed.core.fail("CANARY-poison", Code::InvalidArgument);
    bed.send(messages()).await;
    eventually("some are committed", async || bed.core.committed() >= 3).await;
    bed.core.set_down(true);
    bed.send([order(2)]).await;
    eventually("an outage is noticed", async || bed.handle.readiness().is_err()).await;
    bed.core.set_down(false);
    bed.until_empty().await;

    let dead = bed.dead_letters().await;
    assert!(dead.len() >= 20, "{}", dead.len());
    for letter in &dead {
        let attributes = format!("{:?}", letter.attributes);
        assert!(!attributes.contains("CANARY"), "{attributes}");
        assert!(letter.attributes["detail"].len() <= 1024);
    }
    bed.stop().await;
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert!(!text.contains("CANARY"), "{text}");
    for expected in
        ["message accepted", "message dead-lettered", "gateway-core does not answer", "trace_id=0af7651916cd43dd"]
    {
        assert!(text.contains(expected), "{expected} not in {text}");
    }
}
