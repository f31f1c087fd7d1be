//! `PUT /v1/merchantOnboarding`, `GET /v1/merchantStatus`, and our own `GET /comanda/v1/merchants/{id}/menu`: where a POS serves its
//! document, how reading it went, and what was read.
//!
//! Reading is `pos_menu`'s, in the background. Merchants are named as everywhere in this dialect; foreign and unknown ones answer alike.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use order_model::MerchantId;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::merchant_names::resolve;
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::calls::CallError;
use crate::errors::ApiError;
use crate::merchants::merchant_in_path;
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;
use crate::pos_menu::{Onboarded, PosEndpoints, PosMenus};
use crate::store::Kind;

/// The longest key and the longest webhook URL of a POS, in bytes.
const TEXT_MAX_BYTES: usize = 512;
/// What a POS reads that names a webhook at its onboarding.
const WEBHOOK_NOT_USED: &str =
    "ordersWebhookURL is kept and not used: set the webhook with its secret at PUT /comanda/v1/webhook.";

/// Keeps where a document is and has it read: 201 for a merchant that is new here, 204 otherwise.
pub(crate) async fn onboard(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    // A document is read for an application that has the merchant itself, not by way of an authorisation.
    if authorised.access().kind() == Kind::Distributed {
        return Err(ApiError::forbidden("Onboarding is for centralized applications."));
    }
    let merchant = find_merchant(&api, &authorised, &named_merchant(&request).ok_or_else(missing)?).await?;
    let (parts, body) = request.into_parts();
    let body = read_json(&parts.headers, body, BODY_MAX_BYTES).await?;
    let menus = menus(&api)?;
    let endpoints = read_endpoints(&body, &menus)?;
    let onboarded = menus.onboard(merchant, authorised.application(), &endpoints, api.clock.now()).await;
    match onboarded.map_err(|_| ApiError::unavailable())? {
        Onboarded::New => {
            let mut answer = json!({
                "getMerchantURL": { "baseURL": endpoints.base_url },
                "orderingAppMerchantId": merchant.to_string(),
            });
            if let Some(url) = endpoints.orders_webhook_url {
                answer["ordersWebhookURL"] = json!(url);
            }
            let mut response = json_response(Bytes::from(answer.to_string()));
            *response.status_mut() = StatusCode::CREATED;
            Ok(response)
        }
        Onboarded::Again => Ok(no_content()),
    }
}

/// Answers how reading went.
pub(crate) async fn merchant_reading(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let merchant = find_merchant(&api, &authorised, &named_merchant(&request).ok_or_else(missing)?).await?;
    let menu = menus(&api)?.store.pos_menu(merchant).await.map_err(|_| ApiError::unavailable())?;
    let menu = menu.ok_or_else(unknown)?;
    let mut answer = json!({ "lastRead": menu.last_read.to_string(), "status": menu.reading.name() });
    let note = menu.endpoints.orders_webhook_url.as_ref().map(|_| WEBHOOK_NOT_USED);
    let notes: Vec<&str> = menu.more_info.as_deref().into_iter().chain(note).collect();
    if !notes.is_empty() {
        answer["moreInfo"] = json!(notes.join(" "));
    }
    Ok(json_response(Bytes::from(answer.to_string())))
}

/// Answers with the stored document, as it was sent.
pub(crate) async fn pos_menu(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let document = menus(&api)?.document(merchant).await.map_err(|_| ApiError::unavailable())?;
    let none = || {
        let none = ApiError::not_found("No document was read of the merchant's POS yet.");
        none.with_hint("PUT /v1/merchantOnboarding says where it is; GET /v1/merchantStatus says how reading it went.")
    };
    document.map(|document| json_response(Bytes::from(document))).ok_or_else(none)
}

/// What `merchantId` says.
pub(super) fn named_merchant(request: &Request) -> Option<String> {
    let mut pairs = form_pairs(request.uri().query().unwrap_or_default());
    let named = pairs.find(|(name, _)| name == "merchantId").map(|(_, value)| value.into_owned());
    named.filter(|named| !named.is_empty())
}

/// The merchant that is called so, of those of the application.
pub(super) async fn find_merchant(api: &Api, authorised: &Authorised, named: &str) -> Result<MerchantId, ApiError> {
    match resolve(api, authorised.scope(), named).await {
        Ok(Some(merchant)) => Ok(merchant),
        Ok(None) | Err(CallError::NotFound | CallError::Invalid) => Err(unknown()),
        Err(CallError::Unavailable) => Err(ApiError::unavailable()),
    }
}

/// Where nothing can be sent, nothing can be asked for either.
pub(super) fn menus(api: &Api) -> Result<PosMenus, ApiError> {
    api.webhooks.as_ref().map(crate::webhooks::WebhookAdmin::pos_menus).ok_or_else(ApiError::unavailable)
}

pub(super) fn missing() -> ApiError {
    ApiError::bad_request("merchantId must name the merchant.").at_field("merchantId")
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found("There is no such merchant.")
}

pub(super) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn read_endpoints(body: &[u8], menus: &PosMenus) -> Result<PosEndpoints, ApiError> {
    let wrong = |field: &'static str, expected: String| ApiError::bad_request(expected).at_field(field);
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
        return Err(ApiError::bad_request("The body must be a JSON object."));
    };
    let given = body.get("getMerchantURL").and_then(Value::as_object);
    let given = given.ok_or_else(|| wrong("getMerchantURL", "getMerchantURL must be an object.".to_owned()))?;
    let base_url = given.get("baseURL").and_then(Value::as_str).unwrap_or_default();
    let refused = |why: String| wrong("getMerchantURL.baseURL", why);
    if base_url.contains('?') {
        return Err(refused("expected the base URL, to which /v1/merchant is added, without a query".to_owned()));
    }
    menus.check_url(base_url).map_err(|refusal| refused(refusal.to_string()))?;
    let text = |value: Option<&Value>, field: &'static str| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text))
            if text.len() <= TEXT_MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Some(_) => Err(wrong(field, format!("expected at most {TEXT_MAX_BYTES} visible ASCII characters"))),
    };
    Ok(PosEndpoints {
        base_url: base_url.to_owned(),
        api_key: text(given.get("apiKey"), "getMerchantURL.apiKey")?.map(SecretString::from),
        orders_webhook_url: text(body.get("ordersWebhookURL"), "ordersWebhookURL")?,
    })
}
