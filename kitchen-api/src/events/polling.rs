//! `GET events:polling`: the hot path.
//!
//! A poll that the feed of this process answers is answered in one piece: no future, no lock held, no span, and one
//! look-up of its token; with nothing pending it is a 204 without anything rendered. Only what has to wait (a leader
//! elsewhere, the fallback, hidden events to acknowledge) becomes a future. A page is rendered by concatenating bodies
//! that were rendered when the events came in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use event_feed::{AuthorisedMerchants, FeedEvent, Filter};
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};

use super::query::{PollQuery, Requested, requested_merchants};
use super::waiting;
use crate::api::Api;
use crate::errors::ApiError;
use crate::feed::{Begun, PollOutcome};
use crate::oauth::Authorised;

/// How far a poll has come without waiting.
pub(crate) enum Polled {
    /// To the end.
    Answered(Response),
    /// Not yet; boxed, so that polls that need not wait do not carry it around.
    Waiting(BoxFuture<'static, Result<Response, ApiError>>),
    /// Not before there is an event, or the time it asked for is over.
    Held(BoxFuture<'static, Result<Response, ApiError>>),
}

/// Answers a poll, waiting where that is needed.
pub(crate) async fn poll(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    match begin(&api, authorised, &request)? {
        Polled::Answered(response) => Ok(response),
        Polled::Waiting(answer) | Polled::Held(answer) => answer.await,
    }
}

/// Begins a poll. Authorisation comes before filtering, and the beat before anything that can fail for a reason of
/// ours: a restaurant must not go offline because we could not answer it.
pub(crate) fn begin(api: &Arc<Api>, authorised: Authorised, request: &Request) -> Result<Polled, ApiError> {
    let query = PollQuery::read(request.uri().query())?;
    if query.is_more_than_a_read() {
        return waiting::begin(api, authorised, request, query);
    }
    let named = requested_merchants(request.headers(), authorised.scope())?;
    let merchants = merchants_of(&named, &authorised);
    if query.is_heartbeat {
        api.beats.beat(merchants);
    }
    api.check_poll(&authorised)?;
    if query.filter.asks_for_nothing() {
        return Ok(Polled::Answered(no_content()));
    }
    Ok(match api.feed.begin(merchants, &query.filter) {
        Begun::Answered(page) => {
            api.note_strikes(&authorised, &page);
            Polled::Answered(answer(&page.events))
        }
        Begun::Unfinished(so_far) => {
            Polled::Waiting(Box::pin(finish(Arc::clone(api), authorised, named, query.filter, so_far)))
        }
    })
}

fn merchants_of<'a>(named: &'a Requested, authorised: &'a Authorised) -> &'a AuthorisedMerchants {
    match named {
        Requested::Everything => &authorised.access().everything,
        Requested::Named(merchants) => merchants,
    }
}

async fn finish(
    api: Arc<Api>,
    authorised: Authorised,
    named: Requested,
    filter: Filter,
    so_far: Option<PollOutcome>,
) -> Result<Response, ApiError> {
    let page = api.feed.finish(merchants_of(&named, &authorised), &filter, so_far).await;
    let page = page.map_err(|_| ApiError::unavailable())?;
    api.note_strikes(&authorised, &page);
    Ok(answer(&page.events))
}

pub(super) fn answer(events: &[FeedEvent]) -> Response {
    if events.is_empty() {
        return no_content();
    }
    let mut response = Response::new(Body::from(concatenate(events)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
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
