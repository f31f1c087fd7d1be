//! What an application has asked to be sent: one webhook each, and the rules by which it is set and changed.
//!
//! Pure. Made by [`super::admin`] for the CLI and the REST endpoints, kept by [`super::store`]. Who asks, and whether the application
//! exists, is for those two to know. What each form asks for is [`super::dialect`]'s.

use std::time::Duration;

use order_model::{ApplicationId, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::dial::DialRules;
use super::dialect::{Dialect, NEW_EVENT_PATH};
use super::signing::{standard_secret, standard_secret_bytes};

/// A secret that was replaced signs beside the new one for this long, so that a receiver can be changed over at leisure.
pub const PREVIOUS_SECRET_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest client secret; those of ours have 43 characters.
const CLIENT_SECRET_MAX_BYTES: usize = 256;

/// Whether keep-alives are sent, and what an answer to one says (PARTNER_API, 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceMode {
    /// None are sent: presence comes from polls alone.
    None,
    /// 202 says that all stores of the application are online.
    All,
    /// The answer lists the stores that are.
    PerMerchant,
}

impl PresenceMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::None, Self::All, Self::PerMerchant];

    /// Its name to partners and operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::All => "ALL",
            Self::PerMerchant => "PER_MERCHANT",
        }
    }

    /// Reads a name, in any case, also with a dash.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.replace('-', "_");
        Self::ALL.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(&text))
    }
}

/// Why nothing is sent for the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The receiver has answered 410.
    Gone,
    /// The receiver has been failing for long.
    Failing,
}

impl PauseReason {
    /// A stable code.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gone => "GONE",
            Self::Failing => "FAILING",
        }
    }

    /// Reads the code.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Gone, Self::Failing].into_iter().find(|reason| reason.name() == text)
    }
}

/// The webhook of one application.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Whose it is.
    pub application: ApplicationId,
    /// Where events go. Judged again before every dial.
    pub url: String,
    /// How they look.
    pub dialect: Dialect,
    /// Whether and how the receiver tells who is online.
    pub presence: PresenceMode,
    /// Whether a delivery acknowledges its event for polls as well.
    pub acknowledges: bool,
    /// What signs.
    pub secret: SecretString,
    /// What signed before, and until when it signs as well.
    pub previous_secret: Option<(SecretString, Timestamp)>,
    /// Since when and why nothing is sent.
    pub paused: Option<(PauseReason, Timestamp)>,
    /// When it was last resumed, or sent elsewhere.
    pub resumed_at: Option<Timestamp>,
    /// Grows with every change.
    pub version: u64,
    /// When it was set first.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A webhook as somebody asks for it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where events go.
    pub url: String,
    /// How they look.
    pub dialect: Dialect,
    /// Whether and how the receiver tells who is online.
    pub presence: PresenceMode,
    /// Whether a delivery acknowledges its event for polls as well; none for what the dialect has by itself.
    pub acknowledges: Option<bool>,
    /// What signs; none to keep the one there is, or to have one made.
    pub secret: Option<SecretString>,
}

/// Something about a wanted webhook is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Unacceptable {
    /// The field.
    pub field: &'static str,
    /// What was expected.
    pub message: String,
}

/// A webhook as it is to be stored, and the secret that was made for it, to be shown once.
pub struct Set {
    /// To be stored.
    pub subscription: Subscription,
    /// Made by us just now.
    pub made_secret: Option<SecretString>,
}

