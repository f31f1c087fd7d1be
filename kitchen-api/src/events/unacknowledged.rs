//! `GET /comanda/v1/events/unacknowledged`: how much each merchant has pending, before that is too much. Ours.
//!
//! A poll holds 1,000 events: an application that acknowledges less than comes sees, here, how many more fit until older
//! ones begin to crowd out newer ones; and how many were delivered so often that they are strikes, beside how many pause its
//! polling where that is switched on. Requests have a dialect, applications have none: whoever polls in Open Delivery's words
//! says so here, and what those have no word for is not counted. Counting is no delivery, no beat and no acknowledgment.
//! What the events are is deliberately absent: polls say that.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::{AuthorisedMerchants, Dialect};
use futures::stream::{self, StreamExt, TryStreamExt};
use order_model::{MerchantId, Timestamp};
use serde_json::{Value, json};

use super::permitted::named_of_scope;
use super::strike_window::STRIKES_MAX;
use super::strikes::Standing;
use crate::api::Api;
use crate::errors::ApiError;
use crate::feed::{COUNTED_MAX, PendingCount};
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;
use crate::rate_limits::seconds;

/// Merchants of one page, at most and by default: each is a read of up to a page of events.
const PAGE_SIZE_MAX: usize = 20;
/// Merchants counted at the same time.
const COUNTS_AT_ONCE: usize = 4;

/// A page of the merchants, `number` from 1, and in whose words it counts.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    number: usize,
    size: usize,
    dialect: Dialect,
}

impl Page {
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let mut page = Self { number: 1, size: PAGE_SIZE_MAX, dialect: Dialect::Merchant };
        for (name, value) in form_pairs(query.unwrap_or_default()) {
            let (field, most, place) = match &*name {
                "page" => ("page", usize::MAX, &mut page.number),
                "size" => ("size", PAGE_SIZE_MAX, &mut page.size),
                "dialect" => {
                    page.dialect = dialect(&value)?;
                    continue;
                }
                _ => continue,
            };
            let number = value.trim().parse().ok().filter(|number| (1..=most).contains(number));
            *place = number.ok_or_else(|| {
                let up_to = if most == usize::MAX { String::new() } else { format!(" to {most}") };
                ApiError::bad_request(format!("{field} must be a whole number from 1{up_to}.")).at_field(field)
            })?;
        }
        Ok(page)
    }

    fn of<'a>(&self, all: &'a [MerchantId]) -> &'a [MerchantId] {
        let start = (self.number - 1).saturating_mul(self.size).min(all.len());
        let end = start.saturating_add(self.size).min(all.len());
        &all[start..end]
    }
}

/// The names are those of webhooks.
fn dialect(text: &str) -> Result<Dialect, ApiError> {
    match text {
        "IFOOD" => Ok(Dialect::Merchant),
        "OPEN_DELIVERY" => Ok(Dialect::OpenDelivery),
        _ => Err(ApiError::bad_request("dialect must be IFOOD or OPEN_DELIVERY.").at_field("dialect")),
    }
}

/// Answers with the counts of one page of the merchants named, or of all.
pub(crate) async fn unacknowledged(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let page = Page::read(request.uri().query())?;
    let scope = authorised.scope();
    let named = named_of_scope(request.headers(), scope)?;
    let all: &[MerchantId] = named.as_deref().unwrap_or_else(|| scope.merchants());
    let mut asked: Vec<AuthorisedMerchants> = Vec::new();
    for merchant in page.of(all) {
        let one = scope.authorise(std::slice::from_ref(merchant));
        asked.push(one.map_err(|refused| ApiError::forbidden_merchants(refused.merchants))?);
    }
    let counting: Vec<_> = asked.iter().map(|one| api.feed.pending(one, page.dialect)).collect();
    let counts: Vec<PendingCount> =
        stream::iter(counting).buffered(COUNTS_AT_ONCE).try_collect().await.map_err(|_| ApiError::unavailable())?;
    let now = api.clock.now();
    let standing = api.strikes.as_ref().map(|strikes| strikes.standing(&authorised));
    let strikes = strikes_to_json(standing, &counts);
    let merchants: Vec<Value> =
        page.of(all).iter().zip(counts).map(|(merchant, count)| to_json(*merchant, count, now)).collect();
    let body = json!({
        "page": page.number, "size": page.size, "total": all.len(), "strikes": strikes, "merchants": merchants,
    });
    Ok(json_response(Bytes::from(body.to_string())))
}

