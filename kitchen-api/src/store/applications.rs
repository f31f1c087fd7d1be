//! The administration of applications: create, grant, take back, revoke (also a single token), rotate, list; of their modules, `modules`.
//!
//! Called by the CLI and by `dev`. Each change and the revision that announces it are one transaction, so that a
//! directory that reads revisions can miss none. Secrets leave this file once, as the return value of the call that made them.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, PutRequest, TransactWriteItem, Update, WriteRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event_feed::Grant;
use futures::{StreamExt, TryStreamExt};
use order_model::{ApplicationId, MerchantId, SharedClock, Timestamp};
use secrecy::SecretString;

use super::records::{
    APPLICATION_SK, ApplicationRecord, GRANT_SK, HashedSecret, Kind, OPEN_DELIVERY_VERSION, REVOKED_TOKENS,
    StoredApplication, application_item, application_pk, grant_item, key, number, revoked_tokens_value, secrets_value,
    text,
};
use super::requests::{send_or_unavailable, unavailable};
use super::revoked_tokens::{REVOKED_TOKENS_MAX, RevokedToken, over_and_standing};
use super::table::table_name;
use super::{ApplicationStore, StoreError};
use crate::entropy::Entropy;
use crate::modules::Modules;
use crate::open_delivery::OpenDeliveryVersion;

/// Grants changed in the transaction that announces them; DynamoDB takes 100 items, and three are ours.
const GRANTS_PER_TRANSACTION: usize = 90;
/// Items in one BatchWriteItem, DynamoDB's limit.
const BATCH_ITEMS: usize = 25;
/// BatchWriteItem requests at a time.
const BATCHES_AT_A_TIME: usize = 8;
/// How often to try again when somebody else changed the table in between; administrators are few.
const ATTEMPTS: u32 = 20;
/// How often a batch whose items were partly left undone is sent again.
const BATCH_ATTEMPTS: u32 = 8;
/// The pause before another attempt, times the attempt's number.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

/// What becomes of the previous secret when a new one is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It counts for this long yet, so that the application can be changed over; tokens are untouched.
    KeepPreviousFor(Duration),
    /// It stops at once, and so do all tokens issued so far: the secret leaked.
    Immediately,
}

/// The table of applications.
#[derive(Clone)]
pub struct Applications {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) clock: SharedClock,
    pub(super) entropy: Entropy,
}

impl Applications {
    /// The table `partner-apps` under `prefix`.
    pub fn new(client: Client, prefix: &str, clock: SharedClock, entropy: Entropy) -> Self {
        Self { client, table: table_name(prefix), clock, entropy }
    }

    /// Creates an application and returns its secret, 256 random bits, which cannot be read again.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] when the id is taken.
    pub async fn create(&self, id: &ApplicationId, name: &str) -> Result<SecretString, StoreError> {
        let secret = self.new_secret();
        self.create_as(Kind::Centralised, id, name, &secret).await?;
        Ok(SecretString::from(secret))
    }

    /// The same of a distributed application: it sees what merchants authorise, flow by flow.
    ///
    /// # Errors
    /// As [`Applications::create`].
    pub async fn create_distributed(&self, id: &ApplicationId, name: &str) -> Result<SecretString, StoreError> {
        let secret = self.new_secret();
        self.create_as(Kind::Distributed, id, name, &secret).await?;
        Ok(SecretString::from(secret))
    }

    /// Creates an application whose secret is known beforehand. For `dev` only: such a secret is guessable.
    ///
    /// # Errors
    /// As [`Applications::create`].
    pub async fn create_with_secret(&self, id: &ApplicationId, name: &str, secret: &str) -> Result<(), StoreError> {
        self.create_as(Kind::Centralised, id, name, secret).await
    }

