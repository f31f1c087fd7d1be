//! Profiles in the table.

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, KeysAndAttributes, Put, PutRequest, TransactWriteItem, WriteRequest,
};
use futures::{StreamExt, TryStreamExt};
use order_model::{Coordinates, MerchantId, Timestamp};

use super::{Item, Store, StoreError, number, read_flag, read_number, read_optional, read_text, text};
use crate::profile::Merchant;

/// The most keys of one BatchGetItem.
const BATCH_GET_MAX: usize = 100;
/// The most items of one BatchWriteItem.
pub(super) const BATCH_WRITE_MAX: usize = 25;
/// Batches of a seeding under way at once.
pub(super) const SEED_BATCHES_MAX: usize = 16;
/// How often keys that a batch left out are asked for again.
const UNPROCESSED_RETRIES_MAX: usize = 5;

/// How often a profile is read and written again because somebody else wrote it meanwhile.
const PUT_ATTEMPTS_MAX: usize = 5;
/// The version of a profile that was written once, and of one from before profiles had versions.
const FIRST_VERSION: u64 = 1;

/// A profile as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedProfile {
    /// The profile.
    pub merchant: Merchant,
    /// How often it was written.
    pub version: u64,
}

impl Store {
    /// The merchant with this id.
    pub async fn profile(&self, merchant: MerchantId) -> Result<Option<Merchant>, StoreError> {
        Ok(self.versioned_profile(merchant).await?.map(|stored| stored.merchant))
    }

    /// The merchant with this id, with its version.
    pub async fn versioned_profile(&self, merchant: MerchantId) -> Result<Option<VersionedProfile>, StoreError> {
        Ok(self.versioned_profiles(&[merchant]).await?.pop())
    }

