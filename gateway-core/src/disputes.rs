//! What a dispute lets a merchant answer: the reasons and alternatives that its `HSD` carries, and the check of an answer.
//!
//! Read out of the metadata of the `HSD` by `wire`, kept by `store` under the dispute's id, applied by `planning`. Pure.
//! Whether the dispute is still open is the lifecycle's to say. What a merchant writes freely is checked and dropped: only
//! reasons and alternatives of the event's own lists get into an `HSS`.

use order_model::lifecycle::Verdict;
use order_model::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};

/// The most reasons, alternatives or choices of minutes that are kept of one list. A longer list counts as none: it is
/// nothing that a person was shown.
const LIST_ENTRIES_MAX: usize = 64;
/// The longest reason, id or type that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 256;
/// The longest amount, in digits of cents: more is no money, and this many fit `u64`.
const AMOUNT_DIGITS_MAX: usize = 18;

/// A dispute as it is kept: whose it is, and what may be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DisputeRecord {
    /// The order that is disputed.
    pub(crate) order: OrderId,
    /// What may be answered.
    pub(crate) offer: DisputeOffer,
    /// Until when the order can be read.
    pub(crate) kept_until: Timestamp,
}

/// What may be answered. An empty list is one that the event does not carry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DisputeOffer {
    accept_reasons: Vec<String>,
    reject_reasons: Vec<String>,
    alternatives: Vec<Alternative>,
}

/// One alternative of a dispute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Alternative {
    id: String,
    kind: String,
    /// In cents; `None` where the event names no limit.
    amount_max: Option<u64>,
    currency: String,
    minutes: Vec<u32>,
    time_reasons: Vec<String>,
}

/// What the merchant sent; empty texts and 0 for what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DisputeReply {
    pub(crate) reason: String,
    pub(crate) alternative_id: String,
    pub(crate) alternative_type: String,
    pub(crate) amount_value: String,
    pub(crate) amount_currency: String,
    pub(crate) additional_minutes: u32,
    pub(crate) additional_reason: String,
}

