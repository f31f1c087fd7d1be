//! An application as it is stored, and its items.
//!
//! Used by the rest of `store` and by the directory. Secrets are 256 random bits, so one salted SHA-256 is enough; a password
//! hash would only make the token endpoint easy to overload.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use event_feed::Grant;
use order_model::{ApplicationId, MerchantId, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::StoreError;
use super::authorisations::StoredAuthorisation;
use super::modules::{WITHHELD_MODULES, modules_value, read_modules};
use super::revoked_tokens::RevokedToken;
use crate::modules::Modules;
use crate::open_delivery::OpenDeliveryVersion;

/// The format of every item this version writes.
pub(super) const FORMAT: u64 = 1;
/// The sort key of an application's own item.
pub(super) const APPLICATION_SK: &str = "application";
/// The tokens of an application that were taken back one by one; absent when there are none.
pub(super) const REVOKED_TOKENS: &str = "revoked_tokens";
/// Which Open Delivery an application knows; absent for the newest.
pub(super) const OPEN_DELIVERY_VERSION: &str = "open_delivery_version";
/// What the sort keys of grants begin with.
pub(super) const GRANT_SK: &str = "grant#";

/// An item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A client secret as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedSecret {
    salt: [u8; 16],
    digest: [u8; 32],
    /// When it stops counting; `None` for the current one.
    pub valid_until: Option<Timestamp>,
}

impl HashedSecret {
    /// Hashes `secret` under `salt`.
    pub fn new(secret: &str, salt: [u8; 16]) -> Self {
        Self { salt, digest: digest(&salt, secret), valid_until: None }
    }

    /// Whether `secret` is it and counts at `now`. Takes the same time whatever was sent.
    pub fn matches(&self, secret: &str, now: Timestamp) -> bool {
        let same = bool::from(digest(&self.salt, secret).ct_eq(&self.digest));
        same && self.valid_until.is_none_or(|until| now < until)
    }
}

impl std::fmt::Debug for HashedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedSecret(redacted)")
    }
}

fn digest(salt: &[u8; 16], secret: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(secret.as_bytes()).finalize().into()
}

/// Where an application's permissions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// From its grants; it gets tokens for its credentials alone.
    #[default]
    Centralised,
    /// From authorisations, each for the merchants of one flow; it runs at many who must not see each other.
    Distributed,
}

/// An application without its grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRecord {
    /// The OAuth client id.
    pub id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// Where its permissions come from.
    pub kind: Kind,
    /// Secrets that count or counted, newest last; at most two.
    pub secrets: Vec<HashedSecret>,
    /// No token of it counts.
    pub revoked: bool,
    /// Tokens issued before this instant do not count.
    pub not_before: Timestamp,
    /// Authorisations approved before this instant do not count. A new secret leaves it as it is: restaurants need not
    /// approve again because a vendor changed its secret.
    pub authorised_from: Timestamp,
    /// Single tokens of it that were taken back, until they have ended by themselves.
    pub revoked_tokens: BTreeSet<RevokedToken>,
    /// The modules of the API that it has.
    pub modules: Modules,
    /// The version of Open Delivery it was written for.
    pub open_delivery_version: OpenDeliveryVersion,
    /// The revision of its last change.
    pub revision: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An application with its grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApplication {
    /// The application.
    pub record: ApplicationRecord,
    /// The merchants it was given.
    pub grants: Vec<Grant>,
    /// What merchants have authorised, if it is a distributed one.
    pub authorisations: Vec<StoredAuthorisation>,
}

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn application_pk(id: &ApplicationId) -> AttributeValue {
    text(&format!("application#{id}"))
}

pub(super) fn key(pk: AttributeValue, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), pk), ("sk".to_owned(), text(sk))])
}

pub(super) fn secrets_value(secrets: &[HashedSecret]) -> AttributeValue {
    let one = |secret: &HashedSecret| {
        let mut map = HashMap::from([
            ("salt".to_owned(), AttributeValue::B(Blob::new(secret.salt))),
            ("digest".to_owned(), AttributeValue::B(Blob::new(secret.digest))),
        ]);
        if let Some(until) = secret.valid_until {
            map.insert("valid_until_ms".to_owned(), number(until.unix_ms()));
        }
        AttributeValue::M(map)
    };
    AttributeValue::L(secrets.iter().map(one).collect())
}

