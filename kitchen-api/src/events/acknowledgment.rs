//! `POST events/acknowledgment`: exactly 202 and no body, once every id is acknowledged for good.
//!
//! The body is scanned while it arrives and never held. Ids that nobody ever made, that expired or that were acknowledged before are
//! fine: a client that repeats itself must never be told to stop.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use order_model::{EventId, MerchantId, RoutingHash};

use super::id_scanner::{IdScanner, ScanError};
use crate::api::Api;
use crate::body::{Chunks, too_deep};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::store::Kind;

/// Events in one acknowledgment (CONTRACT, "Answers").
const IDS_MAX: usize = 10_000;
/// Bytes of one acknowledgment: 10,000 whole events.
const ACKNOWLEDGMENT_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that one acknowledgment is read of before others have their turn: what has arrived as a whole would otherwise be read in one go,
/// and the polls of a worker thread wait for it.
const TURN_BYTES: usize = 8 * 1024;

/// Answers an acknowledgment.
pub(crate) async fn acknowledge(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    acknowledge_at_most(IDS_MAX, api, authorised, request).await
}

/// Answers an acknowledgment of at most `ids_max` events.
pub(crate) async fn acknowledge_at_most(
    ids_max: usize,
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let mut chunks = Chunks::new(&parts.headers, body, ACKNOWLEDGMENT_MAX_BYTES)?;
    let mut scanner = IdScanner::new(ids_max);
    let mut turn_bytes = 0;
    while let Some(chunk) = chunks.next().await? {
        for piece in chunk.chunks(TURN_BYTES) {
            if turn_bytes >= TURN_BYTES {
                tokio::task::yield_now().await;
                turn_bytes = 0;
            }
            scanner.push(piece).map_err(|error| refusal(error, ids_max))?;
            turn_bytes += piece.len();
        }
    }
    let mut ids = scanner.finish().map_err(|error| refusal(error, ids_max))?;
    if authorised.access().kind() == Kind::Distributed {
        ids = of_merchants(ids, authorised.scope().merchants());
    }
    if !ids.is_empty() {
        let struck = api.strikes.as_ref().map(|strikes| strikes.among(&authorised, &ids)).unwrap_or_default();
        let acknowledged = api.feed.acknowledge(authorised.application(), ids).await;
        acknowledged.map_err(|_| ApiError::unavailable())?;
        if let Some(strikes) = &api.strikes {
            strikes.acknowledged(&authorised, &struck);
        }
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The ids that can be of these merchants. What one restaurant has acknowledged is acknowledged for the application, which runs
/// at others, too: an id that came to it from elsewhere is treated like an unknown one. An id names its merchant by 16 bits.
fn of_merchants(mut ids: Vec<EventId>, merchants: &[MerchantId]) -> Vec<EventId> {
    let own: HashSet<RoutingHash> = merchants.iter().copied().map(RoutingHash::of).collect();
    ids.retain(|id| own.contains(&id.routing_hash()));
    ids
}

fn refusal(error: ScanError, ids_max: usize) -> ApiError {
    match error {
        ScanError::Malformed => ApiError::bad_request("The body must be a JSON array of events or event ids."),
        ScanError::TooDeep => too_deep(),
        ScanError::TooMany => ApiError::bad_request(format!("Too many events: at most {ids_max} per request.")),
    }
}
