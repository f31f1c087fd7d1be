//! Where the reading of one merchant's document stands.
//!
//! Pure: time is an argument. The table of webhooks holds it, and takes it where its version is still the one that was read. As with deliveries of webhooks, the
//! instant at which a read is due is its lease as well.

use std::time::Duration;

use order_model::{ApplicationId, MerchantId, Timestamp};
use secrecy::SecretString;

/// How long who takes a read has for it: fetching takes 15 s at most, looking and storing a few more.
pub const LEASE: Duration = Duration::from_secs(60);
/// From the first failure to the next attempt; it doubles with each in a row.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The longest wait after failures.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// When a read that our own dependencies prevented is tried again.
const POSTPONED_FOR: Duration = Duration::from_secs(5);

/// How the last read went, in Open Delivery's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The document is stored.
    Success,
    /// One was asked for.
    Processing,
    /// It could not be read, or is not one.
    Fail,
}

impl Reading {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Success, Self::Processing, Self::Fail];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Processing => "PROCESSING",
            Self::Fail => "FAIL",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reading| reading.name() == text)
    }
}

/// Where a stored document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// Names its parts.
    pub generation: String,
    /// How many parts.
    pub parts: u32,
    /// When it was stored.
    pub stored_at: Timestamp,
}

/// What a POS says about where it can be reached.
#[derive(Debug, Clone)]
pub struct PosEndpoints {
    /// `GET {base_url}/v1/merchant` is the document.
    pub base_url: String,
    /// What it is asked with, as `X-API-KEY`.
    pub api_key: Option<SecretString>,
    /// Where it would like events; see [`super`].
    pub orders_webhook_url: Option<String>,
}

/// One merchant.
#[derive(Debug, Clone)]
pub struct PosMenu {
    /// Whose document.
    pub merchant: MerchantId,
    /// On behalf of whom it is read.
    pub application: ApplicationId,
    /// Where from.
    pub endpoints: PosEndpoints,
    /// How it went.
    pub reading: Reading,
    /// When the last attempt was, or the first was asked for.
    pub last_read: Timestamp,
    /// What went wrong.
    pub more_info: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// When to read next; none when nothing is planned.
    pub due_at: Option<Timestamp>,
    /// What is stored.
    pub document: Option<StoredDocument>,
    /// Grows with every write.
    pub version: u64,
}

impl PosMenu {
    /// One that is onboarded, or onboarded again.
    pub fn onboarded(
        existing: Option<Self>,
        merchant: MerchantId,
        application: ApplicationId,
        endpoints: PosEndpoints,
        now: Timestamp,
    ) -> Self {
        let (document, version, last_read) = match existing {
            Some(existing) => (existing.document, existing.version, existing.last_read),
            None => (None, 0, now),
        };
        let (reading, more_info, failures, due_at) = (Reading::Processing, None, 0, Some(now));
        let version = version + 1;
        Self { merchant, application, endpoints, reading, last_read, more_info, failures, due_at, document, version }
    }

    /// Somebody wants it read now.
    pub fn ask(&mut self, now: Timestamp) {
        self.version += 1;
        (self.reading, self.more_info, self.failures, self.due_at) = (Reading::Processing, None, 0, Some(now));
    }

    /// Takes it for a read; `false` when none is due, most often because another worker has it.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let is_due = self.due_at.is_some_and(|due_at| due_at <= now);
        if is_due {
            self.version += 1;
            self.due_at = Some(now.plus(LEASE));
        }
        is_due
    }

    /// It was read and stored; `ttl_s` says how long it may be used.
    pub fn succeeded(&mut self, document: StoredDocument, ttl_s: u64, now: Timestamp) {
        self.version += 1;
        (self.reading, self.more_info, self.failures) = (Reading::Success, None, 0);
        (self.last_read, self.due_at) = (now, Some(now.plus(Duration::from_secs(ttl_s))));
        self.document = Some(document);
    }

    /// It could not be read, or is no document. The one before stays.
    pub fn failed(&mut self, why: String, now: Timestamp) {
        self.version += 1;
        self.failures = self.failures.saturating_add(1);
        let wait = AGAIN_AFTER.saturating_mul(2_u32.saturating_pow(self.failures - 1)).min(AGAIN_AFTER_MAX);
        (self.reading, self.more_info) = (Reading::Fail, Some(why));
        (self.last_read, self.due_at) = (now, Some(now.plus(wait)));
    }

    /// The application no longer has the merchant: nothing is read until somebody onboards it again.
    pub fn revoked(&mut self, why: String, now: Timestamp) {
        self.failed(why, now);
        self.due_at = None;
    }

    /// What is needed to read it cannot be asked for at the moment.
    pub fn postpone(&mut self, now: Timestamp) {
        self.version += 1;
        self.due_at = Some(now.plus(POSTPONED_FOR));
    }

    /// The POS has sent a part of it. What is planned stays planned.
    pub fn updated(&mut self, document: StoredDocument) {
        self.version += 1;
        self.document = Some(document);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_000_000);

    pub(crate) fn onboarded() -> PosMenu {
        let endpoints = PosEndpoints {
            base_url: "https://pos.example.com/1".to_owned(),
            api_key: Some(SecretString::from("key".to_owned())),
            orders_webhook_url: None,
        };
        PosMenu::onboarded(None, MerchantId::from_bytes([1; 16]), "pos".parse().unwrap(), endpoints, START)
    }

    fn document() -> StoredDocument {
        StoredDocument { generation: "g".to_owned(), parts: 1, stored_at: START }
    }

    #[test]
    fn one_worker_takes_a_read_and_one_that_never_comes_back_is_replaced() {
        let mut menu = onboarded();
        assert!(menu.take(START) && !menu.take(START) && !menu.take(START.plus(LEASE / 2)));
        assert!(menu.take(START.plus(LEASE)));
        assert_eq!(menu.reading, Reading::Processing);
    }

    #[test]
    fn it_is_read_again_when_its_time_is_over_and_later_and_later_while_that_fails() {
        let mut menu = onboarded();
        menu.succeeded(document(), 600, START);
        assert_eq!((menu.reading, menu.due_at), (Reading::Success, Some(START.plus(Duration::from_secs(600)))));
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                menu.failed("why".to_owned(), START);
                menu.due_at.unwrap().since(START).as_secs()
            })
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!((menu.reading, menu.document.is_some()), (Reading::Fail, true), "the last good one stays");
        menu.ask(START);
        assert_eq!((menu.reading, menu.due_at, menu.failures), (Reading::Processing, Some(START), 0));
        menu.revoked("why".to_owned(), START);
        assert!(menu.due_at.is_none() && !menu.take(Timestamp::MAX));
    }

    #[test]
    fn every_change_is_a_new_version_and_onboarding_again_keeps_the_document() {
        let mut menu = onboarded();
        menu.updated(document());
        menu.postpone(START);
        assert_eq!(menu.version, 3);
        let (merchant, application, endpoints) = (menu.merchant, menu.application.clone(), menu.endpoints.clone());
        let again = PosMenu::onboarded(Some(menu), merchant, application, endpoints, START);
        assert_eq!((again.version, again.document.as_ref()), (4, Some(&document())));
        assert!(!format!("{again:?}").contains("key\""), "secrets stay out of debug");
    }
}
