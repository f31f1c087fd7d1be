//! Messages as a peer of another mind might send them: each is refused, or survives being sent again.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use event_feed::{CategoryFilter, Dialect, FeedEvent, Filter, GrantedMerchant, TraceId};
use futures::task::noop_waker_ref;
use hostile_inputs::{bytes_of, survives};
use order_model::{EventCategory, EventCode, EventGroup, EventId, MerchantId, OrderId, Timestamp};
use proptest::prelude::*;
use prost::Message;

use crate::conversions::{
    authorised_from_wire, event_from_wire, event_to_wire, filter_from_wire, filter_to_wire, merchants_to_wire,
};
use crate::feed;
use crate::frames::{FrameError, Incoming, Outgoing};
use crate::order_events::{Reply, reply::Outcome};

fn event() -> FeedEvent {
    FeedEvent {
        id: EventId::from_bytes([1; 16]),
        order: OrderId::from_bytes([2; 16]),
        merchant: MerchantId::from_bytes([3; 16]),
        code: EventCode::Placed,
        category: EventCategory::Grocery,
        sequence: 7,
        created_at: Timestamp::from_unix_ms(1_795_000_000_000),
        expires_at: Timestamp::MAX,
        trace: TraceId([4; 16]),
        body: Bytes::from_static(b"{}"),
    }
}

fn filter() -> Filter {
    Filter {
        dialect: Dialect::OpenDelivery,
        types: Some(vec![EventCode::Placed, EventCode::Confirmed]),
        groups: Some(vec![EventGroup::Delivery]),
        categories: CategoryFilter::Sent(vec![EventCategory::Anotai]),
        keeps_hidden: true,
    }
}

fn poll() -> feed::PollRequest {
    let granted = |number| feed::GrantedMerchant {
        merchant_id: Bytes::copy_from_slice(&[number; 16]),
        visible_from_ms: 1_795_000_000_000,
    };
    feed::PollRequest {
        application_id: "dev-pos".to_owned(),
        merchants: vec![granted(1), granted(2)],
        limit: 100,
        ..feed::PollRequest::default()
    }
}

/// What was granted to whom.
fn granted(request: &feed::PollRequest) -> Option<(String, Vec<GrantedMerchant>)> {
    let authorised = authorised_from_wire(request).ok()?;
    Some((authorised.application().to_string(), authorised.merchants().to_vec()))
}

fn replies() -> Vec<Reply> {
    let text = "x".repeat(300);
    (0..3).map(|number| Reply { correlation: number, outcome: Some(Outcome::Error(text.clone())) }).collect()
}

fn framed(replies: &[Reply]) -> Vec<u8> {
    let (mut outgoing, mut written) = (Outgoing::default(), Vec::new());
    assert!(replies.iter().all(|reply| outgoing.add(reply)));
    let mut context = Context::from_waker(noop_waker_ref());
    assert!(matches!(outgoing.poll_write(Pin::new(&mut written), &mut context), Poll::Ready(Ok(()))));
    written
}

/// The replies that could be read before the first that could not.
fn unframed(mut bytes: &[u8]) -> (Vec<Reply>, Option<FrameError>) {
    let (mut incoming, mut replies) = (Incoming::default(), Vec::new());
    let mut context = Context::from_waker(noop_waker_ref());
    while let Poll::Ready(Ok(1..)) = incoming.poll_read(Pin::new(&mut bytes), &mut context) {
        loop {
            match incoming.take() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

proptest! {
    #[test]
    fn an_event_is_refused_or_survives(bytes in bytes_of(event_to_wire(&event()).encode_to_vec())) {
        let read = feed::Event::decode(&bytes[..]).ok().and_then(|wire| event_from_wire(&wire).ok());
        survives(read, |event| event_from_wire(&event_to_wire(event)).ok());
    }

    #[test]
    fn a_filter_is_refused_or_survives(bytes in bytes_of(filter_to_wire(&filter()).encode_to_vec())) {
        let read = feed::Filter::decode(&bytes[..]).ok().and_then(|wire| filter_from_wire(Some(&wire)).ok());
        survives(read, |filter| filter_from_wire(Some(&filter_to_wire(filter))).ok());
    }

    #[test]
    fn what_a_peer_was_granted_is_refused_or_survives(bytes in bytes_of(poll().encode_to_vec())) {
        if let Ok(request) = feed::PollRequest::decode(&bytes[..]) {
            let again = |_: &_| {
                let authorised = authorised_from_wire(&request).ok()?;
                granted(&feed::PollRequest { merchants: merchants_to_wire(&authorised), ..request.clone() })
            };
            survives(granted(&request), again);
        }
    }

    #[test]
    fn frames_are_refused_or_survive(bytes in bytes_of(framed(&replies()))) {
        let (read, _) = unframed(&bytes);
        // No frame can be made of less than its length.
        prop_assert!(read.len() * size_of::<u32>() <= bytes.len());
        survives(Some(read), |replies| Some(unframed(&framed(replies)).0));
    }
}

#[test]
fn what_a_length_claims_is_not_allocated() {
    let mut frames = framed(&replies());
    frames.extend([0xff; 4]);
    let (read, error) = unframed(&frames);
    assert_eq!(read, replies());
    assert!(matches!(error, Some(FrameError::TooLong { .. })), "{error:?}");
}
