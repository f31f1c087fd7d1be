//! `GET` and `PUT /merchant/v1.0/merchants/{id}/opening-hours`.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::list::{fetch_one, merchant_in_path};
use super::profile_change::{Edit, change, json_object};
use super::shift_list::{read, to_json};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::json_response;

/// Answers with every shift.
pub(crate) async fn opening_hours(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let merchant = fetch_one(&api, id).await?;
    let body = json!({ "shifts": to_json(&merchant.shifts, id) });
    Ok(json_response(Bytes::from(body.to_string())))
}

/// Replaces every shift.
pub(crate) async fn set_opening_hours(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let shifts = read(&json_object(request).await?, id)?;
    let replaced = change(&api, id, |merchant, _| {
        merchant.shifts.clone_from(&shifts);
        Ok(Edit::Changed(()))
    });
    replaced.await?;
    let body = json!({ "storeId": id.to_string(), "shifts": to_json(&shifts, id) });
    let mut response = json_response(Bytes::from(body.to_string()));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
