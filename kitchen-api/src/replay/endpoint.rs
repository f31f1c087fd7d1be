//! `GET /comanda/v1/events?merchantId=…&after=…&limit=…`: a page of one merchant's events, acknowledged ones included.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::MerchantId;
use serde_json::json;

use super::cursor;
use crate::api::Api;
use crate::errors::ApiError;
use crate::feed::{ReplayPlace, ReplayedPage};
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;

/// Events of one page, at most.
const PAGE_MAX: usize = 500;
/// Events of one page where the client does not say.
const PAGE_DEFAULT: usize = 100;

/// What is asked for.
struct Query {
    merchant: MerchantId,
    after: Option<String>,
    limit: usize,
}

impl Query {
    fn read(query: &str) -> Result<Self, ApiError> {
        let (mut merchant, mut after, mut limit) = (None, None, PAGE_DEFAULT);
        for (name, value) in form_pairs(query) {
            match &*name {
                "merchantId" => merchant = value.trim().parse().ok(),
                "after" if !value.trim().is_empty() => after = Some(value.trim().to_owned()),
                "limit" => {
                    let number = value.trim().parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
                    limit = number.ok_or_else(|| {
                        ApiError::bad_request(format!("limit must be a number from 1 to {PAGE_MAX}.")).at_field("limit")
                    })?;
                }
                _ => {}
            }
        }
        let missing = || ApiError::bad_request("merchantId must be a UUID.").at_field("merchantId");
        Ok(Self { merchant: merchant.ok_or_else(missing)?, after, limit })
    }
}

/// Answers a page.
pub(crate) async fn replay(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let query = Query::read(request.uri().query().unwrap_or_default())?;
    let merchants = authorised.scope().authorise(&[query.merchant]);
    let merchants = merchants.map_err(|refused| ApiError::forbidden_merchants(refused.merchants))?;
    let after = query.after.as_deref().map(|text| {
        cursor::read(text, authorised.application(), query.merchant).ok_or_else(|| {
            ApiError::bad_request("after is no cursor that this operation has given for this merchant.")
                .at_field("after")
                .with_hint("Send the cursor of the page before as it was, or none to begin with the oldest event.")
        })
    });
    let after: Option<ReplayPlace> = after.transpose()?;
    let page = api.feed.replay(&merchants, after.clone(), query.limit).await.map_err(|_| ApiError::unavailable())?;
    log(&authorised, query.merchant, after.as_ref(), &page);
    let next = cursor::write(&page.next, authorised.application(), query.merchant);
    Ok(json_response(render(&page, &next)))
}

/// The audit record of one use: a line of the structured log. An event's time is its id's; nothing of its content is said.
fn log(authorised: &Authorised, merchant: MerchantId, after: Option<&ReplayPlace>, page: &ReplayedPage) {
    let at = |event: Option<&event_feed::FeedEvent>| event.map(|event| event.created_at.to_string());
    metrics::counter!("comanda_kitchen_api_replayed_events_total").increment(page.events.len() as u64);
    tracing::info!(
        audit = "replay",
        application = authorised.application().as_str(),
        merchant = %merchant,
        begins_anew = after.is_none() || page.restarted,
        oldest = at(page.events.first()),
        newest = at(page.events.last()),
        events = page.events.len(),
        "events were given again"
    );
}

/// Bodies are shown as they were rendered when their events came in.
fn render(page: &ReplayedPage, next: &str) -> Bytes {
    let bodies: Vec<&[u8]> = page.events.iter().map(|event| event.body.as_ref()).collect();
    let rest = json!({ "cursor": next, "hasMore": page.more, "restarted": page.restarted }).to_string();
    let mut body = br#"{"events":["#.to_vec();
    body.extend(bodies.join(&b','));
    body.extend(b"],");
    body.extend(&rest.as_bytes()[1..]);
    Bytes::from(body)
}
