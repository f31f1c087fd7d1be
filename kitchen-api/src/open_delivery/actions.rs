//! `POST /v1/orders/{orderId}/{action}`: a merchant acts on an order; the answer follows the commit.
//!
//! We are a synchronous server: an action that has happened, or is not legal where the order stands, is a 422 that says so. What a
//! client sends along is read where it decides or tells something (the reason and code of a cancellation, or of a no to one) and tolerated
//! otherwise: clients send no body, `{}` or more than the document knows. Taken and not used, because the core has no place for them:
//! `createdAt`, `orderExternalCode` and `preparationTime` of `confirm`; `deliveryTrackingInfo` of `dispatch`, which `tracking` reports; `mode`,
//! `outOfStockItems` and `invalidItems` of a cancellation, which is one of the whole order.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use order_model::lifecycle::CancellationCode;
use proto::gateway_core::{ActRequest, Action, Conflict};

use super::cancellation_codes::Reason;
use super::path;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, check_depth, read_body};
use crate::errors::ApiError;
use crate::oauth::Authorised;
use crate::orders::{Note, ask, idempotency_key, refusal, visible_order};

/// Answers an action that moves the order on: 202.
pub(crate) async fn act(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    action: Action,
) -> Result<Response, ApiError> {
    let conflict = carry_out(&api, &authorised, request, action).await?;
    conflict.map_or(Ok(empty(StatusCode::ACCEPTED)), |conflict| Err(unprocessable(&conflict)))
}

/// Answers the merchant's yes or no to a consumer who wants to cancel: 204.
pub(crate) async fn answer_cancellation(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    action: Action,
) -> Result<Response, ApiError> {
    let conflict = carry_out(&api, &authorised, request, action).await?;
    conflict.map_or(Ok(empty(StatusCode::NO_CONTENT)), |conflict| Err(unprocessable(&conflict)))
}

/// Answers a merchant who wants to cancel: 202, or a 422 that says how the cancellation stands.
pub(crate) async fn request_cancellation(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let conflict = carry_out(&api, &authorised, request, Action::RequestCancellation).await?;
    let Some(conflict) = conflict else { return Ok(empty(StatusCode::ACCEPTED)) };
    let status = cancellation_status(&conflict.state);
    let error = unprocessable(&conflict);
    Err(match status {
        Some(status) => error.with_cancellation_status(status),
        None => error,
    })
}

/// How the cancellation of an order that stands at `state` stands, when a request for it was refused. With a request still open
/// it is neither.
fn cancellation_status(state: &str) -> Option<&'static str> {
    match state {
        "CANCELLED" => Some("CANCELLED"),
        "CONCLUDED" => Some("CANCELLATION_REQUEST_DENIED"),
        _ => None,
    }
}

async fn carry_out(
    api: &Api,
    authorised: &Authorised,
    request: Request,
    action: Action,
) -> Result<Option<Conflict>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let order = path::order(&mut parts).await?;
    let idempotency_key = idempotency_key(&parts.headers)?;
    let body = read_body(&parts.headers, body, BODY_MAX_BYTES).await?;
    if action == Action::RequestCancellation {
        // The only one that must say something: what it says is not passed over.
        check_depth(&body)?;
    }
    let note = Note::read(&body);
    let visible = visible_order(api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    let code = match action {
        Action::RequestCancellation => cancellation_code(&note.code)?.code().to_owned(),
        // Why not is the core's to tell; a merchant's no counts without it.
        Action::DenyCancellation => note.code,
        _ => String::new(),
    };
    let act = ActRequest { action: action.into(), reason: note.reason, code, idempotency_key, ..ActRequest::default() };
    let asked = ask(api, authorised, &parts.headers, (order, visible.merchant), act).await;
    Ok(asked.map_err(|error| refusal(&error))?.conflict)
}

/// Our code for what a client sent; ours is taken, too.
fn cancellation_code(sent: &str) -> Result<CancellationCode, ApiError> {
    let code = Reason::parse(sent).map(Reason::code).or_else(|| CancellationCode::parse(sent));
    code.ok_or_else(|| {
        let names: Vec<&str> = Reason::ALL[..Reason::REQUESTABLE].iter().map(|reason| reason.name()).collect();
        ApiError::bad_request(format!("code must be one of {}.", names.join(", "))).at_field("code")
    })
}

pub(super) fn unprocessable(conflict: &Conflict) -> ApiError {
    ApiError::unprocessable(refused(conflict))
}

/// Why an order cannot do what was asked, and what it can.
pub(super) fn refused(conflict: &Conflict) -> String {
    let state = if conflict.state.is_empty() { String::new() } else { format!(" The order is {}.", conflict.state) };
    let names: Vec<&str> = conflict.legal.iter().filter_map(|name| own_name(name)).collect();
    let legal = if names.is_empty() { String::new() } else { format!(" Possible now: {}.", names.join(", ")) };
    format!("This cannot be done, or has been done before.{state}{legal}")
}

/// What an action of the core is called here; `None` for one that this dialect does not have.
fn own_name(action: &str) -> Option<&str> {
    match action {
        "startPreparation" => Some("preparing"),
        "readyToPickup" => Some("readyForPickup"),
        "confirm" | "dispatch" | "pickedUp" | "delivered" => Some(action),
        "requestCancellation" | "acceptCancellation" | "denyCancellation" => Some(action),
        _ => None,
    }
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_dialects_are_taken_and_no_others() {
        assert_eq!(cancellation_code(" unavailable_item ").ok(), Some(CancellationCode::ItemUnavailable));
        assert_eq!(cancellation_code("503").ok(), Some(CancellationCode::ItemUnavailable));
        for wrong in ["", "DISH_ALREADY_DONE", "510"] {
            assert_eq!(cancellation_code(wrong).err().unwrap().status(), 400, "{wrong}");
        }
    }

    #[test]
    fn a_refused_cancellation_says_how_it_stands() {
        assert_eq!(cancellation_status("CANCELLED"), Some("CANCELLED"));
        assert_eq!(cancellation_status("CONCLUDED"), Some("CANCELLATION_REQUEST_DENIED"));
        assert_eq!(cancellation_status("DISPATCHED"), None);
    }
}
