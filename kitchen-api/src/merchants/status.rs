//! Whether a store is open, and why not: a pure judgement of its profile, its presence and the time.
//!
//! Used by `status_endpoint`, and by `crate::shipping` through it. Outside its hours or in a pause a store is closed as expected; within them and not connected it is closed
//! by mistake; connected, but not heard of for a while, it is open with a problem. The platform restricts no store for its
//! payouts, its area, its logistics or its terms, and switches none off: those validations are always OK.

use std::time::Duration;

use order_model::Timestamp;
use proto::merchant_connection::{Merchant, MerchantPresence};
use serde_json::{Value, json};

use super::interruptions::current;
use super::language::Language;
use super::opening_hours::is_open;
use super::texts::{
    CONNECTED_ERROR, CONNECTED_LATE, CONNECTED_OK, DISCONNECTED, HOURS_CLOSED, HOURS_OK, IN_PAUSE, LOGISTICS_OK,
    Message, NO_PAUSE, OPEN, OPEN_LATE, OUTSIDE_HOURS, PAUSED, PAYOUT_OK, RADIUS_OK, SWITCHED_ON, TERMS_OK,
};

/// The operations every store is shown with, as the path names them.
pub(crate) const OPERATIONS: [&str; 3] = ["delivery", "takeout", "indoor"];
/// The one sales channel there is.
pub(super) const SALES_CHANNEL: &str = "ifood-app";
/// What opens a store again that has closed itself: taking the interruption back.
pub(crate) const REOPENED_BY: &str = "INTERRUPTION";
/// What a store with a problem is told beside what is wrong. Nobody restricts a store for any of them.
const NEVER_WRONG: [(&str, &str, Message); 5] = [
    ("radius-restriction", "radius-restriction.config", RADIUS_OK),
    ("payout-blocked", "payout-blocked.config", PAYOUT_OK),
    ("logistics-blocked", "logistics-blocked.config", LOGISTICS_OK),
    ("terms-service-violation", "terms-service-violation.config", TERMS_OK),
    ("status-availability", "status-availability.config", SWITCHED_ON),
];
/// A store not heard of for longer is open with a problem: a POS polls every 30 s, so it has missed two of them.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How a store or one validation of it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Open, fine.
    Ok,
    /// Open with a problem.
    Warning,
    /// Closed as expected.
    Closed,
    /// Closed by mistake.
    Error,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Closed => "CLOSED",
            Self::Error => "ERROR",
        }
    }

    pub(super) const fn is_available(self) -> bool {
        match self {
            Self::Ok | Self::Warning => true,
            Self::Closed | Self::Error => false,
        }
    }
}

/// Whether a store's system asks for its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    Connected,
    /// It did until lately.
    Late,
    Lost,
}

impl Connection {
    /// Judges `presence` at `now`.
    pub(super) fn of(presence: &MerchantPresence, now: Timestamp) -> Self {
        let silence = now.since(Timestamp::from_unix_ms(presence.last_heartbeat_at_ms));
        match (presence.online, presence.last_heartbeat_at_ms) {
            (false, _) => Self::Lost,
            // Online, and when it was heard of last is not known: by a leader that has just taken over.
            (true, 0) => Self::Connected,
            (true, _) if silence > SILENCE_MAX => Self::Late,
            (true, _) => Self::Connected,
        }
    }
}

/// Why a store takes no orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    OutsideHours,
    /// It has closed itself for a while.
    Paused,
    /// Its system asks for no orders.
    Disconnected,
}

/// How a store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoreStatus {
    connection: Connection,
    within_hours: bool,
    /// The interruption that closes it.
    pause: Option<String>,
}

impl StoreStatus {
    /// Judges `merchant` at `now`.
    pub(super) fn judge(merchant: &Merchant, connection: Connection, now: Timestamp) -> Self {
        let pause = current(&merchant.interruptions, now).map(|one| one.id.clone());
        Self { connection, within_hours: is_open(merchant, now), pause }
    }