    /// Whose Open Delivery id `id` is.
    pub async fn merchant_of_open_delivery_id(&self, id: &str) -> Result<Option<MerchantId>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.key("pk", text(format!("d#{id}"))).key("sk", text("profile"));
        let answer = self.call("GetItem", get.send()).await.map_err(StoreError::from)?;
        match answer.item() {
            None => Ok(None),
            Some(item) => {
                let merchant = read_text(item, "merchant")?.parse();
                merchant.map(Some).map_err(|_| StoreError::Malformed { field: "merchant" })
            }
        }
    }

    /// Those of `merchants` that exist, each once, in the order asked for.
    pub async fn profiles(&self, merchants: &[MerchantId]) -> Result<Vec<Merchant>, StoreError> {
        let found = self.versioned_profiles(merchants).await?;
        Ok(found.into_iter().map(|stored| stored.merchant).collect())
    }

    /// The same with their versions.
    pub async fn versioned_profiles(&self, merchants: &[MerchantId]) -> Result<Vec<VersionedProfile>, StoreError> {
        let mut found = std::collections::HashMap::new();
        // DynamoDB refuses a batch that names a key twice.
        let mut seen = std::collections::HashSet::new();
        let merchants: Vec<MerchantId> = merchants.iter().copied().filter(|merchant| seen.insert(*merchant)).collect();
        for some in merchants.chunks(BATCH_GET_MAX) {
            let mut keys: Vec<Item> = some.iter().map(|merchant| profile_key(*merchant)).collect();
            for _ in 0..=UNPROCESSED_RETRIES_MAX {
                if keys.is_empty() {
                    break;
                }
                keys = self.read_profiles(keys, &mut found).await?;
            }
            if !keys.is_empty() {
                return Err(StoreError::Unavailable { operation: "BatchGetItem", reason: "throttled".to_owned() });
            }
        }
        Ok(merchants.iter().filter_map(|merchant| found.remove(merchant)).collect())
    }

    /// Reads one batch; gives the keys that DynamoDB left out.
    async fn read_profiles(
        &self,
        keys: Vec<Item>,
        found: &mut std::collections::HashMap<MerchantId, VersionedProfile>,
    ) -> Result<Vec<Item>, StoreError> {
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let request = request.map_err(|_| StoreError::Malformed { field: "pk" })?;
        let get = self.client.batch_get_item().request_items(&self.table, request).send();
        let mut answer = self.call("BatchGetItem", get).await.map_err(StoreError::from)?;
        for item in answer.responses.take().into_iter().flat_map(|mut tables| tables.remove(&self.table)).flatten() {
            let stored = from_item(&item)?;
            found.insert(stored.merchant.id, stored);
        }
        let left = answer.unprocessed_keys.take().and_then(|mut tables| tables.remove(&self.table));
        Ok(left.map(|keys| keys.keys).unwrap_or_default())
    }

    /// Adds those of `profiles` that do not exist yet and have no Open Delivery id; what exists is left as it is. For
    /// seeding: a hundred thousand take seconds, not minutes.
    pub async fn seed_profiles(&self, profiles: &[Merchant]) -> Result<(), StoreError> {
        let seeded = futures::stream::iter(profiles.chunks(BATCH_GET_MAX)).map(|some| self.seed_some(some));
        seeded.buffer_unordered(SEED_BATCHES_MAX).try_collect::<Vec<()>>().await.map(|_| ())
    }

    async fn seed_some(&self, profiles: &[Merchant]) -> Result<(), StoreError> {
        let ids: Vec<MerchantId> = profiles.iter().map(|profile| profile.id).collect();
        let existing: std::collections::HashSet<MerchantId> =
            self.profiles(&ids).await?.into_iter().map(|profile| profile.id).collect();
        let missing: Vec<&Merchant> = profiles.iter().filter(|profile| !existing.contains(&profile.id)).collect();
        self.put_all(missing.into_iter().map(|profile| to_item(profile, FIRST_VERSION)).collect()).await
    }

    /// Puts `items`, in whatever order.
    pub(super) async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        let put = |item: Item| PutRequest::builder().set_item(Some(item)).build();
        let mut items = items.into_iter();
        loop {
            let batch = items.by_ref().take(BATCH_WRITE_MAX);
            let writes: Result<Vec<WriteRequest>, _> =
                batch.map(|item| Ok(WriteRequest::builder().put_request(put(item)?).build())).collect();
            let writes = writes.map_err(|_: BuildError| StoreError::Malformed { field: "item" })?;
            if writes.is_empty() {
                return Ok(());
            }
            self.write_batch(writes).await?;
        }
    }

    /// Writes one batch, and again what DynamoDB leaves out of it.
    async fn write_batch(&self, mut writes: Vec<WriteRequest>) -> Result<(), StoreError> {
        for _ in 0..=UNPROCESSED_RETRIES_MAX {
            let write = self.client.batch_write_item().request_items(&self.table, std::mem::take(&mut writes)).send();
            let mut answer = self.call("BatchWriteItem", write).await.map_err(StoreError::from)?;
            let unprocessed = answer.unprocessed_items.take().and_then(|mut tables| tables.remove(&self.table));
            writes = unprocessed.unwrap_or_default();
            if writes.is_empty() {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable { operation: "BatchWriteItem", reason: "throttled".to_owned() })
    }

    /// Adds or replaces a profile; answers whether it is new. When it was added stays what it was.
    pub async fn put_profile(&self, merchant: &Merchant) -> Result<bool, StoreError> {
        for _ in 0..PUT_ATTEMPTS_MAX {
            let before = self.versioned_profile(merchant.id).await?;
            if self.write_profile(merchant, before.as_ref()).await? {
                return Ok(before.is_none());
            }
        }
        Err(StoreError::Unavailable { operation: "TransactWriteItems", reason: "contended".to_owned() })
    }

    /// Replaces the profile while it is of `version`; answers whether it was. When it was added stays what it was.
    pub async fn put_profile_at(&self, merchant: &Merchant, version: u64) -> Result<bool, StoreError> {
        let before = self.versioned_profile(merchant.id).await?.filter(|before| before.version == version);
        match before {
            Some(before) => self.write_profile(merchant, Some(&before)).await,
            None => Ok(false),
        }
    }

    /// Writes a profile where there is still what was read `before`; answers whether there was.
    async fn write_profile(&self, merchant: &Merchant, before: Option<&VersionedProfile>) -> Result<bool, StoreError> {
        let created_at = before.map_or(merchant.created_at, |before| before.merchant.created_at);
        let merchant = Merchant { created_at, ..merchant.clone() };
        let writes = self.profile_writes(&merchant, before).map_err(|_| StoreError::Malformed { field: "profile" })?;
        let write = self.client.transact_write_items().set_transact_items(Some(writes)).send();
        match self.call("TransactWriteItems", write).await {
            Ok(_) => Ok(true),
            Err(failure) => match failure.service_error().and_then(refusal) {
                Some(Refusal::OpenDeliveryIdTaken) => Err(StoreError::OpenDeliveryIdTaken),
                Some(Refusal::Overtaken) => Ok(false),
                None => Err(failure.into()),
            },
        }
    }

    /// The profile first, then its Open Delivery id, then the id it gives up. On the condition that nobody has changed
    /// the profile since `before` was read: else their change would be lost, and the id given up would be the wrong one.
    fn profile_writes(
        &self,
        merchant: &Merchant,
        before: Option<&VersionedProfile>,
    ) -> Result<Vec<TransactWriteItem>, BuildError> {
        let version = before.map_or(FIRST_VERSION, |before| before.version.saturating_add(1));
        let put = Put::builder().table_name(&self.table).set_item(Some(to_item(merchant, version)));
        let put = match before.map(|before| before.version) {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(FIRST_VERSION) => put
                .condition_expression(
                    "attribute_exists(pk) AND (attribute_not_exists(profileVersion) OR profileVersion = :version)",
                )
                .expression_attribute_values(":version", number(FIRST_VERSION)),
            Some(version) => put
                .condition_expression("profileVersion = :version")
                .expression_attribute_values(":version", number(version)),
        };
        let id_before = before.and_then(|before| before.merchant.open_delivery_id.as_ref());
        let mut writes = vec![TransactWriteItem::builder().put(put.build()?).build()];
        if let Some(id) = &merchant.open_delivery_id {
            let put = Put::builder()
                .table_name(&self.table)
                .item("pk", text(format!("d#{id}")))
                .item("sk", text("profile"))
                .item("merchant", text(merchant.id.to_string()))
                .condition_expression("attribute_not_exists(pk) OR merchant = :merchant")
                .expression_attribute_values(":merchant", text(merchant.id.to_string()));
            writes.push(TransactWriteItem::builder().put(put.build()?).build());
        }
        if let Some(id) = id_before.filter(|id| merchant.open_delivery_id.as_ref() != Some(id)) {
            let delete =
                Delete::builder().table_name(&self.table).key("pk", text(format!("d#{id}"))).key("sk", text("profile"));
            writes.push(TransactWriteItem::builder().delete(delete.build()?).build());
        }
        Ok(writes)
    }
}

