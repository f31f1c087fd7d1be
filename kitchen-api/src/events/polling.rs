//! `GET events:polling`: the hot path.
//!
//! Per request: one digest of the token, one look-up, no lock held and no span made; a poll with nothing pending answers
//! 204 without rendering anything. A page is rendered by concatenating bodies that were rendered when the events came in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use event_feed::FeedEvent;
use http::{HeaderValue, StatusCode, header};

use super::query::{PollQuery, Requested, requested_merchants};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// Answers a poll. Authorisation comes before filtering, and the beat before anything that can fail for a reason of
/// ours: a restaurant must not go offline because we could not answer it.
pub(crate) async fn poll(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let named = requested_merchants(request.headers(), authorised.scope())?;
    let merchants = match &named {
        Requested::Everything => &authorised.access().everything,
        Requested::Named(merchants) => merchants,
    };
    let query = PollQuery::read(request.uri().query());
    if query.is_heartbeat {
        api.beats.beat(merchants);
    }
    if query.filter.asks_for_nothing() {
        return Ok(no_content());
    }
    let page = api.feed.poll(merchants, &query.filter).await.map_err(|_| ApiError::unavailable())?;
    Ok(if page.events.is_empty() { no_content() } else { events(&page.events) })
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn events(events: &[FeedEvent]) -> Response {
    let mut response = Response::new(Body::from(concatenate(events)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON array of the bodies, in one buffer of exactly the right size.
fn concatenate(events: &[FeedEvent]) -> Bytes {
    let bodies: usize = events.iter().map(|event| event.body.len()).sum();
    let mut page = BytesMut::with_capacity(bodies + events.len() + 1);
    for event in events {
        page.put_u8(if page.is_empty() { b'[' } else { b',' });
        page.put_slice(&event.body);
    }
    page.put_u8(b']');
    page.freeze()
}
