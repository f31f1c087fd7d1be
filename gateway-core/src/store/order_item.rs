//! The order item and the body item of `orders`.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use event_feed::TraceId;
use order_model::lifecycle::DeliveryProgress;
use order_model::lifecycle::state::Lifecycle;
use order_model::lifecycle::stored::StoredLifecycle;
use order_model::{EventCategory, EventId, EvidenceId, MerchantId, OrderId};

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::{body_key, due_shard, order_key};
use super::tables::{DUE_AT, DUE_SHARD, PK};
use crate::codes::{CodeChecks, OrderBody};
use crate::order::{OpenRequest, Order};
use crate::position::Position;

const FORMAT: i64 = 1;
const BODY_FORMAT: i64 = 1;
const KIND: &str = "order";
const BODY_KIND: &str = "order body";

/// What every write is conditional on.
pub(super) const VERSION: &str = "version";
const MERCHANT: &str = "merchantId";
const CATEGORY: &str = "category";
const SALES_CHANNEL: &str = "salesChannel";
const PLACED_AT: &str = "placedAt";
const PROMISED_AT: &str = "promisedAt";
const CONFIRM_BY: &str = "confirmBy";
const PLACED_DIGEST: &str = "placedDigest";
const TRACE: &str = "traceId";
const ERASED: &str = "erased";
const LAST_EVENT_EXPIRES_AT: &str = "lastEventExpiresAt";
const KEPT_UNTIL: &str = "keptUntil";
/// Per request 4 bytes of sequence and 16 of id.
const OPEN_REQUESTS: &str = "openRequests";
const BODY: &str = "body";
/// Beside the body, never in it.
const DROP_CODE: &str = "dropCode";
/// [`DeliveryProgress::to_stored`]. Absent in what older versions wrote, as are the next three.
const PROGRESS: &str = "deliveryProgress";
/// Misses, and 1 once it was right.
const PICKUP_CHECKS: &str = "pickupCodeChecks";
const DROP_CHECKS: &str = "dropCodeChecks";
/// Of the body, on both items. Absent in what older versions wrote.
const BODY_VERSION: &str = "bodyVersion";
/// 16 bytes per id. Absent in what older versions wrote.
const EVIDENCE: &str = "evidence";
/// JSON of ours, in which fields may be added.
const POSITION: &str = "courierPosition";

const LIFECYCLE_FORMAT: &str = "lifecycleFormat";
const ORDER_TYPE: &str = "orderType";
const DELIVERED_BY: &str = "deliveredBy";
const GOODS: &str = "goods";
const STATUS: &str = "status";
const HAPPENED: &str = "happened";
const MERCHANT_REQUEST: &str = "merchantRequest";
const MERCHANT_REQUEST_CODE: &str = "merchantRequestCode";
const CONSUMER_REQUEST: &str = "consumerRequest";
const DISPUTE: &str = "dispute";
const DISPUTE_EXPIRES_AT: &str = "disputeExpiresAt";
const DISPUTE_TIMEOUT_ACTION: &str = "disputeTimeoutAction";
const DISPUTE_ASKS: &str = "disputeAsks";
const SETTLED_DISPUTE: &str = "settledDispute";
const NEXT_SEQUENCE: &str = "nextSequence";
const LAST_CREATED_AT: &str = "lastCreatedAt";

