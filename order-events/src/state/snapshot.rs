//! A whole partition as bytes: a format version, the limits, the time, when it was rebuilt, merchants in order,
//! tombstones in order.
//!
//! Indexes and sums that follow from the rest (what falls due, what stands above a gap, how many bytes) are not written
//! but made again. Version 1 had no word on rebuilding: such a state counts as not rebuilt.

use std::collections::{BTreeMap, BTreeSet};

use event_feed::{SequenceTrack, acknowledgment};
use order_model::{EventId, MerchantId, OrderId, RoutingHash, Timestamp};

use super::codec::{Malformed, Reader, Writer};
use super::command::EVENT_BYTES_MIN;
use super::merchant_feed::{Body, MerchantFeed, OrderTrack, StoredEvent, View};
use super::{FeedPartition, Limits};

/// The version written before a snapshot, and the one before it, which is still read.
const FORMAT_VERSION: u8 = 2;
const FORMAT_VERSION_BEFORE_REBUILT: u8 = 1;

/// The fewest bytes of an order's track, of a view and of a merchant, for refusing impossible counts.
const TRACK_BYTES_MIN: usize = 16 + 4 + 4 + 4;
const VIEW_BYTES_MIN: usize = 4 + 1 + 4;
const MERCHANT_BYTES_MIN: usize = 16 + 4 + 4 + 4;

pub(super) fn encode(partition: &FeedPartition) -> Vec<u8> {
    let mut writer = Writer::with_header(&[FORMAT_VERSION]);
    let Limits { bodies_per_merchant, body_bytes_per_merchant, body_bytes_per_partition } = partition.limits;
    for limit in [bodies_per_merchant, body_bytes_per_merchant, body_bytes_per_partition] {
        writer.length(limit);
    }
    writer.timestamp(partition.time);
    writer.byte(u8::from(partition.rebuilt_at.is_some()));
    writer.timestamp(partition.rebuilt_at.unwrap_or_default());
    writer.length(partition.merchants.len());
    for ((_, merchant), feed) in &partition.merchants {
        writer.id(merchant.as_bytes());
        encode_feed(&mut writer, feed);
    }
    writer.length(partition.tombstones.len());
    for (id, applications) in &partition.tombstones {
        writer.id(id.as_bytes());
        writer.length(applications.len());
        applications.iter().for_each(|application| writer.application(application));
    }
    writer.into_bytes()
}

