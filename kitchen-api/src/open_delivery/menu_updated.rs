//! `POST /v1/menuUpdated`: the POS says that its document has changed, or sends what has, or opens or closes the store.
//!
//! The document gives no place to name the merchant: an application with one merchant need not, others add `merchantId`. Parts are
//! applied before the answer; a document is read after it.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use order_model::MerchantId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::merchant_names::names_of;
use super::onboarding::{find_merchant, menus, missing, named_merchant, no_content, unknown};
use crate::api::Api;
use crate::body::read_json;
use crate::errors::ApiError;
use crate::merchants::{closing, find_one};
use crate::oauth::Authorised;
use crate::pos_menu::{DOCUMENT_MAX_BYTES, Entity, OBJECTS_MAX, Updated};

/// An update as it is sent.
#[derive(Default, Deserialize)]
struct Update<'a> {
    #[serde(rename = "merchantStatus", default)]
    status: Option<String>,
    #[serde(rename = "entityType", default)]
    entity: Option<String>,
    #[serde(rename = "updatedObjects", default, borrow)]
    objects: Option<Vec<&'a RawValue>>,
}

/// Does what is sent; 204 says that it is done, or will be.
pub(crate) async fn menu_updated(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let merchant = match named_merchant(&request) {
        Some(named) => find_merchant(&api, &authorised, &named).await?,
        None => only_merchant(&authorised).ok_or_else(missing)?,
    };
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, DOCUMENT_MAX_BYTES).await?;
    let update = read_update(&body)?;
    let is_open = match update.status.as_deref() {
        None => None,
        Some("AVAILABLE") => Some(true),
        Some("UNAVAILABLE") => Some(false),
        Some(_) => return Err(wrong("merchantStatus", "merchantStatus must be AVAILABLE or UNAVAILABLE.")),
    };
    let parts = read_parts(&update)?;
    if is_open.is_none() && parts.is_none() {
        let asked = menus(&api)?.ask(merchant, api.clock.now()).await.map_err(|_| ApiError::unavailable())?;
        return if asked { Ok(no_content()) } else { Err(unknown()) };
    }
    if is_open.is_some() {
        // One that was granted and does not exist: unknown in this dialect, and nothing of the update is done.
        find_one(&api, merchant).await?.ok_or_else(unknown)?;
    }
    if let Some((entity, objects)) = parts {
        change_parts(&api, merchant, entity, objects).await?;
    }
    match is_open {
        None => {}
        Some(true) => closing::reopen(&api, merchant).await?,
        Some(false) => closing::close(&api, merchant).await?,
    }
    Ok(no_content())
}

fn only_merchant(authorised: &Authorised) -> Option<MerchantId> {
    match authorised.scope().merchants() {
        [only] => Some(*only),
        _ => None,
    }
}

fn read_update(body: &[u8]) -> Result<Update<'_>, ApiError> {
    let wrong = || {
        ApiError::bad_request(
            "The body must be a JSON object with merchantStatus, entityType or updatedObjects, or none.",
        )
    };
    match body.trim_ascii().first() {
        None => Ok(Update::default()),
        Some(b'{') => serde_json::from_slice(body).map_err(|_| wrong()),
        // An array of the fields' values would be read as well.
        Some(_) => Err(wrong()),
    }
}

/// What is sent of the document; none when nothing is.
fn read_parts<'a>(update: &'a Update<'a>) -> Result<Option<(Entity, &'a [&'a RawValue])>, ApiError> {
    let objects = update.objects.as_deref().unwrap_or_default();
    let Some(entity) = update.entity.as_deref() else {
        let is_empty = objects.is_empty();
        return if is_empty { Ok(None) } else { Err(wrong("entityType", "entityType must say what is updated.")) };
    };
    let entity = Entity::parse(entity).ok_or_else(|| wrong("entityType", "entityType must be one that is known."))?;
    if !(1..=OBJECTS_MAX).contains(&objects.len()) {
        return Err(wrong("updatedObjects", "updatedObjects must have 1 to 1000 objects."));
    }
    Ok(Some((entity, objects)))
}

async fn change_parts(api: &Api, merchant: MerchantId, entity: Entity, objects: &[&RawValue]) -> Result<(), ApiError> {
    let names = names_of(api, merchant).await.map_err(|_| ApiError::unavailable())?.ok_or_else(unknown)?;
    let (own, ours) = (names.open_delivery_id, merchant.to_string());
    let names: Vec<&str> = own.as_deref().into_iter().chain([ours.as_str()]).collect();
    let updated = menus(api)?.update(merchant, entity, objects, &names, api.clock.now()).await;
    match updated.map_err(|_| ApiError::unavailable())?.ok_or_else(unknown)? {
        Updated::Done | Updated::Asked => Ok(()),
        Updated::Wrong(found) => Err(ApiError::bad_request(found.expected).at_field(found.at)),
    }
}

fn wrong(field: &'static str, message: &'static str) -> ApiError {
    ApiError::bad_request(message).at_field(field)
}
