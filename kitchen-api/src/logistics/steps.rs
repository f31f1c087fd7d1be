//! `POST /logistics/v1.0/orders/{id}/{step}`: 202 without a body follows the commit.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::EventId;
use proto::gateway_core::{ActRequest, Action, Worker};
use serde_json::Value;

use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, check_depth, read_body};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{accepted, check_code, order_in_path, perform, refusal, visible_order};

/// The longest name, phone or vehicle of a courier, in characters; a longer one is refused.
const WORKER_MAX_CHARS: usize = 120;

/// Answers a step that says nothing more.
pub(crate) async fn step(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    action: Action,
) -> Result<Response, ApiError> {
    take(&api, &authorised, request, |_| Ok(ActRequest { action: action.into(), ..ActRequest::default() })).await
}

/// Answers `assignDriver`, which says who comes.
pub(crate) async fn assign_driver(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    take(&api, &authorised, request, |body| {
        let worker = Some(worker(body)?);
        Ok(ActRequest { action: Action::AssignDriver.into(), worker, ..ActRequest::default() })
    })
    .await
}

/// Answers `verifyDeliveryCode`.
pub(crate) async fn verify_delivery_code(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let checked = check_code(&api, &authorised, request, Action::VerifyCodeAtDestination).await?;
    keep_from(&api, &authorised, &checked.or_invalid()?).await;
    Ok(accepted())
}

async fn take(
    api: &Api,
    authorised: &Authorised,
    request: Request,
    act: impl FnOnce(&[u8]) -> Result<ActRequest, ApiError>,
) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, BODY_MAX_BYTES).await?;
    let visible = visible_order(api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let act = act(&body)?;
    let reply = perform(api, authorised, &parts.headers, (order, visible.merchant), act).await?;
    keep_from(api, authorised, &reply.event_ids).await;
    Ok(accepted())
}

/// Acknowledges the events of an application's own step for it. Where that fails they are told to it as to everybody: the
/// step is taken all the same.
async fn keep_from(api: &Api, authorised: &Authorised, events: &[Bytes]) {
    let ids: Vec<EventId> = events.iter().filter_map(|id| EventId::try_from_slice(id).ok()).collect();
    if !ids.is_empty() && api.feed.acknowledge(authorised.application(), ids).await.is_err() {
        metrics::counter!("comanda_kitchen_api_logistics_echoes_total").increment(1);
    }
}

fn worker(body: &[u8]) -> Result<Worker, ApiError> {
    check_depth(body)?;
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &'static str| {
        let text = match &said[name] {
            Value::String(text) => text.trim().to_owned(),
            Value::Null => String::new(),
            _ => return Err(ApiError::bad_request("This must be a text.").at_field(name)),
        };
        if text.chars().count() <= WORKER_MAX_CHARS {
            return Ok(text);
        }
        Err(ApiError::bad_request(format!("This has at most {WORKER_MAX_CHARS} characters.")).at_field(name))
    };
    let worker =
        Worker { name: text("workerName")?, phone: text("workerPhone")?, vehicle_type: text("workerVehicleType")? };
    if worker.name.is_empty() {
        return Err(ApiError::bad_request("Say who brings the order.").at_field("workerName"));
    }
    Ok(worker)
}