fn encode_feed(writer: &mut Writer, feed: &MerchantFeed) {
    writer.length(feed.events.len());
    for stored in feed.events.values() {
        writer.byte(body_number(stored.body));
        writer.event(&stored.event);
    }
    writer.length(feed.views.len());
    for view in &feed.views {
        writer.application(&view.application);
        writer.length(view.pending.len());
        view.pending.iter().for_each(|id| writer.id(id.as_bytes()));
    }
    writer.length(feed.orders.len());
    for (order, track) in &feed.orders {
        writer.id(order.as_bytes());
        writer.number(track.stored_events);
        writer.number(track.sequences.complete_through());
        writer.length(track.sequences.beyond().len());
        track.sequences.beyond().iter().for_each(|sequence| writer.number(*sequence));
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<FeedPartition, Malformed> {
    let mut reader = Reader::new(bytes);
    let version = reader.byte("format version")?;
    if !matches!(version, FORMAT_VERSION | FORMAT_VERSION_BEFORE_REBUILT) {
        return Err(Malformed { what: "format version" });
    }
    let mut limit = || Ok(usize::try_from(reader.number("limits")?).unwrap_or(usize::MAX));
    let limits =
        Limits { bodies_per_merchant: limit()?, body_bytes_per_merchant: limit()?, body_bytes_per_partition: limit()? };
    let time = reader.timestamp("time")?;
    let rebuilt_at = if version == FORMAT_VERSION_BEFORE_REBUILT { None } else { decode_rebuilt_at(&mut reader)? };
    let mut partition = FeedPartition { time, rebuilt_at, ..FeedPartition::new(limits) };
    for _ in 0..reader.count(MERCHANT_BYTES_MIN, "number of merchants")? {
        let merchant = MerchantId::from_bytes(reader.id("merchant id")?);
        let place = (RoutingHash::of(merchant), merchant);
        ascends(partition.merchants.last_key_value().map(|(last, _)| last), &place, "order of merchants")?;
        let feed = decode_feed(&mut reader)?;
        partition.body_bytes += feed.body_bytes;
        partition.due.extend(feed.events.values().map(|stored| (due_at(stored), stored.event.id, merchant)));
        let shown = feed.events.values().filter(|stored| stored.body != Body::Expired).map(|stored| &stored.event);
        let above_gaps = shown.filter(|event| feed.lower_is_missing(event.order, event.sequence));
        partition.above_gaps.extend(above_gaps.map(|event| ((event.order, event.sequence, event.id), merchant)));
        partition.merchants.insert(place, feed);
    }
    for _ in 0..reader.count(16 + 4, "number of tombstones")? {
        let id = reader.event_id()?;
        ascends(partition.tombstones.last_key_value().map(|(last, _)| last), &id, "order of tombstones")?;
        let count = reader.count(4 + 1, "number of applications")?;
        let applications: Vec<_> = (0..count).map(|_| reader.application()).collect::<Result<_, _>>()?;
        if !applications.is_sorted_by(|one, next| one < next) {
            return Err(Malformed { what: "order of applications" });
        }
        partition.tombstone_count += applications.len();
        partition.tombstones.insert(id, applications);
    }
    reader.finish()?;
    Ok(partition)
}

fn decode_rebuilt_at(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, Malformed> {
    let is_rebuilt = reader.byte("rebuilt")? != 0;
    let at = reader.timestamp("time of rebuilding")?;
    Ok(is_rebuilt.then_some(at))
}

fn due_at(stored: &StoredEvent) -> Timestamp {
    match stored.body {
        Body::Kept | Body::Spilled => stored.event.expires_at,
        Body::Expired => acknowledgment::remembered_until(stored.event.expires_at),
    }
}

fn decode_feed(reader: &mut Reader<'_>) -> Result<MerchantFeed, Malformed> {
    let mut feed = MerchantFeed::default();
    for _ in 0..reader.count(1 + EVENT_BYTES_MIN, "number of events")? {
        let body = body_from_number(reader.byte("body state")?)?;
        let event = reader.event()?;
        ascends(feed.events.last_key_value().map(|(last, _)| last), &event.id, "order of events")?;
        if body == Body::Kept {
            feed.bodies += 1;
            feed.body_bytes += event.body.len();
        } else if !event.body.is_empty() {
            // Its bytes are counted nowhere, and would be taken off when it expires.
            return Err(Malformed { what: "body state" });
        }
        feed.events.insert(event.id, StoredEvent { event, body });
    }
    for _ in 0..reader.count(VIEW_BYTES_MIN, "number of views")? {
        let application = reader.application()?;
        ascends(feed.views.last().map(|last| &last.application), &application, "order of views")?;
        let count = reader.count(16, "number of pending ids")?;
        let pending: BTreeSet<EventId> = (0..count).map(|_| reader.event_id()).collect::<Result<_, _>>()?;
        feed.views.push(View { application, pending });
    }
    feed.orders = decode_orders(reader, feed.events.len())?;
    Ok(feed)
}

/// What is written in order is read in order: what came twice would be counted twice and be there once.
fn ascends<T: Ord>(last: Option<&T>, next: &T, what: &'static str) -> Result<(), Malformed> {
    if last.is_none_or(|last| last < next) { Ok(()) } else { Err(Malformed { what }) }
}

/// The orders of a merchant of whom `events` events are stored.
fn decode_orders(reader: &mut Reader<'_>, events: usize) -> Result<BTreeMap<OrderId, OrderTrack>, Malformed> {
    let mut orders = BTreeMap::new();
    for _ in 0..reader.count(TRACK_BYTES_MIN, "number of orders")? {
        let order = OrderId::from_bytes(reader.id("order id")?);
        ascends(orders.last_key_value().map(|(last, _)| last), &order, "order of orders")?;
        let stored_events = reader.number("events of the order")?;
        if usize::try_from(stored_events).is_ok_and(|stored| stored > events) {
            return Err(Malformed { what: "events of the order" });
        }
        let complete_through = reader.number("sequence")?;
        let count = reader.count(4, "number of sequences")?;
        let beyond: Vec<u32> = (0..count).map(|_| reader.number("sequence")).collect::<Result<_, _>>()?;
        orders.insert(
            order,
            OrderTrack { sequences: SequenceTrack::from_parts(complete_through, beyond), stored_events },
        );
    }
    Ok(orders)
}

const fn body_number(body: Body) -> u8 {
    match body {
        Body::Kept => 1,
        Body::Spilled => 2,
        Body::Expired => 3,
    }
}

fn body_from_number(number: u8) -> Result<Body, Malformed> {
    match number {
        1 => Ok(Body::Kept),
        2 => Ok(Body::Spilled),
        3 => Ok(Body::Expired),
        _ => Err(Malformed { what: "body state" }),
    }
}
