//! `GET` and `POST /activate`: where a merchant's owner types the user code and the portal key, and reads the authorization code.
//!
//! Called by the routes. There is no session: whoever has a merchant's portal key may approve for it, once a form, and nothing
//! else tells the browser apart, so there is nothing another site could make it do. Attempts are bounded by address here, and by
//! code and by merchant in the table.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;

use super::activation_page::{Problem, View, render};
use super::endpoint::read_form;
use super::form::pairs;
use super::grants::unavailable;
use super::token_form::{FIELD_MAX_BYTES, form_text};
use crate::api::Api;
use crate::errors::{ApiError, Throttle};
use crate::merchants::language::Language;
use crate::store::{Activation, Approved};

/// Where it is served.
const PATH: &str = "/activate";
/// The query parameter that fills in the user code.
const CODE_PARAMETER: &str = "c";
/// What attempts from one address are counted under.
const SUBJECT: &str = "activate";
/// How long to wait after too many attempts with one code or for one merchant: they are counted in windows of ten minutes.
const TOO_MANY_RETRY_AFTER_S: u32 = 600;

/// The page's address as a browser sees it.
pub(super) fn url(public_url: &str) -> String {
    format!("{public_url}{PATH}")
}

/// Answers with the form.
pub(crate) async fn activation_page(_: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let code = value_of(request.uri().query().unwrap_or_default(), CODE_PARAMETER);
    Ok(render(Language::of(request.headers()), StatusCode::OK, &View::Form { code: &code, problem: None }))
}

/// Answers the form: with the authorization code, or with the form again and what is wrong.
pub(crate) async fn activate(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let language = Language::of(request.headers());
    let (address, body) = read_form(&api, request).await?;
    let form = form_text(&body)?;
    let (code, key) = (value_of(form, "userCode"), value_of(form, "portalKey"));
    Ok(match attempt(&api, code.trim(), key.trim(), address).await {
        Ok(approved) => {
            let name = Some(approved.application_name.as_str()).filter(|name| !name.is_empty());
            let application = name.unwrap_or(approved.application.as_str());
            render(language, StatusCode::OK, &View::Approved { application, code: &approved.code })
        }
        Err(problem) => render(language, problem.status(), &View::Form { code: &code, problem: Some(problem) }),
    })
}

async fn attempt(api: &Api, code: &str, key: &str, address: IpAddr) -> Result<Approved, Problem> {
    if code.is_empty() || key.is_empty() {
        return Err(Problem::Incomplete);
    }
    let now = api.clock.monotonic();
    {
        let mut attempts = api.attempts.lock();
        attempts.attempt(SUBJECT, address, now).map_err(Problem::TooMany)?;
        // Counted before its outcome is known, so that many at once are counted, too.
        attempts.failed(SUBJECT, address, now);
    }
    let outcome = api.authorisations.activate(code, key).await;
    if !matches!(outcome, Ok(Activation::Refused)) {
        api.attempts.lock().forgive(SUBJECT, address, now);
    }
    match outcome {
        Ok(Activation::Approved(approved)) => {
            // Who may see whom changes: worth a line. Neither the code nor the key is in it.
            tracing::info!(application = %approved.application, authorisation = %approved.authorisation,
                "a merchant has authorised an application");
            Ok(approved)
        }
        Ok(Activation::Refused) => Err(Problem::Refused),
        Ok(Activation::TooMany { most }) => {
            Err(Problem::TooMany(Throttle { limit: most, retry_after_s: TOO_MANY_RETRY_AFTER_S }))
        }
        Err(error) => {
            let _ = unavailable(&error);
            Err(Problem::Unavailable)
        }
    }
}

/// The last value of a field; one that is too long counts as none.
fn value_of(form: &str, field: &str) -> String {
    let sent = pairs(form).filter(|(name, _)| name == field).last();
    sent.map(|(_, value)| value.into_owned()).filter(|value| value.len() <= FIELD_MAX_BYTES).unwrap_or_default()
}