    async fn create_as(&self, kind: Kind, id: &ApplicationId, name: &str, secret: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut record = ApplicationRecord {
            id: id.clone(),
            name: name.to_owned(),
            kind,
            secrets: vec![HashedSecret::new(secret, self.entropy.bytes())],
            revoked: false,
            not_before: Timestamp::default(),
            authorised_from: Timestamp::default(),
            revoked_tokens: BTreeSet::new(),
            modules: Modules::ALL,
            open_delivery_version: OpenDeliveryVersion::default(),
            revision: 0,
            created_at: now,
        };
        if self.load(id).await?.is_some() {
            return Err(StoreError::AlreadyExists(id.clone()));
        }
        self.change(id, |revision| {
            record.revision = revision;
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(application_item(&record)))
                .condition_expression("attribute_not_exists(pk)")
                .build();
            Ok(vec![TransactWriteItem::builder().put(put.map_err(|error| unavailable("Put", error))?).build()])
        })
        .await
    }

    /// Gives the application these merchants and returns how many are new to it. One granted before keeps its date.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`]; [`StoreError::Distributed`] for one that has authorisations instead.
    pub async fn grant(&self, id: &ApplicationId, merchants: &[MerchantId]) -> Result<usize, StoreError> {
        let StoredApplication { record, grants: known, .. } = self.existing(id).await?;
        if record.kind == Kind::Distributed {
            return Err(StoreError::Distributed(id.clone()));
        }
        let known: std::collections::HashSet<MerchantId> = known.iter().map(|grant| grant.merchant).collect();
        let granted_at = self.clock.now();
        let mut new: Vec<Grant> = merchants
            .iter()
            .filter(|merchant| !known.contains(merchant))
            .map(|&merchant| Grant { merchant, granted_at })
            .collect();
        new.sort_unstable_by_key(|grant| grant.merchant);
        new.dedup_by_key(|grant| grant.merchant);
        if new.is_empty() {
            return Ok(0);
        }
        // Above one transaction's size most are put first: unannounced, they only show up a little early.
        let (in_transaction, before) = new.split_at(new.len().min(GRANTS_PER_TRANSACTION));
        self.put_in_batches(id, before).await?;
        self.change(id, |revision| {
            let mut items = vec![self.touch(id, revision, "", &[])?];
            for grant in in_transaction {
                let put = Put::builder().table_name(&self.table).set_item(Some(grant_item(id, *grant))).build();
                items.push(TransactWriteItem::builder().put(put.map_err(|error| unavailable("Put", error))?).build());
            }
            Ok(items)
        })
        .await?;
        Ok(new.len())
    }

    /// Takes these merchants from the application, or from every authorisation of it; effective within 5 s.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn take_back(&self, id: &ApplicationId, merchants: &[MerchantId]) -> Result<(), StoreError> {
        let existing = self.existing(id).await?;
        if existing.record.kind == Kind::Distributed {
            return self.take_from_authorisations(id, &existing.authorisations, merchants).await;
        }
        // Chunk by chunk, each announced: a merchant that is gone from the table must be gone from every directory.
        for chunk in merchants.chunks(GRANTS_PER_TRANSACTION) {
            let mut chunk = chunk.to_vec();
            chunk.sort_unstable();
            chunk.dedup();
            self.change(id, |revision| {
                let mut items = vec![self.touch(id, revision, "", &[])?];
                for merchant in &chunk {
                    let delete = Delete::builder()
                        .table_name(&self.table)
                        .set_key(Some(key(application_pk(id), &format!("{GRANT_SK}{merchant}"))))
                        .build()
                        .map_err(|error| unavailable("Delete", error))?;
                    items.push(TransactWriteItem::builder().delete(delete).build());
                }
                Ok(items)
            })
            .await?;
        }
        Ok(())
    }

    /// Revokes the application and every token and authorisation of it; effective within 5 s. Rotating its secret brings the
    /// application back; merchants have to authorise again.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn revoke(&self, id: &ApplicationId) -> Result<(), StoreError> {
        self.existing(id).await?;
        let not_before = number(self.clock.now().unix_ms());
        let values = [(":revoked", AttributeValue::Bool(true)), (":not_before_ms", not_before)];
        let set = ", revoked = :revoked, not_before_ms = :not_before_ms, authorised_from_ms = :not_before_ms";
        self.change(id, |revision| Ok(vec![self.touch(id, revision, set, &values)?])).await
    }

    /// Makes a new secret, which cannot be read again.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn rotate(&self, id: &ApplicationId, rotation: Rotation) -> Result<SecretString, StoreError> {
        let record = self.existing(id).await?.record;
        let now = self.clock.now();
        let secret = self.new_secret();
        let new = HashedSecret::new(&secret, self.entropy.bytes());
        let (secrets, not_before) = match rotation {
            Rotation::Immediately => (vec![new], now),
            Rotation::KeepPreviousFor(time) => {
                let previous = record.secrets.into_iter().next_back().map(|mut previous| {
                    previous.valid_until = Some(now.plus(time));
                    previous
                });
                (previous.into_iter().chain([new]).collect(), record.not_before)
            }
        };
        let values = [
            (":secrets", secrets_value(&secrets)),
            (":revoked", AttributeValue::Bool(false)),
            (":not_before_ms", number(not_before.unix_ms())),
        ];
        let set = ", secrets = :secrets, revoked = :revoked, not_before_ms = :not_before_ms";
        self.change(id, |revision| Ok(vec![self.touch(id, revision, set, &values)?])).await?;
        Ok(SecretString::from(secret))
    }

    /// Takes one token back, within 5 s; all others go on to count.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`]; [`StoreError::RevokedTokens`] where [`REVOKED_TOKENS_MAX`] are taken back already.
    pub async fn revoke_token(&self, id: &ApplicationId, token: RevokedToken) -> Result<(), StoreError> {
        let revoked = self.existing(id).await?.record.revoked_tokens;
        let (over, standing) = over_and_standing(&revoked, self.clock.now());
        if !over.is_empty() {
            self.change_revoked_tokens(id, "DELETE", &over).await?;
        }
        if standing >= REVOKED_TOKENS_MAX && !revoked.contains(&token) {
            return Err(StoreError::RevokedTokens { most: REVOKED_TOKENS_MAX });
        }
        self.change_revoked_tokens(id, "ADD", &[token]).await
    }

    /// Adds to the set or takes from it, whatever else is in there: two who do so at the same time lose nothing.
    async fn change_revoked_tokens(
        &self,
        id: &ApplicationId,
        verb: &str,
        tokens: &[RevokedToken],
    ) -> Result<(), StoreError> {
        let values = [(":revoked_tokens", revoked_tokens_value(tokens))];
        let clause = format!(" {verb} {REVOKED_TOKENS} :revoked_tokens");
        self.change(id, |revision| Ok(vec![self.touch(id, revision, &clause, &values)?])).await
    }

    /// Says which version of Open Delivery the application knows; effective within 5 s.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`]; [`StoreError::Distributed`] for one that Open Delivery gives no token.
    pub async fn set_open_delivery_version(
        &self,
        id: &ApplicationId,
        version: OpenDeliveryVersion,
    ) -> Result<(), StoreError> {
        if self.existing(id).await?.record.kind == Kind::Distributed {
            return Err(StoreError::Distributed(id.clone()));
        }
        let values = [(":open_delivery_version", text(version.name()))];
        let set = format!(", {OPEN_DELIVERY_VERSION} = :open_delivery_version");
        self.change(id, |revision| Ok(vec![self.touch(id, revision, &set, &values)?])).await
    }

    /// Every application with its grants, sorted by id.
    ///
    /// # Errors
    /// When DynamoDB cannot be read.
    pub async fn list(&self) -> Result<Vec<StoredApplication>, StoreError> {
        let mut applications = self.load_all().await?;
        applications.sort_by(|left, right| left.record.id.cmp(&right.record.id));
        Ok(applications)
    }

    fn new_secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.entropy.bytes::<32>())
    }

    async fn existing(&self, id: &ApplicationId) -> Result<StoredApplication, StoreError> {
        self.load(id).await?.ok_or_else(|| StoreError::UnknownApplication(id.clone()))
    }

    /// An update of the application's own item that moves it to `revision`; `set` continues the expression, which is in its SET clause.
    pub(super) fn touch(
        &self,
        id: &ApplicationId,
        revision: u64,
        set: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<TransactWriteItem, StoreError> {
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(application_pk(id), APPLICATION_SK)))
            .update_expression(format!("SET revision = :revision{set}"))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":revision", number(revision));
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        let update = update.build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Runs one change: what `items` makes for the next revision, that revision, and its announcement, all or nothing.
    pub(super) async fn change(
        &self,
        id: &ApplicationId,
        mut items: impl FnMut(u64) -> Result<Vec<TransactWriteItem>, StoreError>,
    ) -> Result<(), StoreError> {
        for attempt in 1..=ATTEMPTS {
            let revision = self.head().await? + 1;
            if self.commit(revision, id, None, items(revision)?).await? {
                return Ok(());
            }
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
        }
        Err(StoreError::Contended)
    }

    async fn put_in_batches(&self, id: &ApplicationId, grants: &[Grant]) -> Result<(), StoreError> {
        futures::stream::iter(grants.chunks(BATCH_ITEMS))
            .map(|chunk| self.put_batch(id, chunk))
            .buffer_unordered(BATCHES_AT_A_TIME)
            .try_collect()
            .await
    }

    async fn put_batch(&self, id: &ApplicationId, grants: &[Grant]) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(grants.len());
        for grant in grants {
            let put = PutRequest::builder().set_item(Some(grant_item(id, *grant))).build();
            let put = put.map_err(|error| unavailable("BatchWriteItem", error))?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        for attempt in 1..=BATCH_ATTEMPTS {
            let batch = self.client.batch_write_item().request_items(&self.table, writes);
            let output = send_or_unavailable("BatchWriteItem", batch.send()).await?;
            writes = output.unprocessed_items.unwrap_or_default().remove(&self.table).unwrap_or_default();
            if writes.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
        }
        Err(StoreError::Unavailable { operation: "BatchWriteItem", source: None })
    }
}

impl std::fmt::Debug for Applications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applications").field("table", &self.table).finish_non_exhaustive()
    }
}
