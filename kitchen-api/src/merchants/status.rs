//! Whether a store is open, and why not: a pure judgement of its profile, its presence and the time.
//!
//! Used by `status_endpoint`. Outside its hours or in a pause a store is closed as expected; within them and not connected it is closed
//! by mistake. Validations we have no knowledge of (payout, logistics, radius, terms) are absent: they would be made up.

use order_model::Timestamp;
use proto::merchant_connection::Merchant;
use serde_json::{Value, json};

use super::opening_hours::is_open;
use super::texts::{
    CONNECTED_ERROR, CONNECTED_OK, DISCONNECTED, HOURS_CLOSED, HOURS_OK, IN_PAUSE, Message, NO_PAUSE, OPEN,
    OUTSIDE_HOURS, PAUSED,
};

/// The operations every store is shown with, as the path names them.
pub(super) const OPERATIONS: [&str; 3] = ["delivery", "takeout", "indoor"];
/// The one sales channel there is.
const SALES_CHANNEL: &str = "ifood-app";

/// How a store or one validation of it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Open, fine.
    Ok,
    /// Closed as expected.
    Closed,
    /// Closed by mistake.
    Error,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Closed => "CLOSED",
            Self::Error => "ERROR",
        }
    }
}

/// How a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreStatus {
    connected: bool,
    within_hours: bool,
    paused: bool,
}

impl StoreStatus {
    /// Judges `merchant` at `now`.
    pub(super) fn judge(merchant: &Merchant, connected: bool, now: Timestamp) -> Self {
        let now_ms = now.unix_ms();
        let paused = merchant.interruptions.iter().any(|pause| (pause.start_ms..pause.end_ms).contains(&now_ms));
        Self { connected, within_hours: is_open(merchant, now), paused }
    }

    /// The store as a whole.
    pub(super) fn state(self) -> State {
        match self {
            Self { within_hours: false, .. } | Self { paused: true, .. } => State::Closed,
            Self { connected: false, .. } => State::Error,
            Self { connected: true, .. } => State::Ok,
        }
    }

    fn message(self) -> Message {
        match self {
            Self { within_hours: false, .. } => OUTSIDE_HOURS,
            Self { paused: true, .. } => PAUSED,
            Self { connected: false, .. } => DISCONNECTED,
            Self { connected: true, .. } => OPEN,
        }
    }

    /// The status object of one operation (PARTNER_API, section 1.5).
    pub(super) fn to_json(self, operation: &str) -> Value {
        json!({
            "operation": operation,
            "salesChannel": SALES_CHANNEL,
            "available": self.state() == State::Ok,
            "state": self.state().name(),
            "reopenable": { "identifier": null, "type": null, "reopenable": false },
            "validations": self.validations(),
            "message": self.message().to_json(),
        })
    }

    fn validations(self) -> Vec<Value> {
        let (connected, connected_text) =
            if self.connected { (State::Ok, CONNECTED_OK) } else { (State::Error, CONNECTED_ERROR) };
        let (hours, hours_code, hours_text) = if self.within_hours {
            (State::Ok, "during.opening-hours.config", HOURS_OK)
        } else {
            (State::Closed, "outside.opening-hours.config", HOURS_CLOSED)
        };
        let mut validations = vec![
            validation("is-connected", "is.connected.config", connected, connected_text),
            validation("opening-hours", hours_code, hours, hours_text),
        ];
        if self.paused || self.state() == State::Error {
            let (state, text) = if self.paused { (State::Closed, IN_PAUSE) } else { (State::Ok, NO_PAUSE) };
            validations.push(validation("unavailabilities", "unavailabilities.config", state, text));
        }
        validations
    }
}

fn validation(id: &str, code: &str, state: State, message: Message) -> Value {
    json!({ "id": id, "code": code, "state": state.name(), "message": message.to_json() })
}

#[cfg(test)]
mod tests {
    use proto::merchant_connection::{Interruption, Shift};

    use super::*;

    fn judge(open: bool, connected: bool, paused: bool) -> StoreStatus {
        let shift = Shift { day_of_week: 5, start_minute: 0, duration_minutes: if open { 1440 } else { 0 } };
        let pause = Interruption {
            start_ms: if paused { 0 } else { i64::MAX - 1 },
            end_ms: i64::MAX,
            ..Interruption::default()
        };
        let merchant = Merchant {
            time_zone: "UTC".to_owned(),
            shifts: vec![shift],
            interruptions: vec![pause],
            ..Merchant::default()
        };
        StoreStatus::judge(&merchant, connected, "2026-11-20T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_store_is_open_closed_as_expected_or_closed_by_mistake() {
        assert_eq!(judge(true, true, false).state(), State::Ok);
        assert_eq!(judge(true, false, false).state(), State::Error);
        for connected in [true, false] {
            assert_eq!(judge(false, connected, false).state(), State::Closed);
            assert_eq!(judge(true, connected, true).state(), State::Closed);
        }
    }

    #[test]
    fn the_two_validations_are_always_there_and_codes_are_not_translated() {
        let open = judge(true, true, false).to_json("delivery");
        assert_eq!((&open["available"], &open["state"]), (&json!(true), &json!("OK")));
        assert_eq!(open["message"]["title"], "Loja aberta");
        let ids = |status: &Value| -> Vec<String> {
            status["validations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&open), ["is-connected", "opening-hours"]);
        assert_eq!(open["validations"][1]["code"], "during.opening-hours.config");
        let disconnected = judge(true, false, false).to_json("takeout");
        assert_eq!((&disconnected["available"], &disconnected["state"]), (&json!(false), &json!("ERROR")));
        assert_eq!(disconnected["validations"][0]["state"], "ERROR");
        assert_eq!(ids(&disconnected), ["is-connected", "opening-hours", "unavailabilities"]);
        let closed = judge(false, true, false).to_json("delivery");
        assert_eq!(closed["validations"][1]["code"], "outside.opening-hours.config");
    }
}