/// Why a profile was not written although DynamoDB works.
enum Refusal {
    /// Another merchant has the id.
    OpenDeliveryIdTaken,
    /// Somebody else wrote this profile meanwhile.
    Overtaken,
}

/// Reads the reasons, which stand in the order of the writes.
fn refusal(error: &TransactWriteItemsError) -> Option<Refusal> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return None };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    match codes.as_slice() {
        ["ConditionalCheckFailed", ..] => Some(Refusal::Overtaken),
        [_, "ConditionalCheckFailed", ..] => Some(Refusal::OpenDeliveryIdTaken),
        codes => codes.contains(&"TransactionConflict").then_some(Refusal::Overtaken),
    }
}

fn profile_key(merchant: MerchantId) -> Item {
    Item::from([("pk".to_owned(), text(format!("m#{merchant}"))), ("sk".to_owned(), text("profile"))])
}

pub(super) fn to_item(merchant: &Merchant, version: u64) -> Item {
    let json = |value: serde_json::Result<String>| text(value.unwrap_or_default());
    let mut item = profile_key(merchant.id);
    let mut set = |key: &str, value: AttributeValue| item.insert(key.to_owned(), value);
    set("formatVersion", number(1));
    set("profileVersion", number(version));
    set("name", text(&merchant.name));
    set("corporateName", text(&merchant.corporate_name));
    set("timeZone", text(&merchant.time_zone));
    set("shifts", json(serde_json::to_string(&merchant.shifts)));
    set("interruptions", json(serde_json::to_string(&merchant.interruptions)));
    set("createdAt", number(merchant.created_at.unix_ms()));
    if let Some(id) = &merchant.open_delivery_id {
        set("openDeliveryId", text(id));
    }
    // Absent where it says nothing: such items are what earlier versions wrote, and read.
    if merchant.is_test {
        set("isTest", AttributeValue::Bool(true));
    }
    if let Some(coordinates) = merchant.coordinates {
        set("coordinates", text(coordinates.to_string()));
    }
    item
}

pub(super) fn from_item(item: &Item) -> Result<VersionedProfile, StoreError> {
    let id = read_text(item, "pk")?.strip_prefix("m#").and_then(|id| id.parse().ok());
    let malformed = |field| move |_| StoreError::Malformed { field };
    let merchant = Merchant {
        id: id.ok_or(StoreError::Malformed { field: "pk" })?,
        open_delivery_id: read_optional(item, "openDeliveryId", |value| value.as_s().ok().cloned())?,
        name: read_text(item, "name")?.to_owned(),
        corporate_name: read_text(item, "corporateName")?.to_owned(),
        time_zone: read_text(item, "timeZone")?.to_owned(),
        shifts: serde_json::from_str(read_text(item, "shifts")?).map_err(malformed("shifts"))?,
        interruptions: serde_json::from_str(read_text(item, "interruptions")?).map_err(malformed("interruptions"))?,
        created_at: Timestamp::from_unix_ms(read_number(item, "createdAt")?),
        is_test: read_optional(item, "isTest", read_flag)?.unwrap_or_default(),
        coordinates: read_coordinates(item)?,
    };
    let version =
        if item.contains_key("profileVersion") { read_number(item, "profileVersion")? } else { FIRST_VERSION };
    Ok(VersionedProfile { merchant, version })
}

fn read_coordinates(item: &Item) -> Result<Option<Coordinates>, StoreError> {
    if !item.contains_key("coordinates") {
        return Ok(None);
    }
    let read = read_text(item, "coordinates")?.parse();
    read.map(Some).map_err(|_| StoreError::Malformed { field: "coordinates" })
}