    /// Why the store takes no orders; `None` when it does.
    pub(super) fn closed(&self) -> Option<Closed> {
        match self {
            Self { within_hours: false, .. } => Some(Closed::OutsideHours),
            Self { pause: Some(_), .. } => Some(Closed::Paused),
            Self { connection: Connection::Lost, .. } => Some(Closed::Disconnected),
            Self { connection: Connection::Late | Connection::Connected, .. } => None,
        }
    }

    /// The store as a whole.
    pub(super) fn state(&self) -> State {
        match (self.closed(), self.connection) {
            (Some(Closed::OutsideHours | Closed::Paused), _) => State::Closed,
            (Some(Closed::Disconnected), _) | (None, Connection::Lost) => State::Error,
            (None, Connection::Late) => State::Warning,
            (None, Connection::Connected) => State::Ok,
        }
    }

    fn message(&self) -> Message {
        match self {
            Self { within_hours: false, .. } => OUTSIDE_HOURS,
            Self { pause: Some(_), .. } => PAUSED,
            Self { connection: Connection::Lost, .. } => DISCONNECTED,
            Self { connection: Connection::Late, .. } => OPEN_LATE,
            Self { connection: Connection::Connected, .. } => OPEN,
        }
    }

    /// The status object of one operation (PARTNER_API, section 1.5).
    pub(super) fn to_json(&self, operation: &str, language: Language) -> Value {
        json!({
            "operation": operation,
            "salesChannel": SALES_CHANNEL,
            "available": self.state().is_available(),
            "state": self.state().name(),
            "reopenable": self.reopenable(),
            "validations": self.validations(language),
            "message": self.message().to_json(language),
        })
    }

    /// Whether the store would be open if it took its interruption back, and which that is.
    fn reopenable(&self) -> Value {
        match self {
            Self { within_hours: true, pause: Some(id), connection: Connection::Connected | Connection::Late } => {
                json!({ "identifier": id, "type": REOPENED_BY, "reopenable": true })
            }
            Self { .. } => json!({ "identifier": null, "type": null, "reopenable": false }),
        }
    }

    fn validations(&self, language: Language) -> Vec<Value> {
        let (connected, connected_text) = match self.connection {
            Connection::Connected => (State::Ok, CONNECTED_OK),
            Connection::Late => (State::Warning, CONNECTED_LATE),
            Connection::Lost => (State::Error, CONNECTED_ERROR),
        };
        let (hours, hours_code, hours_text) = if self.within_hours {
            (State::Ok, "during.opening-hours.config", HOURS_OK)
        } else {
            (State::Closed, "outside.opening-hours.config", HOURS_CLOSED)
        };
        let mut validations = vec![
            validation("is-connected", "is.connected.config", connected, connected_text.to_json(language)),
            validation("opening-hours", hours_code, hours, hours_text.to_json(language)),
        ];
        let (is_paused, has_problem) = (self.pause.is_some(), matches!(self.state(), State::Warning | State::Error));
        if is_paused || has_problem {
            let (state, text) = if is_paused { (State::Closed, IN_PAUSE) } else { (State::Ok, NO_PAUSE) };
            validations.push(validation("unavailabilities", "unavailabilities.config", state, text.to_json(language)));
        }
        if has_problem {
            let all = NEVER_WRONG.iter();
            validations.extend(all.map(|(id, code, text)| validation(id, code, State::Ok, text.to_json(language))));
        }
        validations
    }
}

fn validation(id: &str, code: &str, state: State, message: Value) -> Value {
    json!({ "id": id, "code": code, "state": state.name(), "message": message })
}

#[cfg(test)]
mod tests {
    use proto::merchant_connection::{Interruption, Shift};

    use super::*;

    fn judge(open: bool, connection: Connection, paused: bool) -> StoreStatus {
        let shift = Shift { day_of_week: 5, start_minute: 0, duration_minutes: if open { 1440 } else { 0 } };
        let pause = Interruption {
            start_ms: if paused { 0 } else { i64::MAX - 1 },
            end_ms: i64::MAX,
            id: "p".to_owned(),
            ..Interruption::default()
        };
        let merchant = Merchant {
            time_zone: "UTC".to_owned(),
            shifts: vec![shift],
            interruptions: vec![pause],
            ..Merchant::default()
        };
        StoreStatus::judge(&merchant, connection, "2026-11-20T12:00:00Z".parse().unwrap())
    }

