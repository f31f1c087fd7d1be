//! `GET /v1/events:polling`: the same feed as under the iFood-style paths, in this dialect's words.
//!
//! The feed leaves out what there is no word for, so that it neither fills pages nor is acknowledged; it expires. A poll is a beat
//! as ever. Unlike over there, merchants may be named by their Open Delivery ids, which merchant-connection resolves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::{AuthorisedMerchants, CategoryFilter, Dialect, Filter, Scope};
use futures::{FutureExt, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use order_model::{EventCode, MerchantId};

use super::event::render;
use super::event_types::codes_of;
use super::json::array;
use super::merchant_names::resolve;
use super::spoken_version::OpenDeliveryVersion;
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;

/// Merchants that one poll may name.
const MERCHANTS_MAX: usize = 100;
/// Merchants in the token above which a poll must name some, as under the iFood-style path.
const UNNAMED_MERCHANTS_MAX: usize = 500;
/// Types that one poll may ask for.
const TYPES_MAX: usize = 15;
/// Merchants of one poll that are looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 8;
/// Names the merchants of a poll.
const POLLING_MERCHANTS: &str = "x-polling-merchants";
/// Names the types of events to show.
const EVENT_TYPE: &str = "eventType";

/// Answers a poll.
pub(crate) async fn poll(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let named = named_merchants(request.headers())?;
    let filter = read_filter(request.uri().query(), authorised.access().open_delivery_version())?;
    let merchants = merchants_of(&api, &authorised, &named).await?;
    api.beats.beat(&merchants);
    api.check_poll(&authorised)?;
    if filter.asks_for_nothing() {
        return Ok(no_content());
    }
    let page = api.feed.poll(&merchants, &filter).await.map_err(|_| ApiError::unavailable())?;
    api.note_strikes(&authorised, &page);
    let base_url = format!("{}{}", api.public_url, api.open_delivery.prefix);
    let events: Vec<String> = page.events.iter().filter_map(|event| render(event, &base_url)).collect();
    Ok(if events.is_empty() { no_content() } else { json_response(Bytes::from(array(&events))) })
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn values(csv: &str) -> impl Iterator<Item = &str> {
    csv.split(',').map(str::trim).filter(|value| !value.is_empty())
}

fn named_merchants(headers: &HeaderMap) -> Result<Vec<&str>, ApiError> {
    let mut named = Vec::new();
    for header in headers.get_all(POLLING_MERCHANTS) {
        let text = std::str::from_utf8(header.as_bytes()).map_err(|_| {
            ApiError::bad_request("x-polling-merchants must be a comma-separated list of merchant ids.")
        })?;
        for value in values(text) {
            if named.len() == MERCHANTS_MAX {
                let message = format!("x-polling-merchants names at most {MERCHANTS_MAX} merchants.");
                return Err(ApiError::bad_request(message));
            }
            named.push(value);
        }
    }
    Ok(named)
}

/// Every category shows. A filter that is there but blank counts as not sent, an unknown type is ignored: a client must not lose
/// its orders over either. What the application's version has no word for is hidden, as what the dialect has none for is.
fn read_filter(query: Option<&str>, version: OpenDeliveryVersion) -> Result<Filter, ApiError> {
    let mut sent = 0;
    let mut types: Option<Vec<EventCode>> = None;
    for (name, csv) in form_pairs(query.unwrap_or_default()) {
        // Some generators of clients write arrays with brackets.
        if name != EVENT_TYPE && name.strip_suffix("[]") != Some(EVENT_TYPE) {
            continue;
        }
        for value in values(&csv) {
            sent += 1;
            let types = types.get_or_insert_default();
            types.extend(codes_of(value).iter().filter(|code| !types.contains(code)).copied().collect::<Vec<_>>());
        }
    }
    if sent > TYPES_MAX {
        return Err(ApiError::bad_request(format!("eventType names at most {TYPES_MAX} types.")));
    }
    let filter = Filter { dialect: Dialect::OpenDelivery, types, categories: CategoryFilter::All, ..Filter::default() };
    Ok(as_known_to(version, filter))
}

/// `filter` without what `version` lacks. Where nothing was sent nothing is acknowledged: another dialect may still want it.
fn as_known_to(version: OpenDeliveryVersion, mut filter: Filter) -> Filter {
    if version == OpenDeliveryVersion::default() {
        return filter;
    }
    filter.keeps_hidden = filter.types.is_none();
    let mut types = filter.types.unwrap_or_else(|| EventCode::ALL.to_vec());
    types.retain(|code| version.has(*code));
    filter.types = Some(types);
    filter
}

/// The merchants of a poll. Those that are known beat even where others cannot be looked up: a restaurant must not go offline
/// because we could not answer it.
async fn merchants_of(api: &Api, authorised: &Authorised, named: &[&str]) -> Result<AuthorisedMerchants, ApiError> {
    let scope = authorised.scope();
    if named.is_empty() {
        return everything(authorised);
    }
    let lookups: Vec<_> = named.iter().map(|text| resolve(api, scope, text).boxed()).collect();
    let found: Vec<Result<Option<MerchantId>, CallError>> =
        stream::iter(lookups).buffered(LOOKUPS_AT_ONCE).collect().await;
    let known: Vec<MerchantId> = found.iter().filter_map(|one| one.as_ref().ok().copied().flatten()).collect();
    let is_refused = found.iter().any(|one| matches!(one, Ok(None)));
    let merchants = authorise(scope, &known)?;
    match found.iter().any(Result::is_err) {
        _ if is_refused => Err(foreign()),
        true => {
            api.beats.beat(&merchants);
            Err(ApiError::unavailable())
        }
        false => Ok(merchants),
    }
}

fn everything(authorised: &Authorised) -> Result<AuthorisedMerchants, ApiError> {
    if authorised.scope().merchants().len() > UNNAMED_MERCHANTS_MAX {
        let message = format!(
            "The application has more than {UNNAMED_MERCHANTS_MAX} merchants: name some in x-polling-merchants."
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(authorised.access().everything.clone())
}

fn authorise(scope: &Scope, merchants: &[MerchantId]) -> Result<AuthorisedMerchants, ApiError> {
    scope.authorise(merchants).map_err(|_| foreign())
}

/// The document declares 403 for a poll and no 404.
fn foreign() -> ApiError {
    ApiError::forbidden("The application has no permission for some of the merchants.")
}

#[cfg(test)]
mod tests {
    use event_feed::Verdict;
    use order_model::EventCategory;

    use super::*;

    fn read(query: Option<&str>) -> Result<Filter, ApiError> {
        read_filter(query, OpenDeliveryVersion::default())
    }

    fn types(query: &str) -> Option<Vec<EventCode>> {
        read(Some(query)).unwrap().types
    }

    #[test]
    fn types_are_read_in_every_way_arrays_are_written() {
        let both = Some(vec![EventCode::Placed, EventCode::Confirmed]);
        for query in [
            "eventType=CREATED,CONFIRMED",
            "eventType=CREATED&eventType=confirmed",
            "eventType[]=CREATED&eventType%5B%5D=CONFIRMED",
            "eventType=CREATED%2CCONFIRMED,UNKNOWN,CREATED",
        ] {
            assert_eq!(types(query), both, "{query}");
        }
        assert_eq!(types("eventType=&types=PLC"), None, "blank is not sent");
        assert!(read(Some("eventType=UNKNOWN")).unwrap().asks_for_nothing());
        let many = |count: usize| format!("eventType={}", vec!["CREATED"; count].join(","));
        assert!(read(Some(&many(15))).is_ok());
        assert_eq!(read(Some(&many(16))).err().unwrap().status(), 400);
    }

    #[test]
    fn only_what_there_is_a_word_for_is_acknowledged_by_a_filter() {
        let filter = read(Some("eventType=CREATED")).unwrap();
        let verdict = |code| filter.verdict_on(code, EventCategory::Anotai);
        assert_eq!(verdict(EventCode::Placed), Verdict::Show, "of every category");
        assert_eq!(verdict(EventCode::Confirmed), Verdict::HideAndAcknowledge);
        assert_eq!(verdict(EventCode::RecommendedPreparationStart), Verdict::HideAndAcknowledge);
        assert_eq!(verdict(EventCode::AssignDriver), Verdict::Hide);
    }

    #[test]
    fn what_an_older_version_lacks_is_hidden_and_acknowledged_only_by_a_filter() {
        let verdict = |query, code| {
            let filter = read_filter(query, OpenDeliveryVersion::V1_3).unwrap();
            filter.verdict_on(code, EventCategory::Food)
        };
        for code in [EventCode::PreparationStarted, EventCode::RecommendedPreparationStart, EventCode::Collected] {
            assert_eq!(verdict(None, code), Verdict::Hide);
            assert_eq!(verdict(Some("eventType=CREATED"), code), Verdict::HideAndAcknowledge);
            assert_eq!(verdict(Some("eventType=PREPARING,PICKED_UP"), code), Verdict::Hide, "nothing known is left");
        }
        assert_eq!(verdict(None, EventCode::AssignDriver), Verdict::Hide);
        assert_eq!(verdict(None, EventCode::Delivered), Verdict::Show);
        assert_eq!(verdict(Some("eventType=CREATED,PREPARING"), EventCode::Placed), Verdict::Show);
    }
}