impl Wanted {
    /// The webhook that results, where `existing` is the one there is. `fresh` is used where a secret has to be made.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn apply(
        self,
        application: &ApplicationId,
        existing: Option<&Subscription>,
        rules: DialRules,
        fresh: &[u8; 32],
        now: Timestamp,
    ) -> Result<Set, Unacceptable> {
        let refused = |field, message: &str| Unacceptable { field, message: message.to_owned() };
        self.check_form().map_err(|(field, message)| refused(field, message))?;
        rules.check_url(&self.dialect.target(&self.url)).map_err(|refusal| refused("url", &refusal.to_string()))?;
        let of_dialect = existing.filter(|existing| existing.dialect == self.dialect);
        let (secret, made_secret) = match (self.secret, of_dialect, self.dialect) {
            (Some(secret), _, dialect) => (accepted(secret, dialect)?, None),
            (None, Some(existing), _) => (existing.secret.clone(), None),
            (None, None, Dialect::Standard) => {
                let made = SecretString::from(standard_secret(fresh));
                (made.clone(), Some(made))
            }
            (None, None, Dialect::IFood | Dialect::OpenDelivery) => {
                return Err(refused("secret", "expected the client secret that the receiver checks signatures with"));
            }
        };
        let replaced = of_dialect.filter(|existing| existing.secret.expose_secret() != secret.expose_secret());
        let previous_secret = match replaced {
            Some(existing) => Some((existing.secret.clone(), now.plus(PREVIOUS_SECRET_KEPT))),
            None => of_dialect.and_then(|existing| existing.previous_secret.clone()).filter(|(_, until)| now < *until),
        };
        let is_elsewhere = existing.is_some_and(|existing| existing.url != self.url);
        let subscription = Subscription {
            application: application.clone(),
            url: self.url,
            dialect: self.dialect,
            presence: self.presence,
            acknowledges: self.acknowledges.unwrap_or(self.dialect.answers_acknowledge()),
            secret,
            previous_secret,
            // What failed was the receiver at the other URL.
            paused: existing.filter(|_| !is_elsewhere).and_then(|existing| existing.paused),
            resumed_at: if is_elsewhere { Some(now) } else { existing.and_then(|existing| existing.resumed_at) },
            version: existing.map_or(1, |existing| existing.version + 1),
            created_at: existing.map_or(now, |existing| existing.created_at),
            updated_at: now,
        };
        Ok(Set { subscription, made_secret })
    }

    /// Whether the dialect knows all that is asked for; else the field and what was expected.
    fn check_form(&self) -> Result<(), (&'static str, &'static str)> {
        let is_base = !self.url.contains('?') && !self.url.trim_end_matches('/').ends_with(NEW_EVENT_PATH);
        if self.dialect == Dialect::OpenDelivery && !is_base {
            return Err(("url", "expected the base URL, to which /v1/newEvent is added, without a query"));
        }
        if self.dialect.answers_acknowledge() && self.acknowledges == Some(false) {
            return Err(("acknowledges", "expected true: in this dialect the receiver's answer is the acknowledgment"));
        }
        if !self.dialect.has_keepalives() && self.presence != PresenceMode::None {
            return Err(("presence", "expected NONE: this dialect has no keep-alives"));
        }
        Ok(())
    }
}

fn accepted(secret: SecretString, dialect: Dialect) -> Result<SecretString, Unacceptable> {
    let text = secret.expose_secret();
    let message = match dialect {
        Dialect::IFood | Dialect::OpenDelivery
            if (1..=CLIENT_SECRET_MAX_BYTES).contains(&text.len()) && text.is_ascii() =>
        {
            return Ok(secret);
        }
        Dialect::Standard if standard_secret_bytes(text).is_some() => return Ok(secret),
        Dialect::IFood | Dialect::OpenDelivery => "expected 1 to 256 ASCII characters",
        Dialect::Standard => "expected whsec_ and 24 to 64 bytes in base64",
    };
    Err(Unacceptable { field: "secret", message: message.to_owned() })
}