pub(super) fn encode(order: &Order) -> Item {
    let requests: Vec<u8> = order
        .open_requests
        .iter()
        .flat_map(|request| request.sequence.to_be_bytes().into_iter().chain(*request.id.as_bytes()))
        .collect();
    let evidence: Vec<u8> = order.evidence.iter().flat_map(|id| *id.as_bytes()).collect();
    let item = ItemBuilder::new(FORMAT)
        .text(PK, order_key(order.id))
        .number(VERSION, i64::try_from(order.version).unwrap_or(i64::MAX))
        .number(BODY_VERSION, i64::try_from(order.body_version).unwrap_or(i64::MAX))
        .bytes(MERCHANT, order.merchant.as_bytes())
        .number(CATEGORY, i64::from(order.category.number()))
        .text(SALES_CHANNEL, &order.sales_channel)
        .instant(PLACED_AT, order.placed_at)
        .optional_instant(PROMISED_AT, order.promised_at)
        .instant(CONFIRM_BY, order.confirm_by)
        .bytes(PLACED_DIGEST, order.placed_digest)
        .bytes(TRACE, order.trace.0)
        .flag(ERASED, order.is_erased)
        .instant(LAST_EVENT_EXPIRES_AT, order.last_event_expires_at)
        .instant(KEPT_UNTIL, order.kept_until)
        .bytes(OPEN_REQUESTS, requests)
        .bytes(EVIDENCE, evidence)
        .bytes(PROGRESS, order.progress.to_stored())
        .bytes(PICKUP_CHECKS, encode_checks(order.pickup_code))
        .bytes(DROP_CHECKS, encode_checks(order.drop_code))
        .expires_at(order.kept_until);
    let item = match &order.position {
        Some(position) => item.text(POSITION, serde_json::to_string(position).expect("texts always serialise")),
        None => item,
    };
    let item = encode_lifecycle(item, &order.lifecycle.to_stored());
    match order.due_at {
        Some(due_at) => item.text(DUE_SHARD, due_shard(order.id)).instant(DUE_AT, due_at).build(),
        None => item.build(),
    }
}

fn encode_checks(checks: CodeChecks) -> [u8; 2] {
    [checks.misses, u8::from(checks.is_confirmed)]
}

fn decode_checks(read: ItemReader<'_>, name: &'static str) -> Result<CodeChecks, StoreError> {
    if !read.has(name) {
        return Ok(CodeChecks::default());
    }
    let [misses, confirmed] = read.array(name)?;
    Ok(CodeChecks { misses, is_confirmed: confirmed != 0 })
}

fn decode_body_version(read: ItemReader<'_>) -> Result<u64, StoreError> {
    if read.has(BODY_VERSION) { read.counter(BODY_VERSION) } else { Ok(0) }
}

fn decode_progress(read: ItemReader<'_>) -> Result<DeliveryProgress, StoreError> {
    if !read.has(PROGRESS) {
        return Ok(DeliveryProgress::UNKNOWN);
    }
    DeliveryProgress::from_stored(read.array(PROGRESS)?).ok_or_else(|| read.malformed(PROGRESS))
}

fn decode_position(read: ItemReader<'_>) -> Result<Option<Position>, StoreError> {
    if !read.has(POSITION) {
        return Ok(None);
    }
    serde_json::from_str(read.text(POSITION)?).map(Some).map_err(|_| read.malformed(POSITION))
}

fn encode_lifecycle(item: ItemBuilder, stored: &StoredLifecycle) -> ItemBuilder {
    item.number(LIFECYCLE_FORMAT, i64::from(stored.format_version))
        .number(ORDER_TYPE, i64::from(stored.order_type))
        .number(DELIVERED_BY, i64::from(stored.delivered_by))
        .number(GOODS, i64::from(stored.goods))
        .number(STATUS, i64::from(stored.status))
        .number(HAPPENED, i64::from_ne_bytes(stored.happened.to_ne_bytes()))
        .number(MERCHANT_REQUEST, i64::from(stored.merchant_request))
        .number(MERCHANT_REQUEST_CODE, i64::from(stored.merchant_request_code))
        .number(CONSUMER_REQUEST, i64::from(stored.consumer_request))
        .text(DISPUTE, &stored.dispute)
        .number(DISPUTE_EXPIRES_AT, stored.dispute_expires_at_ms)
        .number(DISPUTE_TIMEOUT_ACTION, i64::from(stored.dispute_timeout_action))
        .number(DISPUTE_ASKS, i64::from(stored.dispute_asks))
        .text(SETTLED_DISPUTE, &stored.settled_dispute)
        .number(NEXT_SEQUENCE, i64::from(stored.next_sequence))
        .number(LAST_CREATED_AT, stored.last_created_at_ms)
}

