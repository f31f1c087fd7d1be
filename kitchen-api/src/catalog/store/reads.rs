//! Strongly consistent reads of a catalog: the head, entities by key, all of a kind, the items of a category.
//!
//! Used by `editing` and `endpoints`. A list is read page by page; what is read is bounded by the limits of a catalog.

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::{StreamExt, TryStreamExt};
use order_model::MerchantId;

use super::items::{
    ENTITIES, Item, entity_sk, head_key, key, kind_prefix, places, read_entity, read_head, read_text, text,
};
use super::{CatalogError, CatalogTable, Head, partition};
use crate::catalog::entities::{EntityKind, Key};
use crate::catalog::menu::Stored;
use crate::store::requests::{send_or_unavailable, unavailable};

/// Keys in one BatchGetItem, DynamoDB's limit.
const BATCH_KEYS: usize = 100;
/// BatchGetItem requests at a time.
const BATCHES_AT_A_TIME: usize = 4;
/// How often a batch is sent again for what was left out of its answer.
const BATCH_ATTEMPTS: usize = 10;
/// How often a journal is looked at that others apply as well.
const JOURNAL_ATTEMPTS: usize = 100;

impl CatalogTable {
    /// The head, once no journal is left to apply.
    pub(in crate::catalog) async fn head(&self, merchant: MerchantId) -> Result<Head, CatalogError> {
        for _ in 0..JOURNAL_ATTEMPTS {
            let head = match self.get(head_key(merchant)).await? {
                Some(item) => read_head(&item)?,
                None => Head::default(),
            };
            if head.journal.is_none() {
                return Ok(head);
            }
            self.apply_journal(merchant, &head).await?;
        }
        Err(CatalogError::Contended)
    }

    pub(super) async fn get(&self, key: Item) -> Result<Option<Item>, CatalogError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(send_or_unavailable("GetItem", get.send()).await?.item)
    }

    /// The entities of these keys, each with nothing when there is none.
    pub(in crate::catalog) async fn load(
        &self,
        merchant: MerchantId,
        keys: &[Key],
    ) -> Result<Vec<(Key, Option<Stored>)>, CatalogError> {
        let chunks: Vec<Vec<Key>> = keys.chunks(BATCH_KEYS).map(<[Key]>::to_vec).collect();
        let reads = futures::stream::iter(chunks).map(|chunk| async move {
            let found = self.load_chunk(merchant, &chunk).await?;
            let mut found: std::collections::BTreeMap<Key, Stored> = found.into_iter().collect();
            Ok::<_, CatalogError>(chunk.into_iter().map(move |key| {
                let stored = found.remove(&key);
                (key, stored)
            }))
        });
        let chunks: Vec<_> = reads.buffer_unordered(BATCHES_AT_A_TIME).try_collect().await?;
        Ok(chunks.into_iter().flatten().collect())
    }

    async fn load_chunk(&self, merchant: MerchantId, keys: &[Key]) -> Result<Vec<(Key, Stored)>, CatalogError> {
        let pk = partition(merchant);
        let wanted = keys.iter().map(|wanted| key(&pk, &entity_sk(wanted))).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
        let mut wanted = wanted.map_err(|error| unavailable("BatchGetItem", error))?;
        let mut found = Vec::with_capacity(keys.len());
        for _ in 0..BATCH_ATTEMPTS {
            let batch = self.client.batch_get_item().request_items(&self.table, wanted);
            let output = send_or_unavailable("BatchGetItem", batch.send()).await?;
            for item in output.responses.unwrap_or_default().remove(&self.table).unwrap_or_default() {
                found.push(read_entity(&item)?);
            }
            match output.unprocessed_keys.unwrap_or_default().remove(&self.table) {
                Some(left) if !left.keys().is_empty() => wanted = left,
                _ => return Ok(found),
            }
        }
        Err(CatalogError::Unavailable { operation: "BatchGetItem", source: None })
    }

    /// Every entity there is, but codes.
    pub(in crate::catalog) async fn load_all(&self, merchant: MerchantId) -> Result<Vec<(Key, Stored)>, CatalogError> {
        self.load_beginning(merchant, ENTITIES, usize::MAX).await
    }

    /// The first `most` entities of a kind, by their ids.
    pub(in crate::catalog) async fn load_kind(
        &self,
        merchant: MerchantId,
        kind: EntityKind,
        most: usize,
    ) -> Result<Vec<(Key, Stored)>, CatalogError> {
        self.load_beginning(merchant, kind_prefix(kind), most).await
    }

    async fn load_beginning(
        &self,
        merchant: MerchantId,
        beginning: &str,
        most: usize,
    ) -> Result<Vec<(Key, Stored)>, CatalogError> {
        let mut found = Vec::new();
        self.query(&partition(merchant), beginning, |item| {
            found.push(read_entity(&item)?);
            Ok(found.len() < most)
        })
        .await?;
        Ok(found)
    }

    /// The ids of a category's items.
    pub(in crate::catalog) async fn items_in(
        &self,
        merchant: MerchantId,
        category: &str,
    ) -> Result<Vec<Key>, CatalogError> {
        let beginning = places(category);
        let mut items = Vec::new();
        self.query(&partition(merchant), &beginning, |item| {
            let id = read_text(&item, "sk")?.strip_prefix(&beginning);
            items.push(Key::item(id.ok_or(CatalogError::Malformed { field: "sk" })?));
            Ok(true)
        })
        .await?;
        Ok(items)
    }

    /// Hands on the items whose sort keys begin so, in order, until `take` has had enough.
    pub(super) async fn query(
        &self,
        pk: &str,
        beginning: &str,
        mut take: impl FnMut(Item) -> Result<bool, CatalogError>,
    ) -> Result<(), CatalogError> {
        let mut start = None;
        loop {
            let mut query = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .set_exclusive_start_key(start.take())
                .expression_attribute_values(":pk", text(pk));
            query = if beginning.is_empty() {
                query.key_condition_expression("pk = :pk")
            } else {
                query
                    .key_condition_expression("pk = :pk AND begins_with(sk, :beginning)")
                    .expression_attribute_values(":beginning", text(beginning))
            };
            let output = send_or_unavailable("Query", query.send()).await?;
            for item in output.items.unwrap_or_default() {
                if !take(item)? {
                    return Ok(());
                }
            }
            start = output.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(());
            }
        }
    }
}
