//! `GET` and `POST /merchant/v1.0/merchants/{id}/interruptions`, `DELETE …/interruptions/{interruptionId}`.
//!
//! An interruption that is over counts as gone: it is not shown, and leaves the profile with the next change.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use proto::merchant_connection::Merchant;
use serde_json::Value;

use super::identifiers::uuid_text;
use super::interruptions::{add as add_to, drop_past, is_over, read, to_json};
use super::list::{fetch_one, merchant_in_path};
use super::profile_change::{Edit, change, json_object};
use super::store_clock::StoreClock;
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::json_response;
use crate::routes::path_segment;

/// Where the interruption's id stands in `/merchant/v1.0/merchants/{id}/interruptions/{interruptionId}`.
const ID_SEGMENT: usize = 5;

/// Answers with those that are not over, by their start.
pub(crate) async fn interruptions(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let mut merchant = fetch_one(&api, id).await?;
    let clock = clock_of(&merchant)?;
    drop_past(&mut merchant.interruptions, api.clock.now());
    merchant.interruptions.sort_unstable_by_key(|one| one.start_ms);
    let all: Vec<Value> = merchant.interruptions.iter().map(|one| to_json(one, &clock)).collect();
    Ok(json_response(Bytes::from(Value::from(all).to_string())))
}

/// Adds one. Repeating a request that chose the id adds it once.
pub(crate) async fn add_interruption(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let body = json_object(request).await?;
    // Made once: an attempt whose answer was lost is recognised by it.
    let fresh_id = uuid_text(api.entropy.bytes());
    let added = change(&api, id, |merchant, now| {
        let clock = clock_of(merchant)?;
        let new = read(&body, &clock, &fresh_id, now)?;
        let answer = to_json(&new, &clock);
        let is_new = add_to(&mut merchant.interruptions, new, now)?;
        Ok(if is_new { Edit::Changed(answer) } else { Edit::AsItWas(answer) })
    });
    let mut response = json_response(Bytes::from(added.await?.to_string()));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Removes one.
pub(crate) async fn remove_interruption(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let named = path_segment(request.uri().path(), ID_SEGMENT).to_owned();
    let mut was_there = false;
    let removed = change(&api, id, |merchant, now| {
        let before = merchant.interruptions.len();
        merchant.interruptions.retain(|one| one.id != named || is_over(one, now));
        let is_there = merchant.interruptions.len() < before;
        // Gone at a second attempt: the first one, whose answer was lost, has removed it, or somebody else did.
        let is_gone = was_there && !is_there;
        was_there |= is_there;
        match (is_there, is_gone) {
            (true, _) => Ok(Edit::Changed(())),
            (false, true) => Ok(Edit::AsItWas(())),
            (false, false) => Err(ApiError::not_found("There is no such interruption.")),
        }
    });
    removed.await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// merchant-connection takes no time zone that does not exist; one that only it knows is for others to answer.
fn clock_of(merchant: &Merchant) -> Result<StoreClock, ApiError> {
    StoreClock::of(merchant).ok_or_else(ApiError::unavailable)
}
