//! Which sequences of an order have been indexed, expired ones included: what makes a gap a gap.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event_feed::SequenceTrack;
use order_model::{OrderId, Timestamp};

use super::item::{self, Item, PARTITION_KEY, TTL};
use super::requests::Consistency;
use super::{Store, StoreError};
use crate::keys;

const SEQUENCES: &str = "s";

impl Store {
    /// The tracks of these orders, strongly consistent; an order never seen is left out.
    pub(crate) async fn sequence_tracks(
        &self,
        orders: impl IntoIterator<Item = OrderId>,
    ) -> Result<HashMap<OrderId, SequenceTrack>, StoreError> {
        let keys = orders.into_iter().map(keys::order).collect();
        let items = self.batch_get(keys, Consistency::Strong, None).await?;
        let read = |item: &Item| {
            let order = item::read_text(item, PARTITION_KEY).ok()?.strip_prefix("o#")?.parse().ok()?;
            Some((order, SequenceTrack::from_parts(0, item::read_numbers(item, SEQUENCES))))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    /// Records that these sequences of an order are indexed. Its events must be readable already.
    pub(crate) async fn record_sequences(
        &self,
        order: OrderId,
        sequences: &[u32],
        remembered_until: Timestamp,
    ) -> Result<(), StoreError> {
        let numbers = sequences.iter().map(u32::to_string).collect();
        let request = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(item::key_attributes(&keys::order(order))))
            .update_expression("ADD s :sequences SET #ttl = :ttl")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":sequences", AttributeValue::Ns(numbers))
            .expression_attribute_values(":ttl", item::number(remembered_until.unix_s_ceil()));
        self.call("UpdateItem", request.send()).await.map(|_| ())
    }
}
