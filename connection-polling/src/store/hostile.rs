//! Items as a stranger might have written them: each is refused, with the name of what is wrong, or survives being written
//! and read again.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use hostile_inputs::{item_of, survives, unnamed_attributes};
use order_model::{
    ApplicationId, EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, PartitionId, Timestamp,
};
use proptest::prelude::*;

use super::events::IndexedEvent;
use super::fences::{fence_item, read_fence};
use super::item::{self, Item};
use super::merchants::{cursor_item, read_heads_and_cursors};
use super::unexpired_ids;
use crate::fence::FenceState;
use crate::keys;
use crate::plan::{Cursor, Head};

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);
const MERCHANT: MerchantId = MerchantId::from_bytes([3; 16]);

fn indexed() -> IndexedEvent {
    let order = OrderId::from_bytes([4; 16]);
    let event = FeedEvent {
        id: EventId::derive(&EventIdKey::from_bytes([7; 16]), START, MERCHANT, order, 4),
        order,
        merchant: MERCHANT,
        code: EventCode::Placed,
        category: EventCategory::Grocery,
        sequence: 4,
        created_at: START,
        expires_at: Timestamp::MAX,
        trace: TraceId([9; 16]),
        body: Bytes::from_static(b"{}"),
    };
    IndexedEvent { event, missing: vec![1, 3], indexed_at: START }
}

/// A cursor as polls leave it.
pub(super) fn cursor() -> Cursor {
    let head = Head { version: 7, late: 1 };
    Cursor { head, visible_from: START, nothing_pending: true, done_before: START }
}

/// The head that [`cursor`] was written beside.
pub(super) fn head(merchant: MerchantId) -> Item {
    let mut item = item::key_attributes(&keys::head(merchant));
    item.insert("n".to_owned(), item::number(7));
    item.insert("l".to_owned(), item::number(1));
    item
}

fn of_cursor(cursor: &Cursor) -> Item {
    cursor_item(&application(), MERCHANT, cursor, START)
}

fn application() -> ApplicationId {
    "pos".parse().unwrap()
}

fn acknowledged(ids: &[EventId]) -> Item {
    let mut item = item::new(&keys::order(OrderId::from_bytes([4; 16])));
    item::set_ids(&mut item, ids);
    item::set_expiry(&mut item, Timestamp::MAX);
    item
}

fn fence() -> Item {
    fence_item(PartitionId(7), FenceState { epoch: 3, raised: true, raised_at: START })
}

/// What a poll finds of the merchant's cursor.
fn found(items: &[Item]) -> Option<Cursor> {
    read_heads_and_cursors(items).ok()?.1.get(&MERCHANT).copied()
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&indexed().to_item(), IndexedEvent::from_item), nothing);
    assert_eq!(unnamed_attributes(&acknowledged(&[indexed().event.id]), item::read_ids), nothing);
    assert_eq!(unnamed_attributes(&fence(), read_fence), nothing);
}

/// An epoch is written by whoever adds one to it: the last number there is has no next.
#[test]
fn an_epoch_that_cannot_grow_is_refused() {
    let last = i64::MAX.unsigned_abs();
    for (epoch, is_read) in [(0, true), (last - 1, true), (last, false), (u64::MAX, false)] {
        let item = fence_item(PartitionId(7), FenceState { epoch, raised: false, raised_at: START });
        assert_eq!(read_fence(&item).is_ok(), is_read, "{epoch}");
    }
}

proptest! {
    #[test]
    fn an_event_is_refused_or_survives(item in item_of(indexed().to_item())) {
        survives(IndexedEvent::from_item(&item).ok(), |event| IndexedEvent::from_item(&event.to_item()).ok());
    }

    #[test]
    fn a_cursor_counts_for_nothing_or_survives(item in item_of(of_cursor(&cursor()))) {
        survives(found(&[head(MERCHANT), item]), |cursor| found(&[head(MERCHANT), of_cursor(cursor)]));
    }

    /// Whatever stands in a head, its merchant is read; and by no cursor where the head says nothing.
    #[test]
    fn a_head_is_read_or_no_cursor_counts_beside_it(item in item_of(head(MERCHANT))) {
        let key = item.get("pk").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
        let is_its_own = key.starts_with("h#") && key.rsplit('#').next().and_then(|id| id.parse().ok()) == Some(MERCHANT);
        let is_number = |value: &AttributeValue| value.as_n().is_ok_and(|digits| digits.parse::<u64>().is_ok());
        let is_readable = ["n", "l"].iter().all(|name| item.get(*name).is_none_or(is_number));
        if let Ok((heads, cursors)) = read_heads_and_cursors(&[item, of_cursor(&cursor())]) {
            prop_assert_eq!(heads.contains_key(&MERCHANT), is_its_own);
            prop_assert_eq!(cursors.contains_key(&MERCHANT), is_readable || !is_its_own);
        }
    }

    #[test]
    fn acknowledged_ids_are_refused_or_survive(item in item_of(acknowledged(&[indexed().event.id]))) {
        survives(item::read_ids(&item).ok(), |ids| item::read_ids(&acknowledged(ids)).ok());
        if let Ok(ids) = unexpired_ids(&item, START) {
            prop_assert!(ids.is_empty() || item::read_ids(&item).is_ok());
        }
    }

    #[test]
    fn a_fence_is_refused_or_survives(item in item_of(fence())) {
        survives(read_fence(&item).ok(), |(partition, state)| read_fence(&fence_item(*partition, *state)).ok());
    }
}
