//! The two codes of a delivery: where they stand in a placed order, who may see them, and how a guess is judged.
//!
//! The courier's code, `delivery.pickupCode`, is shown to the POS, which compares it at the counter. The customer's code,
//! `delivery.dropCode`, proves a delivery to whoever brings it: it is taken out of the body before the body is stored, kept
//! beside it, and served to nobody. Called by `wire` (placing), `core` (showing) and `planning` (checking). Neither code may
//! reach a log, an error or an event.

use bytes::Bytes;
use order_model::lifecycle::Action;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::raw_json::Fields;

const DELIVERY: &str = "delivery";
const PICKUP_CODE: &str = "pickupCode";
const DROP_CODE: &str = "dropCode";

/// Wrong guesses at one code of one order, for good. Of 10,000 codes of four digits, whoever guesses finds the right one once
/// in a thousand orders; a courier who mistypes has nine more tries, and internal apps can always report the code themselves.
pub(crate) const MISSES_MAX: u8 = 10;
/// A longer text is no code.
const CODE_BYTES_MAX: usize = 64;

/// Which code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKind {
    /// The courier's, at the merchant.
    Pickup,
    /// The customer's, at the door.
    Drop,
}

impl CodeKind {
    /// The code that `action` checks.
    pub(crate) const fn of_action(action: Action) -> Option<Self> {
        match action {
            Action::ValidatePickupCode => Some(Self::Pickup),
            Action::VerifyDeliveryCode | Action::VerifyCodeAtDestination => Some(Self::Drop),
            _ => None,
        }
    }
}

/// A code as somebody sent it. Has no `Debug` of its own text: it must not get into a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SentCode(String);

impl std::fmt::Debug for SentCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SentCode")
    }
}

impl SentCode {
    /// `None` for what can be no code.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (1..=CODE_BYTES_MAX).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// Whether it is `expected`, in a time that says nothing about either.
    fn is(&self, expected: &str) -> bool {
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        digest(&self.0).as_slice().ct_eq(digest(expected.trim()).as_slice()).into()
    }

    /// What tells two of them apart in an idempotency record, and is no code.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// What has been tried of one code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CodeChecks {
    /// Wrong guesses so far.
    pub(crate) misses: u8,
    /// It was right once.
    pub(crate) is_confirmed: bool,
}

/// What a guess is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Right, for the first time.
    Right,
    /// Right, and it was before.
    RightAgain,
    /// Wrong.
    Wrong,
    /// Not looked at: there were too many wrong ones.
    Locked,
}

impl CodeChecks {
    /// Judges `sent` against `expected`.
    pub(crate) fn judge(self, sent: &SentCode, expected: &str) -> Guess {
        if self.misses >= MISSES_MAX {
            return Guess::Locked;
        }
        match (sent.is(expected), self.is_confirmed) {
            (true, false) => Guess::Right,
            (true, true) => Guess::RightAgain,
            (false, _) => Guess::Wrong,
        }
    }

    /// After one more guess.
    pub(crate) fn after(self, guess: Guess) -> Self {
        match guess {
            Guess::Right => Self { is_confirmed: true, ..self },
            Guess::Wrong => Self { misses: self.misses.saturating_add(1), ..self },
            Guess::RightAgain | Guess::Locked => self,
        }
    }
}

/// An order's body as it is kept.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct OrderBody {
    /// The JSON that is served.
    pub(crate) json: Bytes,
    /// The customer's code.
    pub(crate) drop_code: Option<String>,
}

/// Sizes only: a body is personal data.
impl std::fmt::Debug for OrderBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderBody").field("json_bytes", &self.json.len()).finish_non_exhaustive()
    }
}

impl OrderBody {
    /// `json` without the customer's code, which is kept beside it. What has none stays byte for byte as it is.
    pub(crate) fn split(json: &Bytes) -> Self {
        match take_drop_code(json) {
            Some((json, code)) => Self { json: json.into(), drop_code: code },
            None => Self { json: json.clone(), drop_code: None },
        }
    }

    /// As it was read from the store. A body that an older version stored may still hold the code.
    pub(crate) fn stored(json: Bytes, drop_code: Option<String>) -> Self {
        let body = Self::split(&json);
        Self { drop_code: drop_code.or(body.drop_code), json: body.json }
    }

    /// The code of this kind, where the order has one.
    pub(crate) fn code(&self, kind: CodeKind) -> Option<String> {
        match kind {
            CodeKind::Pickup => {
                let order: Fields<'_> = serde_json::from_slice(&self.json).ok()?;
                let delivery: Fields<'_> = serde_json::from_str(order.last(DELIVERY)?.get()).ok()?;
                text(delivery.last(PICKUP_CODE)?)
            }
            CodeKind::Drop => self.drop_code.clone(),
        }
    }
}