impl Subscription {
    /// The secrets that sign at `now`, the newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> Vec<&str> {
        let previous = self.previous_secret.as_ref().filter(|(_, until)| now < *until);
        let previous = previous.map(|(secret, _)| secret.expose_secret());
        std::iter::once(self.secret.expose_secret()).chain(previous).collect()
    }

    /// The same, paused. One that is paused already stays as it is.
    #[must_use]
    pub fn pause(&self, reason: PauseReason, now: Timestamp) -> Option<Self> {
        let changed =
            || Self { paused: Some((reason, now)), version: self.version + 1, updated_at: now, ..self.clone() };
        self.paused.is_none().then(changed)
    }

    /// The same, going on; `None` when it is not paused.
    #[must_use]
    pub fn resume(&self, now: Timestamp) -> Option<Self> {
        self.paused?;
        let resumed_at = Some(now);
        Some(Self { paused: None, resumed_at, version: self.version + 1, updated_at: now, ..self.clone() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::webhooks) fn subscription(dialect: Dialect) -> Subscription {
        let secret = match dialect {
            Dialect::IFood | Dialect::OpenDelivery => "dummysecret".to_owned(),
            Dialect::Standard => standard_secret(&[1; 32]),
        };
        let wanted = wanted(dialect, Some(&secret));
        let at = Timestamp::from_unix_ms(1_000);
        wanted.apply(&"pos".parse().unwrap(), None, DialRules::default(), &[0; 32], at).unwrap().subscription
    }

    fn wanted(dialect: Dialect, secret: Option<&str>) -> Wanted {
        Wanted {
            url: "https://pos.example.com/hook".to_owned(),
            dialect,
            presence: PresenceMode::None,
            acknowledges: None,
            secret: secret.map(|secret| SecretString::from(secret.to_owned())),
        }
    }

    fn set(existing: Option<&Subscription>, wanted: Wanted, at_ms: i64) -> Result<Set, Unacceptable> {
        let at = Timestamp::from_unix_ms(at_ms);
        wanted.apply(&"pos".parse().unwrap(), existing, DialRules::default(), &[9; 32], at)
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bad = Wanted { url: "http://10.0.0.1/".to_owned(), ..wanted(Dialect::IFood, Some("s")) };
        assert_eq!(set(None, bad, 0).err().unwrap().to_string(), "url: expected https");
        assert_eq!(set(None, wanted(Dialect::IFood, None), 0).err().unwrap().field, "secret");
        for (dialect, secret) in [(Dialect::IFood, ""), (Dialect::IFood, "ção"), (Dialect::Standard, "whsec_short")] {
            assert_eq!(set(None, wanted(dialect, Some(secret)), 0).err().unwrap().field, "secret", "{secret}");
        }
        assert!(set(None, wanted(Dialect::IFood, Some(&"x".repeat(257))), 0).is_err());
    }

    #[test]
    fn a_secret_is_made_once_and_kept_by_later_changes() {
        let first = set(None, wanted(Dialect::Standard, None), 0).unwrap();
        assert_eq!(first.made_secret.unwrap().expose_secret(), standard_secret(&[9; 32]));
        let second = set(Some(&first.subscription), wanted(Dialect::Standard, None), 1).unwrap();
        assert!(second.made_secret.is_none() && second.subscription.previous_secret.is_none());
        assert_eq!(second.subscription.secret.expose_secret(), first.subscription.secret.expose_secret());
        assert_eq!((first.subscription.version, second.subscription.version), (1, 2));
    }

    #[test]
    fn a_replaced_secret_signs_for_a_day() {
        let first = subscription(Dialect::Standard);
        let new = standard_secret(&[2; 32]);
        let second = set(Some(&first), wanted(Dialect::Standard, Some(&new)), 0).unwrap().subscription;
        let day_ms = 24 * 60 * 60 * 1000;
        let secrets = |at_ms| second.signing_secrets(Timestamp::from_unix_ms(at_ms));
        assert_eq!(secrets(day_ms - 1), [new.as_str(), first.secret.expose_secret()]);
        assert_eq!(secrets(day_ms), [new.as_str()]);
        let third = set(Some(&second), wanted(Dialect::Standard, None), day_ms / 2).unwrap().subscription;
        assert!(third.previous_secret.is_some(), "changing something else leaves the rotation alone");
        let other = set(Some(&second), wanted(Dialect::IFood, Some("client-secret")), 1).unwrap().subscription;
        assert!(other.previous_secret.is_none(), "a secret of another dialect signs nothing");
    }

    #[test]
    fn open_delivery_takes_a_base_url_and_acknowledges_by_itself() {
        let od = || wanted(Dialect::OpenDelivery, Some("client-secret"));
        assert!(set(None, od(), 0).unwrap().subscription.acknowledges);
        assert!(!set(None, wanted(Dialect::IFood, Some("s")), 0).unwrap().subscription.acknowledges);
        let field = |wanted: Wanted| set(None, wanted, 0).err().map(|wrong| wrong.field);
        assert_eq!(field(Wanted { acknowledges: Some(false), ..od() }), Some("acknowledges"));
        assert_eq!(field(Wanted { presence: PresenceMode::All, ..od() }), Some("presence"));
        assert_eq!(field(Wanted { secret: None, ..od() }), Some("secret"));
        for url in ["https://pos.example.com/?a=b", "https://pos.example.com/v1/newEvent/", "http://pos.example.com"] {
            assert_eq!(field(Wanted { url: url.to_owned(), ..od() }), Some("url"), "{url}");
        }
        let long = |bytes: usize| format!("https://pos.example.com/{}", "a".repeat(bytes - 24));
        assert_eq!(field(Wanted { url: long(238), ..od() }), None);
        assert_eq!(field(Wanted { url: long(239), ..od() }), Some("url"), "with what is added it is too long");
    }

    #[test]
    fn a_pause_ends_by_resuming_or_by_another_url() {
        let at = Timestamp::from_unix_ms(5);
        let paused = subscription(Dialect::IFood).pause(PauseReason::Gone, at).unwrap();
        assert!(paused.pause(PauseReason::Failing, at).is_none(), "once");
        let same = set(Some(&paused), wanted(Dialect::IFood, None), 9).unwrap().subscription;
        assert_eq!((same.paused, same.resumed_at), (Some((PauseReason::Gone, at)), None));
        let elsewhere = Wanted { url: "https://new.example.com/".to_owned(), ..wanted(Dialect::IFood, None) };
        let elsewhere = set(Some(&paused), elsewhere, 9).unwrap().subscription;
        assert_eq!((elsewhere.paused, elsewhere.resumed_at), (None, Some(Timestamp::from_unix_ms(9))));
        let resumed = paused.resume(Timestamp::from_unix_ms(7)).unwrap();
        assert_eq!((resumed.paused, resumed.resumed_at, resumed.version), (None, Some(Timestamp::from_unix_ms(7)), 3));
        assert!(resumed.resume(at).is_none());
    }

    #[test]
    fn names_read_back_and_secrets_stay_out_of_debug() {
        assert!(PresenceMode::ALL.iter().all(|mode| PresenceMode::parse(mode.name()) == Some(*mode)));
        assert_eq!(PresenceMode::parse("per-merchant"), Some(PresenceMode::PerMerchant));
        assert_eq!(PresenceMode::parse(""), None);
        assert!(!format!("{:?}", subscription(Dialect::IFood)).contains("dummysecret"));
    }
}
