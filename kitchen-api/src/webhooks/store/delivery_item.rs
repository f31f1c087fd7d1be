//! A delivery as an item. The latest attempts are one text of JSON: nobody queries them.

use std::time::Duration;

use bytes::Bytes;
use order_model::{ApplicationId, EventCode, Timestamp};

use super::WebhookStoreError;
use super::deliveries::Lane;
use super::item::{
    AT_MS, EXPIRES_AT, FORMAT, Item, LANE, bytes, check_format, extend, instant, key, malformed, number, read_bool,
    read_bytes, read_counter, read_instant, read_number, read_optional_instant, read_parsed, read_text, text,
};
use crate::webhooks::delivery::{Attempt, DeathReason, Delivery, State};

/// How long a delivery can be looked up after its last change, also one that is dead.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the partition key of a delivery begins with.
const PK: &str = "deliveries#";

pub(super) fn delivery_pk(application: &ApplicationId) -> String {
    format!("{PK}{application}")
}

/// As it is logged: at, latency, status, result.
type Logged = (i64, u64, Option<u16>, String);

/// The item, kept from `now` on.
pub(super) fn write(delivery: &Delivery, now: Timestamp) -> Item {
    let mut item = key(delivery_pk(&delivery.application), delivery.event.to_string());
    let attempts: Vec<Logged> = delivery
        .attempts
        .iter()
        .map(|attempt| (attempt.at.unix_ms(), attempt.latency_ms, attempt.status, attempt.result.clone()))
        .collect();
    let attempts = serde_json::to_string(&attempts).expect("numbers and texts are JSON");
    let (state, at) = match delivery.state {
        State::Waiting { due_at } => ("WAITING", due_at),
        State::Acknowledging { due_at } => ("ACKNOWLEDGING", due_at),
        State::Delivered { at } => ("DELIVERED", at),
        State::Dead { at, .. } => ("DEAD", at),
    };
    extend(
        &mut item,
        [
            ("format", number(FORMAT)),
            ("application", text(delivery.application.as_str())),
            ("merchant", text(delivery.merchant.to_string())),
            ("order_id", text(delivery.order.to_string())),
            ("code", text(delivery.code.code())),
            ("body", bytes(&delivery.body)),
            ("event_expires_at_ms", instant(delivery.expires_at)),
            ("recorded_at_ms", instant(delivery.recorded_at)),
            ("delivery_state", text(state)),
            (AT_MS, instant(at)),
            ("failures", number(delivery.failures)),
            ("is_asked_for", aws_sdk_dynamodb::types::AttributeValue::Bool(delivery.is_asked_for)),
            ("attempts", text(attempts)),
            ("version", number(delivery.version)),
            (EXPIRES_AT, number(now.plus(KEPT_FOR).unix_s_ceil())),
        ],
    );
    if let Some(began_at) = delivery.began_at {
        extend(&mut item, [("began_at_ms", instant(began_at))]);
    }
    match delivery.state {
        State::Waiting { .. } | State::Acknowledging { .. } => {
            extend(&mut item, [(LANE, text(Lane::Waiting.key(&delivery.application)))]);
        }
        State::Dead { reason, .. } => {
            extend(&mut item, [(LANE, text(Lane::Dead.key(&delivery.application))), ("reason", text(reason.name()))]);
        }
        State::Delivered { .. } => {}
    }
    item
}

/// The delivery of an item.
pub(super) fn read(item: &Item) -> Result<Delivery, WebhookStoreError> {
    check_format(item)?;
    let at = read_instant(item, AT_MS)?;
    let state = match read_text(item, "delivery_state")? {
        "WAITING" => State::Waiting { due_at: at },
        "ACKNOWLEDGING" => State::Acknowledging { due_at: at },
        "DELIVERED" => State::Delivered { at },
        "DEAD" => State::Dead { at, reason: read_parsed(item, "reason", DeathReason::parse)? },
        _ => return Err(malformed("delivery_state")),
    };
    let logged: Vec<Logged> = serde_json::from_str(read_text(item, "attempts")?).map_err(|_| malformed("attempts"))?;
    let attempt = |(at_ms, latency_ms, status, result)| {
        let at = Timestamp::from_unix_ms(at_ms);
        Attempt { at, latency_ms, status, result }
    };
    Ok(Delivery {
        application: read_parsed(item, "application", |text| text.parse().ok())?,
        event: read_parsed(item, "sk", |text| text.parse().ok())?,
        merchant: read_parsed(item, "merchant", |text| text.parse().ok())?,
        order: read_parsed(item, "order_id", |text| text.parse().ok())?,
        code: read_parsed(item, "code", EventCode::parse)?,
        body: Bytes::copy_from_slice(read_bytes(item, "body")?),
        expires_at: read_instant(item, "event_expires_at_ms")?,
        recorded_at: read_instant(item, "recorded_at_ms")?,
        state,
        failures: read_number(item, "failures")?,
        began_at: read_optional_instant(item, "began_at_ms")?,
        is_asked_for: read_bool(item, "is_asked_for")?,
        attempts: logged.into_iter().map(attempt).collect(),
        version: read_counter(item, "version")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::delivery::tests::delivery;

    #[test]
    fn a_delivery_survives_its_item_in_every_state() {
        let at = Timestamp::from_unix_ms(1_795_000_000_009);
        let states = [
            (State::Waiting { due_at: at }, Some("waiting#pos")),
            (State::Acknowledging { due_at: at }, Some("waiting#pos")),
            (State::Delivered { at }, None),
            (State::Dead { at, reason: DeathReason::Expired }, Some("dead#pos")),
        ];
        for (state, lane) in states {
            let attempt = Attempt { at, latency_ms: 3, status: None, result: "TIMED_OUT".to_owned() };
            let began_at = Some(at);
            let delivery = Delivery { state, began_at, failures: 2, attempts: vec![attempt], ..delivery(1) };
            let item = write(&delivery, at);
            assert_eq!(read(&item).unwrap(), delivery);
            assert_eq!(item.get(LANE).map(|value| value.as_s().unwrap().as_str()), lane, "{state:?}");
        }
    }
}
