//! `GET /merchant/v1.0/merchants/{id}/status` and `/status/{operation}`.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::MerchantId;
use proto::merchant_connection::Merchant;
use serde_json::Value;

use super::language::Language;
use super::list::{fetch_one, find_one, merchant_in_path, refusal};
use super::status::{Closed, Connection, OPERATIONS, StoreStatus};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::json_response;
use crate::routes::path_segment;

/// Where the operation stands in `/merchant/v1.0/merchants/{id}/status/{operation}`.
const OPERATION_SEGMENT: usize = 5;

/// Answers with the status of every operation.
pub(crate) async fn statuses(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let language = Language::of(request.headers());
    let status = status_of(&api, merchant).await?;
    let all: Vec<Value> = OPERATIONS.iter().map(|operation| status.to_json(operation, language)).collect();
    Ok(json_response(Bytes::from(Value::from(all).to_string())))
}

/// Answers with the status of one operation, named in any case.
pub(crate) async fn one_status(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let named = path_segment(request.uri().path(), OPERATION_SEGMENT);
    let operation = OPERATIONS.into_iter().find(|operation| operation.eq_ignore_ascii_case(named));
    let operation = operation.ok_or_else(|| ApiError::not_found("There is no such operation."))?;
    let language = Language::of(request.headers());
    let status = status_of(&api, merchant).await?;
    Ok(json_response(Bytes::from(status.to_json(operation, language).to_string())))
}

/// A store and whether it takes orders; `None` where a merchant was granted that does not exist.
pub(crate) async fn store(api: &Api, id: MerchantId) -> Result<Option<(Merchant, bool)>, ApiError> {
    let Some(merchant) = find_one(api, id).await? else { return Ok(None) };
    let presence = api.merchants.presence(id).await.map_err(|_| ApiError::unavailable())?;
    let now = api.clock.now();
    let is_available = StoreStatus::judge(&merchant, Connection::of(&presence, now), now).state().is_available();
    Ok(Some((merchant, is_available)))
}

/// Why the store of this profile takes no orders now; `None` when it does.
pub(crate) async fn closed(api: &Api, id: MerchantId, merchant: &Merchant) -> Result<Option<Closed>, ApiError> {
    let presence = api.merchants.presence(id).await.map_err(|error| refusal(&error))?;
    let now = api.clock.now();
    Ok(StoreStatus::judge(merchant, Connection::of(&presence, now), now).closed())
}

async fn status_of(api: &Api, id: MerchantId) -> Result<StoreStatus, ApiError> {
    let merchant = fetch_one(api, id).await?;
    let presence = api.merchants.presence(id).await.map_err(|error| refusal(&error))?;
    let now = api.clock.now();
    Ok(StoreStatus::judge(&merchant, Connection::of(&presence, now), now))
}
