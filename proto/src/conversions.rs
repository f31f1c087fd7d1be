//! Between the wire's messages and the domain's types, by hand, in both directions.
//!
//! Reading refuses what does not fit with `INVALID_ARGUMENT` and the field's name; a peer is never trusted to be well-formed.

use event_feed::{AuthorisedMerchants, CategoryFilter, Dialect, FeedEvent, Filter, GrantedMerchant, TraceId};
use order_model::{
    ApplicationId, EventCategory, EventCode, EventGroup, EventId, EvidenceId, MerchantId, OrderId, Timestamp,
};
use tonic::Status;

use crate::feed;

fn malformed(field: &'static str) -> Status {
    Status::invalid_argument(format!("{field} is malformed"))
}

/// Reads 16 bytes as a merchant id.
pub fn merchant_id(bytes: &[u8]) -> Result<MerchantId, Status> {
    MerchantId::try_from_slice(bytes).map_err(|_| malformed("merchant_id"))
}

/// Reads 16 bytes as an order id.
pub fn order_id(bytes: &[u8]) -> Result<OrderId, Status> {
    OrderId::try_from_slice(bytes).map_err(|_| malformed("order_id"))
}

/// Reads 16 bytes as an event id.
pub fn event_id(bytes: &[u8]) -> Result<EventId, Status> {
    EventId::try_from_slice(bytes).map_err(|_| malformed("event_id"))
}

/// Reads 16 bytes as the id of a dispute's evidence.
pub fn evidence_id(bytes: &[u8]) -> Result<EvidenceId, Status> {
    EvidenceId::try_from_slice(bytes).map_err(|_| malformed("evidence_id"))
}

/// Reads an application id.
pub fn application_id(text: &str) -> Result<ApplicationId, Status> {
    text.parse().map_err(|_| malformed("application_id"))
}

/// Reads a trace id; anything but 16 bytes is "none".
pub fn trace_id(bytes: &[u8]) -> TraceId {
    TraceId(bytes.try_into().unwrap_or_default())
}

/// Bytes of an id for a message.
pub fn to_bytes(id: &[u8; 16]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id)
}

/// An event for the wire; the body is shared, not copied.
pub fn event_to_wire(event: &FeedEvent) -> feed::Event {
    feed::Event {
        id: to_bytes(event.id.as_bytes()),
        order_id: to_bytes(event.order.as_bytes()),
        merchant_id: to_bytes(event.merchant.as_bytes()),
        code: u32::from(event.code.number()),
        category: u32::from(event.category.number()),
        sequence: event.sequence,
        created_at_ms: event.created_at.unix_ms(),
        expires_at_ms: event.expires_at.unix_ms(),
        trace_id: if event.trace.is_set() { to_bytes(&event.trace.0) } else { bytes::Bytes::new() },
        body: event.body.clone(),
    }
}

/// An event off the wire. The body is copied: a slice would pin the whole message it came in.
pub fn event_from_wire(event: &feed::Event) -> Result<FeedEvent, Status> {
    event_with_body(event, bytes::Bytes::copy_from_slice(&event.body))
}

/// The same of an event whose body stands alone ([`crate::frames`]): it is taken over.
pub fn event_taken_from_wire(mut event: feed::Event) -> Result<FeedEvent, Status> {
    let body = std::mem::take(&mut event.body);
    event_with_body(&event, body)
}

fn event_with_body(event: &feed::Event, body: bytes::Bytes) -> Result<FeedEvent, Status> {
    let code = u8::try_from(event.code).ok().and_then(EventCode::from_number).ok_or_else(|| malformed("code"))?;
    Ok(FeedEvent {
        id: event_id(&event.id)?,
        order: order_id(&event.order_id)?,
        merchant: merchant_id(&event.merchant_id)?,
        code,
        category: category(event.category)?,
        sequence: event.sequence,
        created_at: Timestamp::from_unix_ms(event.created_at_ms),
        expires_at: Timestamp::from_unix_ms(event.expires_at_ms),
        trace: trace_id(&event.trace_id),
        body,
    })
}

fn category(number: u32) -> Result<EventCategory, Status> {
    u8::try_from(number).ok().and_then(EventCategory::from_number).ok_or_else(|| malformed("category"))
}

fn group_number(group: EventGroup) -> u32 {
    EventGroup::ALL.iter().zip(1..).find_map(|(known, number)| (*known == group).then_some(number)).unwrap_or(0)
}