    fn ids(status: &Value) -> Vec<&str> {
        status["validations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
    }

    const CONNECTIONS: [Connection; 3] = [Connection::Connected, Connection::Late, Connection::Lost];

    #[test]
    fn a_store_is_open_closed_as_expected_or_closed_by_mistake() {
        assert_eq!(judge(true, Connection::Connected, false).state(), State::Ok);
        assert_eq!(judge(true, Connection::Late, false).state(), State::Warning);
        assert_eq!(judge(true, Connection::Lost, false).state(), State::Error);
        for connection in CONNECTIONS {
            assert_eq!(judge(false, connection, false).state(), State::Closed);
            assert_eq!(judge(true, connection, true).state(), State::Closed);
            assert_eq!(judge(false, connection, true).state(), State::Closed);
        }
    }

    /// Every combination: what is available is open, and the validations say why it is not.
    #[test]
    fn the_two_validations_are_always_there_and_codes_are_not_translated() {
        for (connection, open, paused) in CONNECTIONS.into_iter().flat_map(|connection| {
            [(true, true), (true, false), (false, true), (false, false)]
                .map(|(open, paused)| (connection, open, paused))
        }) {
            let status = judge(open, connection, paused);
            let json = status.to_json("delivery", Language::Portuguese);
            assert_eq!(json["available"], json!(open && !paused && connection != Connection::Lost));
            assert_eq!(ids(&json)[..2], ["is-connected", "opening-hours"]);
            assert_eq!(json["validations"][0]["code"], "is.connected.config");
            let hours =
                if open { ("during.opening-hours.config", "OK") } else { ("outside.opening-hours.config", "CLOSED") };
            assert_eq!(
                (&json["validations"][1]["code"], &json["validations"][1]["state"]),
                (&json!(hours.0), &json!(hours.1))
            );
            let expects_third = paused || matches!(json["state"].as_str(), Some("WARNING" | "ERROR"));
            assert_eq!(ids(&json).get(2), expects_third.then_some(&"unavailabilities"));
            if expects_third {
                assert_eq!(json["validations"][2]["state"], if paused { "CLOSED" } else { "OK" });
            }
            let has_problem = matches!(json["state"].as_str(), Some("WARNING" | "ERROR"));
            assert_eq!(ids(&json).len(), if has_problem { 8 } else { 2 + usize::from(paused) });
            let reopens = open && paused && connection != Connection::Lost;
            assert_eq!(json["reopenable"]["reopenable"], json!(reopens));
            assert_eq!(json["reopenable"]["identifier"], if reopens { json!("p") } else { Value::Null });
        }
    }

    #[test]
    fn a_store_not_heard_of_for_two_polls_is_open_with_a_problem() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let of = |online, silence_ms: i64| {
            let last_heartbeat_at_ms = now.unix_ms() - silence_ms;
            Connection::of(&MerchantPresence { online, last_heartbeat_at_ms, ..MerchantPresence::default() }, now)
        };
        assert_eq!(of(true, 60_000), Connection::Connected);
        assert_eq!(of(true, 60_001), Connection::Late);
        assert_eq!(of(true, -5_000), Connection::Connected, "another machine's clock");
        assert_eq!(of(true, now.unix_ms()), Connection::Connected, "not known");
        assert_eq!(of(false, 0), Connection::Lost);
    }

    #[test]
    fn texts_are_translated_and_nothing_else() {
        let status = judge(true, Connection::Connected, true);
        let title = |language| status.to_json("delivery", language)["message"]["title"].clone();
        assert_eq!(title(Language::Portuguese), "Loja fechada");
        assert_eq!(title(Language::English), "Store closed");
        assert_eq!(title(Language::Spanish), "Tienda cerrada");
        let without_messages = |language| {
            let mut json = status.to_json("delivery", language);
            json["message"].take();
            json["validations"].as_array_mut().unwrap().iter_mut().for_each(|one| drop(one["message"].take()));
            json
        };
        assert_eq!(without_messages(Language::English), without_messages(Language::Portuguese));
        assert_eq!(without_messages(Language::Spanish), without_messages(Language::Portuguese));
    }
}
