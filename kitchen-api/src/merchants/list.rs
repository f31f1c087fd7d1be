//! `GET /merchant/v1.0/merchants` and `/merchants/{id}`.
//!
//! The details have every published field: what nobody has told the platform is empty, 0 or false, because clients read them
//! without asking; only degrees are left out then, because 0 is a place. The time zone is added to what is published, because
//! times of a store are answered without an offset. A foreign merchant and an unknown one answer identically: 403.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use event_feed::Scope;
use futures::future::try_join_all;
use order_model::{Coordinates, MerchantId, Timestamp};
use proto::conversions::to_bytes;
use proto::merchant_connection::{GetMerchantsRequest, Merchant, Presentation};
use serde_json::{Value, json};

use super::status::{OPERATIONS, SALES_CHANNEL};
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;
use crate::routes::path_segment;

/// Where the merchant's id stands in `/merchant/v1.0/merchants/{id}…`.
const ID_SEGMENT: usize = 3;
/// Merchants of one page, at most and by default.
pub(crate) const PAGE_SIZE_MAX: u32 = 100;
/// Merchants of one call: a hundred interruptions with the longest text make 230 KB of one, and a reply is at most 8 MiB.
const FETCH_MAX: usize = 25;

/// A page of the list, `number` from 1.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    number: usize,
    size: usize,
}

impl Page {
    fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let size_max = PAGE_SIZE_MAX as usize;
        let mut page = Self { number: 1, size: size_max };
        for (name, value) in form_pairs(query.unwrap_or_default()) {
            let (field, place) = match &*name {
                "page" => ("page", &mut page.number),
                "size" => ("size", &mut page.size),
                _ => continue,
            };
            let number = number_from_one(value.trim());
            *place = number
                .ok_or_else(|| ApiError::bad_request(format!("{field} must be a number from 1.")).at_field(field))?;
        }
        if page.size > size_max {
            let message = format!("size is at most {PAGE_SIZE_MAX}.");
            return Err(ApiError::bad_request(message).at_field("size"));
        }
        Ok(page)
    }

    fn of<'a>(&self, all: &'a [MerchantId]) -> &'a [MerchantId] {
        let start = (self.number - 1).saturating_mul(self.size).min(all.len());
        let end = start.saturating_add(self.size).min(all.len());
        &all[start..end]
    }
}

/// A number from 1. One too long to be counted with is the largest there is: that page is as empty as any beyond the last.
fn number_from_one(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX)).filter(|number| *number > 0)
}

/// Answers with a page of the application's merchants, sorted by id.
pub(crate) async fn list(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let page = Page::read(request.uri().query())?;
    let ids = page.of(authorised.scope().merchants());
    let merchants = if ids.is_empty() { Vec::new() } else { fetch(&api, ids).await? };
    let to_json = |merchant: &Merchant| -> Option<Value> {
        let id = MerchantId::try_from_slice(&merchant.id).ok()?.to_string();
        Some(json!({ "id": id, "name": merchant.name, "corporateName": merchant.corporate_name }))
    };
    let list: Vec<Value> = merchants.iter().filter_map(to_json).collect();
    Ok(json_response(Bytes::from(Value::from(list).to_string())))
}

/// Answers with one merchant.
pub(crate) async fn details(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let merchant_ids = vec![to_bytes(id.as_bytes())];
    let asked = GetMerchantsRequest { merchant_ids, with_presentation: true };
    let found = api.merchants.get_merchants(asked).await.map_err(|error| refusal(&error))?.merchants;
    let merchant = found.into_iter().find(|merchant| *merchant.id == *id.as_bytes()).ok_or_else(forbidden)?;
    Ok(json_response(Bytes::from(details_to_json(id, merchant).to_string())))
}

fn details_to_json(id: MerchantId, merchant: Merchant) -> Value {
    let place = coordinates_of(&merchant);
    // None from a node of an earlier version, which knows of none.
    let known = merchant.presentation.unwrap_or_default();
    json!({
        "id": id.to_string(),
        "name": merchant.name,
        "corporateName": merchant.corporate_name,
        "description": known.description,
        "averageTicket": f64::from(known.average_ticket_cents) / 100.0,
        "exclusive": known.exclusive,
        "type": "RESTAURANT",
        "status": "AVAILABLE",
        "createdAt": Timestamp::from_unix_ms(merchant.created_at_ms).to_string(),
        "timeZone": merchant.time_zone,
        "address": address_to_json(known, place),
        "operations": OPERATIONS.map(operation_to_json),
    })
}