fn group(number: u32) -> Result<EventGroup, Status> {
    EventGroup::ALL.into_iter().find(|group| group_number(*group) == number).ok_or_else(|| malformed("groups"))
}

/// A filter for the wire.
pub fn filter_to_wire(filter: &Filter) -> feed::Filter {
    let categories = match &filter.categories {
        CategoryFilter::Sent(categories) => categories.iter().map(|category| u32::from(category.number())).collect(),
        CategoryFilter::Default | CategoryFilter::All => Vec::new(),
    };
    feed::Filter {
        types_sent: filter.types.is_some(),
        types: filter.types.iter().flatten().map(|code| u32::from(code.number())).collect(),
        groups_sent: filter.groups.is_some(),
        groups: filter.groups.iter().flatten().map(|group| group_number(*group)).collect(),
        categories_sent: matches!(filter.categories, CategoryFilter::Sent(_)),
        all_categories: filter.categories == CategoryFilter::All,
        categories,
        dialect: match filter.dialect {
            Dialect::Merchant => feed::Dialect::Merchant.into(),
            Dialect::OpenDelivery => feed::Dialect::OpenDelivery.into(),
        },
        keeps_hidden: filter.keeps_hidden,
    }
}

/// A filter off the wire; none at all is the default filter.
pub fn filter_from_wire(filter: Option<&feed::Filter>) -> Result<Filter, Status> {
    let Some(filter) = filter else { return Ok(Filter::default()) };
    let code =
        |number: &u32| u8::try_from(*number).ok().and_then(EventCode::from_number).ok_or_else(|| malformed("types"));
    let types: Result<Vec<_>, Status> = filter.types.iter().map(code).collect();
    let groups: Result<Vec<_>, Status> = filter.groups.iter().map(|number| group(*number)).collect();
    let categories: Result<Vec<_>, Status> = filter.categories.iter().map(|number| category(*number)).collect();
    let categories = match (filter.all_categories, filter.categories_sent) {
        (true, _) => CategoryFilter::All,
        (false, true) => CategoryFilter::Sent(categories?),
        (false, false) => CategoryFilter::Default,
    };
    let dialect = match filter.dialect() {
        feed::Dialect::Merchant => Dialect::Merchant,
        feed::Dialect::OpenDelivery => Dialect::OpenDelivery,
    };
    let (types, groups) = (filter.types_sent.then_some(types?), filter.groups_sent.then_some(groups?));
    Ok(Filter { dialect, types, groups, categories, keeps_hidden: filter.keeps_hidden })
}

/// Authorised merchants for the wire: the application and its merchants.
pub fn merchants_to_wire(authorised: &AuthorisedMerchants) -> Vec<feed::GrantedMerchant> {
    let to_wire = |granted: &GrantedMerchant| feed::GrantedMerchant {
        merchant_id: to_bytes(granted.merchant.as_bytes()),
        visible_from_ms: granted.visible_from.unix_ms(),
    };
    authorised.merchants().iter().map(to_wire).collect()
}

/// What a peer authorised, off the wire.
pub fn authorised_from_wire(request: &feed::PollRequest) -> Result<AuthorisedMerchants, Status> {
    let from_wire = |granted: &feed::GrantedMerchant| -> Result<GrantedMerchant, Status> {
        Ok(GrantedMerchant {
            merchant: merchant_id(&granted.merchant_id)?,
            visible_from: Timestamp::from_unix_ms(granted.visible_from_ms),
        })
    };
    let merchants: Result<Vec<_>, Status> = request.merchants.iter().map(from_wire).collect();
    Ok(AuthorisedMerchants::vouched_for_by_peer(application_id(&request.application_id)?, merchants?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_the_wire() {
        let filters = [
            Filter::default(),
            Filter {
                dialect: Dialect::OpenDelivery,
                types: Some(vec![]),
                groups: Some(vec![EventGroup::Delivery]),
                categories: CategoryFilter::All,
                keeps_hidden: true,
            },
            Filter {
                dialect: Dialect::Merchant,
                types: Some(vec![EventCode::Placed]),
                groups: None,
                categories: CategoryFilter::Sent(vec![EventCategory::Anotai]),
                keeps_hidden: false,
            },
        ];
        for filter in filters {
            assert_eq!(filter_from_wire(Some(&filter_to_wire(&filter))).unwrap(), filter);
        }
    }

    #[test]
    fn a_malformed_field_is_named() {
        let error = merchant_id(&[1, 2]).unwrap_err();
        assert_eq!((error.code(), error.message()), (tonic::Code::InvalidArgument, "merchant_id is malformed"));
    }
}