pub(super) fn decode(id: OrderId, item: &Item) -> Result<Order, StoreError> {
    let read = ItemReader::open(item, KIND, FORMAT)?;
    Ok(Order {
        id,
        merchant: MerchantId::from_bytes(read.array(MERCHANT)?),
        version: read.counter(VERSION)?,
        body_version: decode_body_version(read)?,
        lifecycle: decode_lifecycle(read)?,
        category: EventCategory::from_number(read.number(CATEGORY)?).ok_or_else(|| read.malformed(CATEGORY))?,
        sales_channel: read.text(SALES_CHANNEL)?.to_owned(),
        placed_at: read.instant(PLACED_AT)?,
        promised_at: read.optional_instant(PROMISED_AT)?,
        confirm_by: read.instant(CONFIRM_BY)?,
        placed_digest: read.array(PLACED_DIGEST)?,
        trace: TraceId(read.array(TRACE)?),
        is_erased: read.flag(ERASED)?,
        last_event_expires_at: read.instant(LAST_EVENT_EXPIRES_AT)?,
        kept_until: read.instant(KEPT_UNTIL)?,
        open_requests: decode_requests(read)?,
        progress: decode_progress(read)?,
        pickup_code: decode_checks(read, PICKUP_CHECKS)?,
        drop_code: decode_checks(read, DROP_CHECKS)?,
        evidence: decode_evidence(read)?,
        position: decode_position(read)?,
        due_at: read.optional_instant(DUE_AT)?,
    })
}

fn decode_requests(read: ItemReader<'_>) -> Result<Vec<OpenRequest>, StoreError> {
    let (requests, rest) = read.bytes(OPEN_REQUESTS)?.as_chunks::<20>();
    if !rest.is_empty() {
        return Err(read.malformed(OPEN_REQUESTS));
    }
    let request = |bytes: &[u8; 20]| {
        let (sequence, id) = bytes.split_first_chunk::<4>()?;
        Some(OpenRequest { sequence: u32::from_be_bytes(*sequence), id: EventId::try_from_slice(id).ok()? })
    };
    requests.iter().map(|bytes| request(bytes).ok_or_else(|| read.malformed(OPEN_REQUESTS))).collect()
}

fn decode_evidence(read: ItemReader<'_>) -> Result<Vec<EvidenceId>, StoreError> {
    if !read.has(EVIDENCE) {
        return Ok(Vec::new());
    }
    let (ids, rest) = read.bytes(EVIDENCE)?.as_chunks::<16>();
    if rest.is_empty() {
        Ok(ids.iter().map(|id| EvidenceId::from_bytes(*id)).collect())
    } else {
        Err(read.malformed(EVIDENCE))
    }
}

fn decode_lifecycle(read: ItemReader<'_>) -> Result<Lifecycle, StoreError> {
    let happened: i64 = read.number(HAPPENED)?;
    let stored = StoredLifecycle {
        format_version: read.number(LIFECYCLE_FORMAT)?,
        order_type: read.number(ORDER_TYPE)?,
        delivered_by: read.number(DELIVERED_BY)?,
        goods: read.number(GOODS)?,
        status: read.number(STATUS)?,
        happened: u64::from_ne_bytes(happened.to_ne_bytes()),
        merchant_request: read.number(MERCHANT_REQUEST)?,
        merchant_request_code: read.number(MERCHANT_REQUEST_CODE)?,
        consumer_request: read.number(CONSUMER_REQUEST)?,
        dispute: read.text(DISPUTE)?.to_owned(),
        dispute_expires_at_ms: read.number(DISPUTE_EXPIRES_AT)?,
        dispute_timeout_action: read.number(DISPUTE_TIMEOUT_ACTION)?,
        // Absent in what older versions wrote.
        dispute_asks: if read.has(DISPUTE_ASKS) { read.number(DISPUTE_ASKS)? } else { 0 },
        settled_dispute: read.text(SETTLED_DISPUTE)?.to_owned(),
        next_sequence: read.number(NEXT_SEQUENCE)?,
        last_created_at_ms: read.number(LAST_CREATED_AT)?,
    };
    Lifecycle::from_stored(&stored).map_err(|unknown| read.malformed(unknown.field))
}