/// `json` without any `delivery.dropCode`, and the last one of them; `None` when there is none.
fn take_drop_code(json: &[u8]) -> Option<(String, Option<String>)> {
    // A name may be written with escapes; without either of these it cannot be there.
    let may_have = json.windows(DROP_CODE.len()).any(|window| window == DROP_CODE.as_bytes())
        || json.windows(2).any(|window| window == b"\\u");
    if !may_have {
        return None;
    }
    let mut order: Fields<'_> = serde_json::from_slice(json).ok()?;
    let mut code = None;
    let mut rewritten = Vec::new();
    for (position, (name, value)) in order.0.iter().enumerate() {
        let Ok(mut delivery) = serde_json::from_str::<Fields<'_>>(value.get()) else { continue };
        let Some(found) = delivery.last(DROP_CODE).filter(|_| name == DELIVERY) else { continue };
        code = text(found).or(code);
        delivery.0.retain(|(name, _)| name != DROP_CODE);
        rewritten.push((position, RawValue::from_string(delivery.to_json()).ok()?));
    }
    if rewritten.is_empty() {
        return None;
    }
    for (position, value) in &rewritten {
        order.0[*position].1 = value;
    }
    Some((order.to_json(), code))
}

/// A code is written as a text, sometimes as a number.
fn text(value: &RawValue) -> Option<String> {
    let json = value.get();
    let text = match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok()?,
        b'0'..=b'9' => json.to_owned(),
        _ => return None,
    };
    SentCode::new(&text).map(|code| code.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(json: &str) -> (String, Option<String>) {
        let body = OrderBody::split(&Bytes::copy_from_slice(json.as_bytes()));
        (String::from_utf8(body.json.to_vec()).unwrap(), body.drop_code)
    }

    fn code(text: &str) -> SentCode {
        SentCode::new(text).unwrap()
    }

    #[test]
    fn the_customers_code_leaves_the_body_and_nothing_else_does() {
        let with =
            r#"{"id":"1","total":{"a":1.50},"delivery":{"pickupCode":"1234","dropCode":"9876","x":1.0},"z":1e1}"#;
        let without = r#"{"id":"1","total":{"a":1.50},"delivery":{"pickupCode":"1234","x":1.0},"z":1e1}"#;
        assert_eq!(split(with), (without.to_owned(), Some("9876".to_owned())));
        let untouched = r#" { "delivery" : {"pickupCode":"1234"} , "note" : "caf\u00e9 dropCode", "dropCode":1.50 } "#;
        assert_eq!(split(untouched), (untouched.to_owned(), None));
        for tricky in [
            r#"{"delivery":{"drop\u0043ode":"9876"}}"#,
            r#"{"\u0064elivery":{"dropCode":9876}}"#,
            r#"{"delivery":{"dropCode":"1","dropCode":"9876"}}"#,
        ] {
            assert_eq!(split(tricky), (r#"{"delivery":{}}"#.to_owned(), Some("9876".to_owned())), "{tricky}");
        }
        let none = r#"{"delivery":{"dropCode":null}}"#;
        assert_eq!(split(none), (r#"{"delivery":{}}"#.to_owned(), None));
        for odd in ["", "[]", r#"{"delivery":"dropCode"}"#] {
            assert_eq!(split(odd), (odd.to_owned(), None));
        }
    }

    #[test]
    fn codes_are_found_and_compared() {
        let body = OrderBody::split(&Bytes::from_static(br#"{"delivery":{"pickupCode":1234,"dropCode":" 98 "}}"#));
        assert_eq!(body.code(CodeKind::Pickup).as_deref(), Some("1234"));
        assert_eq!(body.code(CodeKind::Drop).as_deref(), Some("98"));
        assert_eq!(OrderBody::split(&Bytes::from_static(b"{}")).code(CodeKind::Pickup), None);
        assert!(code(" 0123 ").is("0123") && !code("123").is("0123") && !code("01234").is("0123"));
        assert!(SentCode::new(" ").is_none() && SentCode::new(&"1".repeat(65)).is_none());
        assert!(!format!("{:?}{body:?}", code("4711")).contains("4711"));
    }

    #[test]
    fn guesses_are_bounded_and_the_right_code_counts_once() {
        let mut checks = CodeChecks::default();
        for _ in 0..MISSES_MAX {
            assert_eq!(checks.judge(&code("1"), "2"), Guess::Wrong);
            checks = checks.after(Guess::Wrong);
        }
        assert_eq!(checks.judge(&code("2"), "2"), Guess::Locked);
        let confirmed = CodeChecks::default().after(CodeChecks::default().judge(&code("2"), "2"));
        assert_eq!(confirmed.judge(&code("2"), "2"), Guess::RightAgain);
        assert_eq!(confirmed.judge(&code("3"), "2"), Guess::Wrong);
    }
}