pub(super) fn application_item(record: &ApplicationRecord) -> Item {
    let mut item = key(application_pk(&record.id), APPLICATION_SK);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("id".to_owned(), text(record.id.as_str())),
        ("name".to_owned(), text(&record.name)),
        ("secrets".to_owned(), secrets_value(&record.secrets)),
        ("revoked".to_owned(), AttributeValue::Bool(record.revoked)),
        ("not_before_ms".to_owned(), number(record.not_before.unix_ms())),
        ("revision".to_owned(), number(record.revision)),
        ("created_at_ms".to_owned(), number(record.created_at.unix_ms())),
    ]);
    // Absent where they say nothing: such items are what the first version wrote, and reads.
    if record.kind == Kind::Distributed {
        item.insert("distributed".to_owned(), AttributeValue::Bool(true));
    }
    if record.authorised_from > Timestamp::default() {
        item.insert("authorised_from_ms".to_owned(), number(record.authorised_from.unix_ms()));
    }
    if !record.revoked_tokens.is_empty() {
        item.insert(REVOKED_TOKENS.to_owned(), revoked_tokens_value(&record.revoked_tokens));
    }
    let withheld = Modules::ALL.without(record.modules);
    if !withheld.is_empty() {
        item.insert(WITHHELD_MODULES.to_owned(), modules_value(withheld));
    }
    if record.open_delivery_version != OpenDeliveryVersion::default() {
        item.insert(OPEN_DELIVERY_VERSION.to_owned(), text(record.open_delivery_version.name()));
    }
    item
}

pub(super) fn read_text<'a>(item: &'a Item, field: &'static str) -> Result<&'a str, StoreError> {
    item.get(field).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or(StoreError::Malformed { field })
}

pub(super) fn read_number<T: std::str::FromStr>(item: &Item, field: &'static str) -> Result<T, StoreError> {
    let digits = item.get(field).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or(StoreError::Malformed { field })
}

/// A number that grows with every write. One that could not grow any more was never written: at a write a nanosecond it would
/// have taken 292 years.
pub(super) fn read_counter(item: &Item, field: &'static str) -> Result<u64, StoreError> {
    let number: u64 = read_number(item, field)?;
    if number < i64::MAX.unsigned_abs() { Ok(number) } else { Err(StoreError::Malformed { field }) }
}

/// A flag that is written only where it is set.
fn read_flag(item: &Item, field: &'static str) -> Result<bool, StoreError> {
    match item.get(field) {
        None => Ok(false),
        Some(value) => value.as_bool().copied().map_err(|_| StoreError::Malformed { field }),
    }
}

fn read_bytes<const N: usize>(item: &Item, field: &'static str) -> Result<[u8; N], StoreError> {
    let blob = item.get(field).and_then(|value| value.as_b().ok());
    blob.and_then(|blob| blob.as_ref().try_into().ok()).ok_or(StoreError::Malformed { field })
}

fn read_secret(value: &AttributeValue) -> Result<HashedSecret, StoreError> {
    let map = value.as_m().map_err(|_| StoreError::Malformed { field: "secrets" })?;
    let valid_until = match map.get("valid_until_ms") {
        Some(_) => Some(Timestamp::from_unix_ms(read_number(map, "valid_until_ms")?)),
        None => None,
    };
    Ok(HashedSecret { salt: read_bytes(map, "salt")?, digest: read_bytes(map, "digest")?, valid_until })
}

pub(super) fn read_secrets(item: &Item, field: &'static str) -> Result<Vec<HashedSecret>, StoreError> {
    let secrets = item.get(field).and_then(|value| value.as_l().ok());
    secrets.ok_or(StoreError::Malformed { field })?.iter().map(read_secret).collect()
}

/// A set of texts, which is added to and taken from without reading it first.
pub(super) fn revoked_tokens_value<'a>(tokens: impl IntoIterator<Item = &'a RevokedToken>) -> AttributeValue {
    AttributeValue::Ss(tokens.into_iter().map(|token| token.to_text()).collect())
}

fn read_revoked_tokens(value: &AttributeValue) -> Result<BTreeSet<RevokedToken>, StoreError> {
    let malformed = || StoreError::Malformed { field: REVOKED_TOKENS };
    let texts = value.as_ss().map_err(|_| malformed())?;
    texts.iter().map(|text| RevokedToken::read(text).ok_or_else(malformed)).collect()
}

