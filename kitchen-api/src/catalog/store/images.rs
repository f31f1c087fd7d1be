//! Pictures in the table: each once, in a partition of its own, so that those who look at one slow down no edit of the menu.
//!
//! Used by `images`. How many a merchant has is counted in the transaction that keeps one, so that no two at once take the last
//! place. A picture is never changed; it is removed together with its place in the count, while the catalog is at the revision
//! at which no product had it.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use order_model::MerchantId;

use super::items::{FORMAT, Item, check_format, head_key, item, key, number, read_optional};
use super::requests::Transacted;
use super::{CatalogError, CatalogTable, partition};
use crate::catalog::limits::IMAGES_MAX;
use crate::store::requests::{send_or_unavailable, unavailable};

/// The sort key of a picture.
const IMAGE_SK: &str = "image";
/// The sort key under which a merchant's pictures are counted.
const COUNT_SK: &str = "images";
/// The attribute that counts them.
const COUNT: &str = "image_count";
/// The attribute that holds a picture.
const BYTES: &str = "bytes";

/// Whether a picture is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Kept {
    /// Now, or before.
    Here,
    /// The merchant has as many as it may.
    TooMany,
}

/// What became of a picture that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalog) enum Removed {
    Done,
    NotThere,
    /// The catalog was edited in between, or somebody else was at the count: it has to be decided again.
    Overtaken,
}

fn image_key(merchant: MerchantId, digest: &str) -> Item {
    key(&image_partition(merchant, digest), IMAGE_SK)
}

fn image_partition(merchant: MerchantId, digest: &str) -> String {
    format!("image#{merchant}#{digest}")
}

impl CatalogTable {
    /// Whether the picture of these bytes is kept.
    pub(in crate::catalog) async fn has_image(&self, merchant: MerchantId, digest: &str) -> Result<bool, CatalogError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(image_key(merchant, digest)));
        let get = get.projection_expression("pk").consistent_read(true);
        Ok(send_or_unavailable("GetItem", get.send()).await?.item.is_some())
    }

    /// The bytes of a picture.
    pub(in crate::catalog) async fn image(
        &self,
        merchant: MerchantId,
        digest: &str,
    ) -> Result<Option<Vec<u8>>, CatalogError> {
        let Some(mut item) = self.get(image_key(merchant, digest)).await? else { return Ok(None) };
        check_format(&item)?;
        match item.remove(BYTES) {
            Some(AttributeValue::B(bytes)) => Ok(Some(bytes.into_inner())),
            Some(_) | None => Err(CatalogError::Malformed { field: BYTES }),
        }
    }

    /// Keeps a picture and counts it. `None` when somebody else was at the count: it has to be tried again.
    pub(in crate::catalog) async fn keep_image(
        &self,
        merchant: MerchantId,
        digest: &str,
        bytes: &[u8],
    ) -> Result<Option<Kept>, CatalogError> {
        let items = vec![self.put_image(merchant, digest, bytes)?, self.one_more_image(merchant)?];
        match self.transact(items).await? {
            Transacted::Done | Transacted::Refused { first_condition: true } => Ok(Some(Kept::Here)),
            Transacted::Refused { first_condition: false } => {
                let is_full = self.image_count(merchant).await? >= IMAGES_MAX;
                Ok(is_full.then_some(Kept::TooMany))
            }
        }
    }

    fn put_image(&self, merchant: MerchantId, digest: &str, bytes: &[u8]) -> Result<TransactWriteItem, CatalogError> {
        let mut image = item(&image_partition(merchant, digest), IMAGE_SK);
        image.insert(BYTES.to_owned(), AttributeValue::B(Blob::new(bytes)));
        let put = Put::builder().table_name(&self.table).set_item(Some(image));
        let put = put.condition_expression("attribute_not_exists(pk)").build();
        Ok(TransactWriteItem::builder().put(put.map_err(|error| unavailable("Put", error))?).build())
    }

    fn one_more_image(&self, merchant: MerchantId) -> Result<TransactWriteItem, CatalogError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(&partition(merchant), COUNT_SK)))
            .update_expression(format!("SET #format = :format ADD {COUNT} :one"))
            .condition_expression(format!("attribute_not_exists({COUNT}) OR {COUNT} < :most"))
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(IMAGES_MAX));
        let update = update.build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Removes a picture and gives its place back, while the catalog is at `revision`.
    pub(in crate::catalog) async fn remove_image(
        &self,
        merchant: MerchantId,
        digest: &str,
        revision: u64,
    ) -> Result<Removed, CatalogError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(image_key(merchant, digest)));
        let delete = delete.condition_expression("attribute_exists(pk)").build();
        let delete = delete.map_err(|error| unavailable("Delete", error))?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        let items = vec![delete, self.one_image_less(merchant)?, self.still_at(merchant, revision)?];
        Ok(match self.transact(items).await? {
            Transacted::Done => Removed::Done,
            Transacted::Refused { first_condition: true } => Removed::NotThere,
            Transacted::Refused { first_condition: false } => Removed::Overtaken,
        })
    }

    fn one_image_less(&self, merchant: MerchantId) -> Result<TransactWriteItem, CatalogError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(&partition(merchant), COUNT_SK)))
            .update_expression(format!("ADD {COUNT} :less"))
            .condition_expression(format!("{COUNT} > :none"))
            .expression_attribute_values(":less", number(-1))
            .expression_attribute_values(":none", number(0));
        let update = update.build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Holds while nobody has edited since `revision`; changes nothing.
    fn still_at(&self, merchant: MerchantId, revision: u64) -> Result<TransactWriteItem, CatalogError> {
        let is_there = if revision == 0 { "attribute_not_exists(revision)" } else { "revision = :revision" };
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(head_key(merchant)))
            .update_expression("SET #format = :format")
            .condition_expression(format!("{is_there} AND attribute_not_exists(journal)"))
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT));
        if revision > 0 {
            update = update.expression_attribute_values(":revision", number(revision));
        }
        let update = update.build().map_err(|error| unavailable("Update", error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    async fn image_count(&self, merchant: MerchantId) -> Result<u32, CatalogError> {
        let Some(count) = self.get(key(&partition(merchant), COUNT_SK)).await? else { return Ok(0) };
        check_format(&count)?;
        Ok(read_optional(&count, COUNT)?.unwrap_or_default())
    }
}