fn address_to_json(known: Presentation, place: Option<Coordinates>) -> Value {
    let mut address = json!({
        "country": known.country,
        "state": known.state,
        "city": known.city,
        "district": known.district,
        "street": known.street,
        "number": known.number,
        "postalCode": known.postal_code,
    });
    if let Some((latitude, longitude)) = place.map(Coordinates::degrees) {
        address["latitude"] = json!(latitude);
        address["longitude"] = json!(longitude);
    }
    address
}

/// An operation as the details show it: in capitals, unlike in the status.
fn operation_to_json(operation: &str) -> Value {
    let channels = json!([{ "name": SALES_CHANNEL, "enabled": true }]);
    json!({ "name": operation.to_ascii_uppercase(), "salesChannels": channels })
}

/// Where a merchant is, if its profile says so.
pub(crate) fn coordinates_of(merchant: &Merchant) -> Option<Coordinates> {
    let sent = merchant.coordinates.as_ref()?;
    Coordinates::from_microdegrees(sent.latitude_microdegrees, sent.longitude_microdegrees)
}

/// The merchant of the path, when the application may see it; also of `/catalog/v2.0/merchants/{id}…` and of `/shipping/v1.0/merchants/{id}…`.
pub(crate) fn merchant_in_path(request: &Request, scope: &Scope) -> Result<MerchantId, ApiError> {
    let id: Result<MerchantId, _> = path_segment(request.uri().path(), ID_SEGMENT).parse();
    id.ok().filter(|id| scope.contains(*id)).ok_or_else(forbidden)
}

/// The merchant itself; one that was granted but does not exist answers like a foreign one.
pub(crate) async fn fetch_one(api: &Api, id: MerchantId) -> Result<Merchant, ApiError> {
    find_one(api, id).await?.ok_or_else(forbidden)
}

/// The merchant itself, if it exists.
pub(crate) async fn find_one(api: &Api, id: MerchantId) -> Result<Option<Merchant>, ApiError> {
    let found = fetch(api, &[id]).await?;
    Ok(found.into_iter().find(|merchant| *merchant.id == *id.as_bytes()))
}

/// The merchants of these ids that exist.
pub(super) async fn fetch(api: &Api, ids: &[MerchantId]) -> Result<Vec<Merchant>, ApiError> {
    let some = ids.chunks(FETCH_MAX).map(|ids| {
        let merchant_ids = ids.iter().map(|id| to_bytes(id.as_bytes())).collect();
        api.merchants.get_merchants(GetMerchantsRequest { merchant_ids, with_presentation: false })
    });
    let replies = try_join_all(some).await.map_err(|error| refusal(&error))?;
    Ok(replies.into_iter().flat_map(|reply| reply.merchants).collect())
}

pub(super) fn refusal(error: &CallError) -> ApiError {
    match error {
        CallError::NotFound | CallError::Invalid => forbidden(),
        CallError::Unavailable => ApiError::unavailable(),
    }
}

fn forbidden() -> ApiError {
    ApiError::forbidden("The application has no permission for this merchant.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_and_cut() {
        let all: Vec<MerchantId> = (0..5).map(|byte| MerchantId::from_bytes([byte; 16])).collect();
        let page = |query: &str| {
            Page::read(Some(query)).map(|page| page.of(&all).len()).map_err(|error| error.status().as_u16())
        };
        assert_eq!(page(""), Ok(5));
        assert_eq!(page("page=2&size=3"), Ok(2));
        assert_eq!(page("page=9999999999&size=100"), Ok(0));
        assert_eq!(page("page=99999999999999999999999999999999"), Ok(0));
        for wrong in
            ["page=0", "size=0", "size=101", "page=x", "page=-1", "page=", "page=1.0", "size=99999999999999999999999"]
        {
            assert_eq!(page(wrong), Err(400), "{wrong}");
        }
    }
}
