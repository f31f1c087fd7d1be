//! Event items: a typed header, the body byte for byte, and what was missing of the order when the event arrived.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_model::{EventCategory, EventCode, EventId, MerchantId, OrderId, RoutingHash, Timestamp};

use super::item::{self, EXPIRES_AT, IDS, Item};
use super::requests::Consistency;
use super::{Store, StoreError};
use crate::keys;

const ORDER: &str = "o";
const MERCHANT: &str = "m";
const CODE: &str = "c";
const CATEGORY: &str = "g";
const SEQUENCE: &str = "s";
const TRACE: &str = "t";
const BODY: &str = "b";
const MISSING: &str = "w";
const INDEXED_AT: &str = "n";

/// An event as it is indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedEvent {
    pub(crate) event: FeedEvent,
    /// Lower sequences of its order that were not indexed when it was, ascending, the first few.
    pub(crate) missing: Vec<u32>,
    /// When it was indexed.
    pub(crate) indexed_at: Timestamp,
}

impl IndexedEvent {
    pub(super) fn to_item(&self) -> Item {
        let event = &self.event;
        let mut item = item::new(&keys::event(event.id));
        let mut set = |name: &str, value| item.insert(name.to_owned(), value);
        set(ORDER, item::binary(event.order.as_bytes()));
        set(MERCHANT, item::binary(event.merchant.as_bytes()));
        set(CODE, item::number(event.code.number()));
        set(CATEGORY, item::number(event.category.number()));
        set(SEQUENCE, item::number(event.sequence));
        set(BODY, item::binary(&event.body));
        set(INDEXED_AT, item::instant(self.indexed_at));
        if event.trace.is_set() {
            set(TRACE, item::binary(&event.trace.0));
        }
        if !self.missing.is_empty() {
            set(MISSING, AttributeValue::Ns(self.missing.iter().map(u32::to_string).collect()));
        }
        item::set_ids(&mut item, &[event.id]);
        item::set_expiry(&mut item, event.expires_at);
        item
    }

    /// Reads an item that stands where events stand.
    pub(crate) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let malformed = |what| move |_| StoreError::Malformed { what };
        let id = EventId::try_from_slice(item::read_binary(item, IDS)?).map_err(malformed(IDS))?;
        let code =
            EventCode::from_number(item::read_number(item, CODE)?).ok_or(StoreError::Malformed { what: CODE })?;
        let category = EventCategory::from_number(item::read_number(item, CATEGORY)?)
            .ok_or(StoreError::Malformed { what: CATEGORY })?;
        let event = FeedEvent {
            id,
            order: OrderId::try_from_slice(item::read_binary(item, ORDER)?).map_err(malformed(ORDER))?,
            merchant: MerchantId::try_from_slice(item::read_binary(item, MERCHANT)?).map_err(malformed(MERCHANT))?,
            code,
            category,
            sequence: item::read_number(item, SEQUENCE)?,
            created_at: id.created_at(),
            expires_at: item::read_instant(item, EXPIRES_AT)?,
            trace: TraceId(
                item::read_binary(item, TRACE).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
            ),
            body: Bytes::copy_from_slice(item::read_binary(item, BODY)?),
        };
        let (missing, indexed_at) = (item::read_numbers(item, MISSING), item::read_instant(item, INDEXED_AT)?);
        Ok(Self { event, missing, indexed_at })
    }
}

impl Store {
    /// Indexes events; one that is there already is left as it is or replaced by its equal.
    ///
    /// An event with a gap before it is written only if absent: a repetition must not start its wait anew. All others
    /// go in batches.
    pub(crate) async fn put_events(&self, events: &[IndexedEvent]) -> Result<(), StoreError> {
        let (gapless, with_gap): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.missing.is_empty());
        for event in with_gap {
            self.put_if_absent(event.to_item()).await?;
        }
        self.batch_put(gapless.into_iter().map(IndexedEvent::to_item).collect()).await
    }

    async fn put_if_absent(&self, item: Item) -> Result<(), StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)");
        match self.call("PutItem", request.send()).await {
            Ok(_) | Err(StoreError::ConditionFailed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Every stored event of the merchants with `hash` created at or after `from`, oldest first, handed to `take`. One
    /// that cannot be read is counted and left out: it must not hide its neighbours.
    pub(crate) async fn read_events(
        &self,
        hash: RoutingHash,
        from: Timestamp,
        mut take: impl FnMut(IndexedEvent),
    ) -> Result<(), StoreError> {
        let keep = |item: Item| {
            match IndexedEvent::from_item(&item) {
                Ok(event) => take(event),
                Err(_) => metrics::counter!("comanda_connection_polling_unreadable_items_total").increment(1),
            }
            Ok(())
        };
        self.query_from(keys::events(hash), keys::from_instant(from), keep).await
    }

    /// One page of what stands under `hash` from the sort key `from` on, and where the next one starts. What cannot be read is
    /// counted and left out.
    pub(crate) async fn events_page(
        &self,
        hash: RoutingHash,
        from: &str,
        start: Option<Item>,
    ) -> Result<(Vec<IndexedEvent>, Option<Item>), StoreError> {
        let page = self.query_page(keys::events(hash), from.to_owned(), start).await?;
        let count = page.items.len();
        let events: Vec<IndexedEvent> =
            page.items.iter().filter_map(|item| IndexedEvent::from_item(item).ok()).collect();
        if events.len() < count {
            metrics::counter!("comanda_connection_polling_unreadable_items_total")
                .increment((count - events.len()) as u64);
        }
        Ok((events, page.next))
    }

    /// When each of these events expires, of those that are indexed. May miss one indexed a moment ago.
    pub(crate) async fn event_expiries(&self, ids: &[EventId]) -> Result<HashMap<EventId, Timestamp>, StoreError> {
        const PROJECTION: &str = "i, x";
        let keys = ids.iter().map(|id| keys::event(*id)).collect();
        let items = self.batch_get(keys, Consistency::Eventual, Some(PROJECTION)).await?;
        let read = |item: &Item| {
            let id = EventId::try_from_slice(item::read_binary(item, IDS).ok()?).ok()?;
            Some((id, item::read_instant(item, EXPIRES_AT).ok()?))
        };
        Ok(items.iter().filter_map(read).collect())
    }
}
