//! `GET …/orders/{id}/cancellationEvidences/{evidenceId}`: a file that came with a dispute, as `HSD` links to it.
//!
//! A foreign order, an unknown one, a file of another order and texts that are no ids answer identically. Files come from
//! customers: they are served under the type that gateway-core judged them by, and nothing may guess another one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, header};
use order_model::EvidenceId;
use proto::conversions::{self, to_bytes};
use proto::gateway_core::{GetEvidenceReply, GetEvidenceRequest};

use super::details::{order_in_path, refusal};
use crate::api::Api;
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::routes::path_segment;

/// Where the file's id stands in `/order/v1.0/orders/{id}/cancellationEvidences/{evidenceId}`.
const EVIDENCE_SEGMENT: usize = 5;

fn unknown() -> ApiError {
    ApiError::not_found("There is no such evidence.")
}

/// Answers with the file.
pub(crate) async fn cancellation_evidence(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let order = order_in_path(&request).map_err(|_| unknown())?;
    let id: EvidenceId = path_segment(request.uri().path(), EVIDENCE_SEGMENT).parse().map_err(|_| unknown())?;
    let request = GetEvidenceRequest { order_id: to_bytes(order.as_bytes()), evidence_id: to_bytes(id.as_bytes()) };
    let found = api.core.get_evidence(request).await.map_err(|error| match error {
        CallError::NotFound => unknown(),
        other => refusal(&other),
    })?;
    let merchant = conversions::merchant_id(&found.merchant_id).map_err(|_| ApiError::unavailable())?;
    if authorised.scope().contains(merchant) { file_response(found) } else { Err(unknown()) }
}

fn file_response(file: GetEvidenceReply) -> Result<Response, ApiError> {
    // A picture is looked at where it is shown; anything else is opened by what the reader chose for it.
    let disposition = if file.content_type.starts_with("image/") { "inline" } else { "attachment" };
    let content_type = HeaderValue::try_from(file.content_type).map_err(|_| ApiError::unavailable())?;
    let mut response = Response::new(Body::from(file.content));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    Ok(response)
}
