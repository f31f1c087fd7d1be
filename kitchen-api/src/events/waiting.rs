//! A poll that asks for more than one read: `wait`, answered as soon as there is an event, and `partial`.
//!
//! Called by `polling` for whoever asks. A poll waits in one future, which ends with the client's connection. It is answered
//! 204 only after a read that found nothing, at its end or when the service drains; a feed that cannot answer is asked again
//! while there is time. Rate limits have counted it once, at its beginning.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use order_model::MerchantId;
use tokio::time::Instant;

use super::polling::{Polled, answer, no_content};
use super::query::PollQuery;
use super::reader::{Reader, Sight, looked};
use super::vigil::{Kind, Vigil, Woken, no_place};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// Lists merchants that were named and may not be seen.
static UNAUTHORIZED_MERCHANTS: HeaderName = HeaderName::from_static("x-unauthorized-merchants");
/// How many they are.
static UNAUTHORIZED_MERCHANTS_COUNT: HeaderName = HeaderName::from_static("x-unauthorized-merchants-count");
/// The most of them that are listed: 3.7 KB, which every client and proxy takes.
const UNAUTHORIZED_MERCHANTS_MAX: usize = 100;

/// Begins such a poll.
pub(super) fn begin(
    api: &Arc<Api>,
    authorised: Authorised,
    request: &Request,
    query: PollQuery,
) -> Result<Polled, ApiError> {
    let reader = Reader::new(api, request.headers(), query);
    let sight = reader.sight_of(authorised)?;
    reader.beat(&sight);
    api.check_poll(&sight.authorised)?;
    if reader.query().filter.asks_for_nothing() || sight.merchants().merchants().is_empty() {
        return Ok(Polled::Answered(listing(no_content(), &sight.refused)));
    }
    let wait = reader.query().wait();
    let answer = Box::pin(hold(reader, sight, wait));
    Ok(if wait.is_zero() { Polled::Waiting(answer) } else { Polled::Held(answer) })
}

async fn hold(reader: Reader, mut sight: Sight, wait: Duration) -> Result<Response, ApiError> {
    let ends_at = Instant::now() + wait;
    // It listens before it looks: nothing comes unnoticed in between.
    let mut vigil = if wait.is_zero() { None } else { Vigil::begin(reader.api(), Kind::Poll, &sight) };
    let mut is_last = wait.is_zero();
    loop {
        let read = reader.read(&sight).await;
        let looked = looked(&read);
        match (read, &vigil) {
            (Ok(Some(page)), _) if !page.events.is_empty() => {
                return Ok(listing(answer(&page.events), &sight.refused));
            }
            (Ok(_), _) if is_last => return Ok(listing(no_content(), &sight.refused)),
            (Ok(_), None) => return Err(no_place(reader.api(), Kind::Poll)),
            (Err(_), vigil) if is_last || vigil.is_none() => return Err(ApiError::unavailable()),
            (Ok(_) | Err(_), _) => {}
        }
        if let Some(vigil) = &mut vigil {
            vigil.looked(looked, false);
            is_last = vigil.wait(ends_at).await != Woken::Look;
        }
        sight = reader.sight()?;
    }
}

/// Lists the merchants that were left out, if any were.
pub(super) fn listing(mut response: Response, refused: &[MerchantId]) -> Response {
    if refused.is_empty() {
        return response;
    }
    let ids: Vec<String> = refused.iter().take(UNAUTHORIZED_MERCHANTS_MAX).map(ToString::to_string).collect();
    let headers = response.headers_mut();
    // Ids are letters, digits and dashes.
    headers.extend(HeaderValue::try_from(ids.join(",")).ok().map(|ids| (UNAUTHORIZED_MERCHANTS.clone(), ids)));
    headers.insert(&UNAUTHORIZED_MERCHANTS_COUNT, HeaderValue::from(refused.len()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_the_count_is_not() {
        let merchants: Vec<MerchantId> =
            (0..500u128).map(|number| MerchantId::from_bytes(number.to_be_bytes())).collect();
        let response = listing(no_content(), &merchants);
        let listed = response.headers()[&UNAUTHORIZED_MERCHANTS].to_str().unwrap();
        assert_eq!(listed.split(',').count(), UNAUTHORIZED_MERCHANTS_MAX);
        assert!(listed.starts_with(&format!("{},", merchants[0])));
        assert_eq!(response.headers()[&UNAUTHORIZED_MERCHANTS_COUNT], "500");
        assert!(listing(no_content(), &[]).headers().is_empty());
    }
}