pub(super) fn read_application(item: &Item) -> Result<ApplicationRecord, StoreError> {
    if read_number::<u64>(item, "format")? != FORMAT {
        return Err(StoreError::Malformed { field: "format" });
    }
    // Never a guess: what a distributed application may see is decided otherwise than for a centralised one.
    let is_distributed = read_flag(item, "distributed")?;
    let authorised_from_ms = match item.get("authorised_from_ms") {
        Some(_) => read_number(item, "authorised_from_ms")?,
        None => 0,
    };
    // One that only a later version knows must not keep the whole table from being read.
    let open_delivery_version =
        read_text(item, OPEN_DELIVERY_VERSION).ok().and_then(OpenDeliveryVersion::parse).unwrap_or_default();
    let revoked_tokens = match item.get(REVOKED_TOKENS) {
        Some(value) => read_revoked_tokens(value)?,
        None => BTreeSet::new(),
    };
    Ok(ApplicationRecord {
        id: read_text(item, "id")?.parse().map_err(|_| StoreError::Malformed { field: "id" })?,
        name: read_text(item, "name")?.to_owned(),
        kind: if is_distributed { Kind::Distributed } else { Kind::Centralised },
        secrets: read_secrets(item, "secrets")?,
        revoked: *item
            .get("revoked")
            .and_then(|value| value.as_bool().ok())
            .ok_or(StoreError::Malformed { field: "revoked" })?,
        not_before: Timestamp::from_unix_ms(read_number(item, "not_before_ms")?),
        authorised_from: Timestamp::from_unix_ms(authorised_from_ms),
        revoked_tokens,
        modules: read_modules(item)?,
        open_delivery_version,
        revision: read_counter(item, "revision")?,
        created_at: Timestamp::from_unix_ms(read_number(item, "created_at_ms")?),
    })
}

pub(super) fn grant_item(application: &ApplicationId, grant: Grant) -> Item {
    let mut item = key(application_pk(application), &format!("{GRANT_SK}{}", grant.merchant));
    item.insert("format".to_owned(), number(FORMAT));
    item.insert("granted_at_ms".to_owned(), number(grant.granted_at.unix_ms()));
    item
}

pub(super) fn read_grant(item: &Item) -> Result<Grant, StoreError> {
    let merchant = read_text(item, "sk")?.strip_prefix(GRANT_SK).and_then(|id| id.parse::<MerchantId>().ok());
    Ok(Grant {
        merchant: merchant.ok_or(StoreError::Malformed { field: "sk" })?,
        granted_at: Timestamp::from_unix_ms(read_number(item, "granted_at_ms")?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::revoked_tokens::TokenId;
    use super::*;
    use crate::modules::Module;

    #[test]
    fn an_application_and_a_grant_survive_their_items() {
        let mut old = HashedSecret::new("old", [2; 16]);
        old.valid_until = Some(Timestamp::from_unix_ms(9));
        let record = ApplicationRecord {
            id: "app".parse().unwrap(),
            name: "An app".to_owned(),
            kind: Kind::Distributed,
            secrets: vec![old, HashedSecret::new("new", [1; 16])],
            revoked: true,
            not_before: Timestamp::from_unix_ms(5),
            authorised_from: Timestamp::from_unix_ms(4),
            revoked_tokens: BTreeSet::from([
                RevokedToken { id: TokenId::from_bytes([7; 16]), until: Timestamp::from_unix_ms(9_000) },
                RevokedToken { id: TokenId::from_bytes([8; 16]), until: Timestamp::from_unix_ms(8_000) },
            ]),
            modules: Modules::ALL.without([Module::Catalog, Module::OpenDelivery].into_iter().collect()),
            open_delivery_version: OpenDeliveryVersion::V1_3,
            revision: 7,
            created_at: Timestamp::from_unix_ms(3),
        };
        assert_eq!(read_application(&application_item(&record)).unwrap(), record);
        let mut old = application_item(&record);
        old.remove("distributed");
        old.remove("authorised_from_ms");
        old.remove(OPEN_DELIVERY_VERSION);
        old.remove(WITHHELD_MODULES);
        let old = read_application(&old).unwrap();
        assert_eq!(
            (old.kind, old.authorised_from, old.open_delivery_version, old.modules),
            (Kind::Centralised, Timestamp::default(), OpenDeliveryVersion::V1_7, Modules::ALL),
            "as it was first written"
        );
        let grant = Grant { merchant: MerchantId::from_bytes([4; 16]), granted_at: Timestamp::from_unix_ms(8) };
        assert_eq!(read_grant(&grant_item(&record.id, grant)).unwrap(), grant);
    }

    #[test]
    fn a_secret_counts_until_its_end_and_its_debug_shows_nothing() {
        let mut secret = HashedSecret::new("s3cret", [1; 16]);
        assert!(secret.matches("s3cret", Timestamp::from_unix_ms(10)));
        assert!(!secret.matches("S3cret", Timestamp::from_unix_ms(10)));
        secret.valid_until = Some(Timestamp::from_unix_ms(10));
        assert!(!secret.matches("s3cret", Timestamp::from_unix_ms(10)));
        assert_eq!(format!("{secret:?}"), "HashedSecret(redacted)");
    }
}