/// The body item, kept as long as its order.
pub(super) fn encode_body(order: &Order, body: &OrderBody) -> Item {
    let item = ItemBuilder::new(BODY_FORMAT)
        .text(PK, body_key(order.id))
        .bytes(BODY, body.json.to_vec())
        .number(BODY_VERSION, i64::try_from(order.body_version).unwrap_or(i64::MAX))
        .expires_at(order.kept_until);
    match &body.drop_code {
        Some(code) => item.text(DROP_CODE, code).build(),
        None => item.build(),
    }
}

/// The body, and the version that wrote it.
pub(super) fn decode_body(mut item: Item) -> Result<(OrderBody, u64), StoreError> {
    let read = ItemReader::open(&item, BODY_KIND, BODY_FORMAT)?;
    read.bytes(BODY)?;
    let version = decode_body_version(read)?;
    let drop_code = if read.has(DROP_CODE) { Some(read.text(DROP_CODE)?.to_owned()) } else { None };
    match item.remove(BODY) {
        Some(AttributeValue::B(body)) => Ok((OrderBody::stored(Bytes::from(body.into_inner()), drop_code), version)),
        _ => Err(StoreError::Malformed { kind: BODY_KIND, attribute: BODY }),
    }
}

/// The sample that tests of other modules start from.
#[cfg(test)]
pub(crate) fn round_trip(order: &Order) -> Order {
    decode(order.id, &encode(order)).unwrap()
}

/// What is read of an order that a version stored which knew no deliveries.
#[cfg(test)]
pub(crate) fn as_an_older_version_stored(order: &Order) -> Order {
    let mut item = encode(order);
    for newer in [DISPUTE_ASKS, BODY_VERSION, PROGRESS, PICKUP_CHECKS, DROP_CHECKS, EVIDENCE, POSITION] {
        item.remove(newer);
    }
    decode(order.id, &item).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_knows_its_files_and_one_of_an_older_version_has_none() {
        let evidence = vec![EvidenceId::from_bytes([1; 16]), EvidenceId::from_bytes([2; 16])];
        let order = Order { evidence, ..crate::planning::sample_order() };
        assert_eq!(round_trip(&order), order);
        assert_eq!(as_an_older_version_stored(&order).evidence, []);
        let mut torn = encode(&order);
        torn.insert(EVIDENCE.to_owned(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([1; 17])));
        assert!(matches!(decode(order.id, &torn), Err(StoreError::Malformed { attribute: "evidence", .. })));
    }

    #[test]
    fn a_body_and_its_code_are_kept_apart_and_an_old_body_is_split_when_it_is_read() {
        let order = crate::planning::sample_order();
        let body = OrderBody::split(&Bytes::from_static(br#"{"delivery":{"dropCode":"1"},"x":1.50}"#));
        let item = encode_body(&order, &body);
        assert_eq!(decode_body(item.clone()).unwrap(), (body.clone(), 1));
        let AttributeValue::B(json) = &item[BODY] else { panic!("bytes") };
        assert_eq!(json.as_ref(), br#"{"delivery":{},"x":1.50}"#);
        let mut old = item;
        old.remove(DROP_CODE);
        old.remove(BODY_VERSION);
        let whole = br#"{"delivery":{"dropCode":"1"},"x":1.50}"#.to_vec();
        old.insert(BODY.to_owned(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(whole)));
        assert_eq!(decode_body(old).unwrap(), (body, 0));
    }
}