fn to_json(merchant: MerchantId, count: PendingCount, now: Timestamp) -> Value {
    let mut shown = json!({
        "merchantId": merchant.to_string(),
        "pending": count.events,
        "isAtLeast": count.is_at_least,
        "headroom": if count.is_at_least { 0 } else { COUNTED_MAX - count.events },
    });
    if let Some(strikes) = count.strikes {
        shown["strikes"] = json!(strikes);
    }
    if let Some(oldest) = count.oldest {
        shown["oldestAt"] = json!(oldest.to_string());
        shown["oldestAgeSeconds"] = json!(now.since(oldest).as_secs());
    }
    shown
}

/// What counts towards a pause: where strikes pause polling, what this process has counted for the caller; else what the page
/// shows, unless a leader did not say.
fn strikes_to_json(standing: Option<Standing>, counts: &[PendingCount]) -> Value {
    let mut shown = json!({ "pausePolling": standing.is_some(), "max": STRIKES_MAX });
    let of_page =
        || -> Option<usize> { counts.iter().map(|count| count.strikes.map(|strikes| strikes as usize)).sum() };
    if let Some(counted) = standing.map_or_else(of_page, |standing| Some(standing.strikes)) {
        shown["counted"] = json!(counted);
        shown["headroom"] = json!(STRIKES_MAX.saturating_sub(counted));
    }
    if let Some(left) = standing.and_then(|standing| standing.paused_for) {
        shown["pausedForSeconds"] = json!(seconds(left));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_strictly_and_never_run_over() {
        let first = Page { number: 1, size: PAGE_SIZE_MAX, dialect: Dialect::Merchant };
        assert_eq!(Page::read(None).unwrap(), first);
        assert_eq!(Page::read(Some("dialect=IFOOD")).unwrap(), first);
        let other = Page { dialect: Dialect::OpenDelivery, ..first };
        assert_eq!(Page::read(Some("dialect=OPEN_DELIVERY")).unwrap(), other);
        for wrong in ["page=0", "page=x", "size=21", "size=", "page=-1", "dialect=", "dialect=open_delivery"] {
            assert_eq!(Page::read(Some(wrong)).err().unwrap().status(), 400, "{wrong}");
        }
        let all: Vec<MerchantId> = (0..45).map(|number| MerchantId::from_bytes([number; 16])).collect();
        let of = |query: &str| Page::read(Some(query)).unwrap().of(&all).len();
        assert_eq!([of("page=1"), of("page=3"), of("page=4"), of("page=18446744073709551615")], [20, 5, 0, 0]);
    }

    #[test]
    fn the_oldest_is_told_only_where_there_is_one() {
        let (merchant, now) = (MerchantId::from_bytes([1; 16]), Timestamp::from_unix_ms(90_000));
        let none = to_json(merchant, PendingCount { events: 0, is_at_least: false, oldest: None, strikes: None }, now);
        assert_eq!((&none["headroom"], none.get("oldestAt"), none.get("strikes")), (&json!(1_000), None, None));
        let oldest = Some(Timestamp::from_unix_ms(30_000));
        let full = to_json(merchant, PendingCount { events: 1_000, is_at_least: true, oldest, strikes: Some(7) }, now);
        assert_eq!(
            (&full["headroom"], &full["oldestAgeSeconds"], &full["strikes"]),
            (&json!(0), &json!(60), &json!(7))
        );
    }

    #[test]
    fn strikes_are_those_counted_or_else_those_of_the_page() {
        let count = |strikes| PendingCount { events: 1, is_at_least: false, oldest: None, strikes };
        let off = strikes_to_json(None, &[count(Some(90)), count(Some(20))]);
        assert_eq!(off, json!({ "pausePolling": false, "max": 100, "counted": 110, "headroom": 0 }));
        assert_eq!(strikes_to_json(None, &[count(Some(1)), count(None)]), json!({ "pausePolling": false, "max": 100 }));
        let on = strikes_to_json(Some(Standing { strikes: 30, paused_for: None }), &[count(None)]);
        assert_eq!(on, json!({ "pausePolling": true, "max": 100, "counted": 30, "headroom": 70 }));
        let paused = Standing { strikes: 100, paused_for: Some(std::time::Duration::from_millis(1_500)) };
        assert_eq!(strikes_to_json(Some(paused), &[])["pausedForSeconds"], 2);
    }
}