/// What is told of an answer that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chosen {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selected_dispute_alternative: Option<Selected>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Selected {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    metadata: Terms,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Terms {
    Amount(Amount),
    #[serde(untagged, rename_all = "camelCase")]
    Time {
        additional_time_in_minutes: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        additional_time_reason: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Amount {
    /// In cents, as the dispute writes them.
    value: String,
    currency: String,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Objection {
    Reason,
    AlternativeUnknown,
    AlternativeType,
    Amount,
    Time,
    TimeReason,
}

impl DisputeOffer {
    /// What the metadata of an `HSD` offers. Whatever is missing, of another type or too long is not offered: it must not
    /// lose the dispute.
    pub(crate) fn of_metadata(metadata: &[u8]) -> Self {
        let Ok(metadata) = serde_json::from_slice::<serde_json::Value>(metadata) else { return Self::default() };
        // Published samples have the reasons one level down, some clients read them at the top.
        let reasons = |name: &str| {
            let nested = texts(&metadata["metadata"][name]);
            if nested.is_empty() { texts(&metadata[name]) } else { nested }
        };
        Self {
            accept_reasons: reasons("acceptCancellationReasons"),
            reject_reasons: reasons("negotiationReasons"),
            alternatives: list(&metadata["alternatives"]).iter().filter_map(Alternative::read).collect(),
        }
    }

    /// What to tell of `reply`, when the dispute offers it.
    pub(crate) fn check(&self, verdict: Verdict, reply: &DisputeReply) -> Result<Chosen, Objection> {
        match verdict {
            Verdict::Accept => chosen_reason(&self.accept_reasons, &reply.reason),
            Verdict::Reject => chosen_reason(&self.reject_reasons, &reply.reason),
            Verdict::Alternative => {
                let of_reply = |offered: &&Alternative| offered.id == reply.alternative_id;
                let offered = self.alternatives.iter().find(of_reply).ok_or(Objection::AlternativeUnknown)?;
                let selected = offered.select(reply)?;
                Ok(Chosen { reason: None, selected_dispute_alternative: Some(selected) })
            }
        }
    }
}

/// A reason has to be one of the list, where there is one; without a list nobody reads it, and it is not told.
fn chosen_reason(offered: &[String], reason: &str) -> Result<Chosen, Objection> {
    let reason = offered_or_none(offered, reason).ok_or(Objection::Reason)?;
    Ok(Chosen { reason, ..Chosen::default() })
}

/// `None` when `text` is none of the list.
fn offered_or_none(offered: &[String], text: &str) -> Option<Option<String>> {
    if text.is_empty() || offered.is_empty() {
        return Some(None);
    }
    offered.iter().find(|known| known.eq_ignore_ascii_case(text)).map(|known| Some(known.clone()))
}

impl Alternative {
    fn read(value: &serde_json::Value) -> Option<Self> {
        let terms = &value["metadata"];
        let amount = &terms["maxAmount"];
        let minutes = list(&terms["allowedsAdditionalTimeInMinutes"]);
        Some(Self {
            id: short(&value["id"])?,
            kind: short(&value["type"])?,
            amount_max: short(&amount["value"]).as_deref().and_then(cents),
            currency: short(&amount["currency"]).unwrap_or_default(),
            minutes: minutes.iter().filter_map(|minutes| u32::try_from(minutes.as_u64()?).ok()).collect(),
            time_reasons: texts(&terms["allowedsAdditionalTimeReasons"]),
        })
    }

    fn select(&self, reply: &DisputeReply) -> Result<Selected, Objection> {
        if !reply.alternative_type.is_empty() && !reply.alternative_type.eq_ignore_ascii_case(&self.kind) {
            return Err(Objection::AlternativeType);
        }
        let metadata = if self.kind.eq_ignore_ascii_case("ADDITIONAL_TIME") {
            self.time(reply)?
        } else {
            Terms::Amount(self.amount(reply)?)
        };
        Ok(Selected { id: self.id.clone(), kind: self.kind.clone(), metadata })
    }

    fn time(&self, reply: &DisputeReply) -> Result<Terms, Objection> {
        let minutes = reply.additional_minutes;
        if minutes == 0 || !(self.minutes.is_empty() || self.minutes.contains(&minutes)) {
            return Err(Objection::Time);
        }
        let reason = offered_or_none(&self.time_reasons, &reply.additional_reason).ok_or(Objection::TimeReason)?;
        Ok(Terms::Time { additional_time_in_minutes: minutes, additional_time_reason: reason })
    }

    fn amount(&self, reply: &DisputeReply) -> Result<Amount, Objection> {
        let value = cents(&reply.amount_value).filter(|value| *value > 0).ok_or(Objection::Amount)?;
        let same_currency = reply.amount_currency.is_empty()
            || self.currency.is_empty()
            || reply.amount_currency.eq_ignore_ascii_case(&self.currency);
        if !same_currency || self.amount_max.is_some_and(|most| value > most) {
            return Err(Objection::Amount);
        }
        let currency = if self.currency.is_empty() { &reply.amount_currency } else { &self.currency };
        // A currency is three letters; anything else would be free text on a topic.
        let is_currency = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_alphabetic());
        let currency = if is_currency { currency.to_ascii_uppercase() } else { "BRL".to_owned() };
        Ok(Amount { value: value.to_string(), currency })
    }
}

/// A number of cents: decimal digits and nothing else.
fn cents(text: &str) -> Option<u64> {
    let is_number = (1..=AMOUNT_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn list(value: &serde_json::Value) -> &[serde_json::Value] {
    value.as_array().map(Vec::as_slice).filter(|list| list.len() <= LIST_ENTRIES_MAX).unwrap_or_default()
}

fn texts(value: &serde_json::Value) -> Vec<String> {
    list(value).iter().filter_map(short).collect()
}

fn short(value: &serde_json::Value) -> Option<String> {
    let text = match value {
        serde_json::Value::String(text) => text.trim().to_owned(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return None,
    };
    ((1..=TEXT_BYTES_MAX).contains(&text.len())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> DisputeOffer {
        DisputeOffer::of_metadata(
            br#"{"negotiationReasons":["OUT_FOR_DELIVERY"],"metadata":{"acceptCancellationReasons":["HIGH_STORE_DEMAND"]},
            "alternatives":[{"id":"a-1","type":"REFUND","metadata":{"maxAmount":{"currency":"BRL","value":"800"}}},
            {"id":"a-2","type":"ADDITIONAL_TIME","metadata":{"allowedsAdditionalTimeInMinutes":[10,20],
            "allowedsAdditionalTimeReasons":["HIGH_STORE_DEMAND"]}},{"type":"REFUND"},7]}"#,
        )
    }

    fn told(verdict: Verdict, reply: &DisputeReply) -> Result<String, Objection> {
        offer().check(verdict, reply).map(|chosen| serde_json::to_string(&chosen).unwrap())
    }

    fn reason(reason: &str) -> DisputeReply {
        DisputeReply { reason: reason.to_owned(), ..DisputeReply::default() }
    }

    fn refund(value: &str, currency: &str) -> DisputeReply {
        DisputeReply {
            alternative_id: "a-1".to_owned(),
            amount_value: value.to_owned(),
            amount_currency: currency.to_owned(),
            ..DisputeReply::default()
        }
    }

    fn time(additional_minutes: u32, reason: &str) -> DisputeReply {
        let additional_reason = reason.to_owned();
        DisputeReply {
            alternative_id: "a-2".to_owned(),
            additional_minutes,
            additional_reason,
            ..DisputeReply::default()
        }
    }

    #[test]
    fn a_reason_is_one_of_the_events_list_or_not_said() {
        assert_eq!(told(Verdict::Accept, &reason("HIGH_STORE_DEMAND")).unwrap(), r#"{"reason":"HIGH_STORE_DEMAND"}"#);
        assert_eq!(told(Verdict::Accept, &reason("")).unwrap(), "{}");
        assert_eq!(told(Verdict::Accept, &reason("OUT_FOR_DELIVERY")), Err(Objection::Reason));
        assert_eq!(told(Verdict::Reject, &reason("out_for_delivery")).unwrap(), r#"{"reason":"OUT_FOR_DELIVERY"}"#);
        assert_eq!(told(Verdict::Reject, &reason("HIGH_STORE_DEMAND")), Err(Objection::Reason));
        let without_lists = DisputeOffer::of_metadata(b"{}").check(Verdict::Reject, &reason("call Ana"));
        assert_eq!(without_lists, Ok(Chosen::default()), "free text is not told");
    }

    #[test]
    fn an_alternative_keeps_to_what_was_offered() {
        let taken = told(Verdict::Alternative, &refund("0800", "")).unwrap();
        let expected = r#"{"selectedDisputeAlternative":{"id":"a-1","type":"REFUND","metadata":{"amount":{"value":"800","currency":"BRL"}}}}"#;
        assert_eq!(taken, expected);
        for (value, currency) in [("801", "BRL"), ("800", "USD"), ("", "BRL"), ("8.00", "BRL"), ("-1", ""), ("0", "")] {
            assert_eq!(told(Verdict::Alternative, &refund(value, currency)), Err(Objection::Amount), "{value}");
        }
        let taken = told(Verdict::Alternative, &time(20, "HIGH_STORE_DEMAND")).unwrap();
        let expected = r#"{"selectedDisputeAlternative":{"id":"a-2","type":"ADDITIONAL_TIME","metadata":{"additionalTimeInMinutes":20,"additionalTimeReason":"HIGH_STORE_DEMAND"}}}"#;
        assert_eq!(taken, expected);
        assert_eq!(told(Verdict::Alternative, &time(15, "")), Err(Objection::Time));
        assert_eq!(told(Verdict::Alternative, &time(0, "")), Err(Objection::Time));
        assert_eq!(told(Verdict::Alternative, &time(10, "traffic")), Err(Objection::TimeReason));
        let unknown = DisputeReply { alternative_id: "a-3".to_owned(), ..refund("1", "") };
        assert_eq!(told(Verdict::Alternative, &unknown), Err(Objection::AlternativeUnknown));
        let other_type = DisputeReply { alternative_type: "BENEFIT".to_owned(), ..refund("1", "") };
        assert_eq!(told(Verdict::Alternative, &other_type), Err(Objection::AlternativeType));
    }

    #[test]
    fn what_is_too_long_or_of_another_type_is_not_offered() {
        let long = format!(r#"{{"negotiationReasons":["{}",1],"alternatives":{{}}}}"#, "x".repeat(257));
        let offer = DisputeOffer::of_metadata(long.as_bytes());
        assert_eq!(offer.reject_reasons, ["1"]);
        assert!(offer.alternatives.is_empty());
        let many = format!(r#"{{"negotiationReasons":[{}1]}}"#, "1,".repeat(64));
        assert!(DisputeOffer::of_metadata(many.as_bytes()).reject_reasons.is_empty());
        assert_eq!(DisputeOffer::of_metadata(b"not json"), DisputeOffer::default());
    }
}
