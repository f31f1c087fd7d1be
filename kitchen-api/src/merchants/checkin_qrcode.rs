//! `POST /merchant/v1.0/merchants/checkin-qrcode`: the check-in codes of up to 20 stores as one PDF (PARTNER_API, section 1.5).
//!
//! All stores or none: one that is foreign or unknown refuses the request and is named, as a poll does it. `Accept` is not
//! looked at: there is only the PDF.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, header};
use order_model::MerchantId;
use serde_json::{Map, Value};

use super::checkin_sheet::{Store, language_tag, sheet};
use super::language::Language;
use super::list::fetch;
use super::profile_change::json_object;
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// Stores of one request.
pub(crate) const STORES_MAX: usize = 20;
const FIELD: &str = "merchantIds";

/// Answers with the PDF.
pub(crate) async fn checkin_qrcode(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let language = Language::of(request.headers());
    let wanted = read(&json_object(request).await?)?;
    let foreign: Vec<MerchantId> = wanted.iter().copied().filter(|id| !authorised.scope().contains(*id)).collect();
    if !foreign.is_empty() {
        return Err(ApiError::forbidden_merchants(foreign));
    }
    let found = fetch(&api, &wanted).await?;
    let named = |id: &MerchantId| {
        let merchant = found.iter().find(|merchant| *merchant.id == *id.as_bytes());
        merchant.map(|merchant| Store { id: *id, name: merchant.name.clone() })
    };
    let stores: Vec<Store> = wanted.iter().filter_map(named).collect();
    if stores.len() < wanted.len() {
        // Granted, and not there: it answers like a foreign one.
        let missing = wanted.into_iter().filter(|id| stores.iter().all(|store| store.id != *id));
        return Err(ApiError::forbidden_merchants(missing.collect()));
    }
    Ok(pdf_response(sheet(&stores, language), language))
}

fn pdf_response(pdf: Vec<u8>, language: Language) -> Response {
    let mut response = Response::new(Body::from(pdf));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/pdf"));
    let attachment = HeaderValue::from_static("attachment; filename=\"checkin-qrcode.pdf\"");
    headers.insert(header::CONTENT_DISPOSITION, attachment);
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language_tag(language)));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    response
}

/// The stores that a body names, each once, in its order.
fn read(body: &Map<String, Value>) -> Result<Vec<MerchantId>, ApiError> {
    let expected = || {
        let message = format!("{FIELD} must be an array of 1 to {STORES_MAX} merchant UUIDs.");
        ApiError::bad_request(message).at_field(FIELD)
    };
    let sent = body.get(FIELD).and_then(Value::as_array).ok_or_else(expected)?;
    if sent.is_empty() || sent.len() > STORES_MAX {
        return Err(expected());
    }
    let mut wanted = Vec::with_capacity(sent.len());
    for one in sent {
        let id: MerchantId = one.as_str().and_then(|text| text.parse().ok()).ok_or_else(expected)?;
        if !wanted.contains(&id) {
            wanted.push(id);
        }
    }
    Ok(wanted)
}
