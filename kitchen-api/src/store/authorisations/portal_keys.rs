//! Portal keys: the secret by which a merchant's owner approves a request, and how often one may be tried.
//!
//! The CLI makes them, the activation page checks them. Attempts are counted in the table before anything is compared, so
//! that they are bounded over all instances, however many try at once.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use order_model::{MerchantId, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::codes;
use super::items::{expiry, portal_key_item, portal_key_key, read_portal_key};
use crate::store::records::{FORMAT, HashedSecret, key, number, text};
use crate::store::requests::{send, send_or_unavailable, unavailable};
use crate::store::{Applications, StoreError};

/// The length of a window in which attempts are counted.
const WINDOW_MS: i64 = 10 * 60 * 1000;

/// Requests that an application may open in a window: a vendor that is rolled out to a chain, and room for one who opens some to
/// annoy.
pub(crate) const OPENED_MAX: u32 = 2_000;

/// What is counted in windows of ten minutes, and how much of it there may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted<'a> {
    /// Requests opened by an application: what may be open at once is at most twice that.
    Opened(&'a str),
    /// Portal keys tried for a merchant.
    KeysOf(MerchantId),
    /// Portal keys tried with a user code.
    KeysWith(&'a str),
}

impl Counted<'_> {
    /// How many there may be in a window.
    pub(super) const fn most(self) -> u32 {
        match self {
            Self::Opened(_) => OPENED_MAX,
            // Somebody else can use these up; a window later the owner has another thirty.
            Self::KeysOf(_) => 30,
            Self::KeysWith(_) => 10,
        }
    }

    fn partition_key(self) -> String {
        match self {
            Self::Opened(application) => format!("opened#{application}"),
            Self::KeysOf(merchant) => format!("keys-of#{merchant}"),
            Self::KeysWith(code) => format!("keys-with#{code}"),
        }
    }
}

impl Applications {
    /// Makes a new portal key of `merchant`, which cannot be read again; the one before ends at once.
    ///
    /// # Errors
    /// When DynamoDB cannot be written.
    pub async fn new_portal_key(&self, merchant: MerchantId) -> Result<SecretString, StoreError> {
        let secret = codes::portal_key(merchant, &self.entropy);
        let hashed = HashedSecret::new(secret.expose_secret(), self.entropy.bytes());
        let item = portal_key_item(merchant, &hashed, self.clock.now());
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        send_or_unavailable("PutItem", put.send()).await?;
        Ok(secret)
    }

    /// Whether `sent` is the portal key of `merchant`. A merchant that has none costs a comparison as well.
    pub(super) async fn takes_portal_key(&self, merchant: MerchantId, sent: &str) -> Result<bool, StoreError> {
        let item = self.read_item(portal_key_key(merchant)).await?;
        let known = item.as_ref().map(read_portal_key).transpose()?;
        let nobodys = HashedSecret::new("", [0; 16]);
        let is_it = known.as_ref().unwrap_or(&nobodys).matches(sent, Timestamp::default());
        Ok(is_it && known.is_some())
    }

    /// Counts one more; `false` when that is one too many for this window.
    pub(super) async fn count(&self, counted: Counted<'_>) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let window = now.unix_ms().div_euclid(WINDOW_MS);
        let (expires_at, end) = expiry(Timestamp::from_unix_ms(window.saturating_add(1).saturating_mul(WINDOW_MS)));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(text(&counted.partition_key()), &format!("window#{window:020}"))))
            .update_expression("ADD #count :one SET #format = :format, #expires = :expires")
            .condition_expression("attribute_not_exists(#count) OR #count < :most")
            .expression_attribute_names("#count", "count")
            .expression_attribute_names("#format", "format")
            .expression_attribute_names("#expires", expires_at)
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(counted.most()))
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":expires", end);
        match send("UpdateItem", update.send()).await? {
            Ok(_) => Ok(true),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }
}
