//! `Idempotency-Key`: a request that is sent again has the effect of one, and the same answer.
//!
//! Called by the router for the operations whose row documents the header, and only where a client sends it. What is
//! remembered stands in the table `requests` for a day; it survives a crash, and every instance sees it. The decision is
//! [`decide`], pure. An answer is kept when it is a result or says what is wrong with the request; one that says that nothing
//! was done for now (401, 403, 404, 408, 429, 5xx) is not, and the next request is judged anew. Nor does a kept answer say
//! anything to an application whose merchants have changed since: its request is judged anew, too.
//!
//! Whoever dies between the effect and the record leaves the key held. Once that is over the request is carried out again,
//! under the same [`effect`] key: the core remembers under it what it has committed, and answers as the first time.

mod decision;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::api::Api;
use crate::entropy::Entropy;
use crate::errors::ApiError;
use crate::rate_limits::Caller;
use crate::store::kept::{KeptAnswer, Progress, Remembered, RequestTableError};

use self::decision::{Verdict, decide};
use self::request::{Asked, EFFECT_HEX_BYTES};

/// The header. Also the name of the parameter by which a row says that it is honoured.
pub(crate) const HEADER: &str = "idempotency-key";
/// The same as a header map looks it up.
static HEADER_NAME: HeaderName = HeaderName::from_static(HEADER);
/// Said with an answer that was given before.
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, in characters.
pub(crate) const KEY_MAX_CHARS: usize = 255;
/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long whoever carries a request out holds its key. Longer than [`WORK_LIMIT`] by more than clocks disagree.
const HELD_FOR: Duration = Duration::from_secs(30);
/// How long carrying a request out may take, with all its calls.
const WORK_LIMIT: Duration = Duration::from_secs(20);
/// The largest answer that is kept; the operations that keep answers answer in some hundred bytes.
const ANSWER_MAX_BYTES: u64 = 16 * 1024;
/// How often a key is looked at again because somebody else took it in between.
const ATTEMPTS_MAX: usize = 5;

/// Whether a request brings a key.
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    headers.contains_key(&HEADER_NAME)
}

/// The key under which a request's effects are made: one of its own, or the one that every repeat of it has.
pub(crate) fn effect(headers: &HeaderMap, entropy: &Entropy) -> [u8; 16] {
    let given = headers.get(&HEADER_NAME).filter(|value| value.len() == EFFECT_HEX_BYTES);
    let read = given.and_then(|value| <[u8; 16]>::try_from(hex::decode(value.as_bytes()).ok()?).ok());
    read.unwrap_or_else(|| entropy.bytes())
}

/// Sixteen bytes that an effect key makes for one purpose.
pub(crate) fn derived(purpose: &[u8], effect: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(effect).finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

/// What carries a request out.
pub(crate) type Work = Box<dyn FnOnce(Request) -> BoxFuture<'static, Result<Response, ApiError>> + Send>;

/// Carries a request with a key out once, and answers its repeats as the first one. `of_whom` is the caller and a digest of what
/// it may see.
pub(crate) async fn once(
    api: Arc<Api>,
    of_whom: (Caller, [u8; 32]),
    request: Request,
    error_shape: fn(ApiError) -> Response,
    work: Work,
) -> Result<Response, ApiError> {
    let (asked, mut parts, body) = Asked::read(of_whom, request).await?;
    let held = match hold(&api, &asked).await.map_err(|error| unavailable(&error))? {
        Held::Ours(held) => held,
        Held::Answered(answer) => return replay(answer),
        Held::Refused(error) => return Err(error),
    };
    // What the handler passes on as the key is what its effects are remembered under.
    let effect = HeaderValue::from_str(&hex::encode(held.effect)).map_err(|_| ApiError::unavailable())?;
    parts.headers.insert(&HEADER_NAME, effect);
    let work = work(Request::from_parts(parts, Body::from(body)));
    // In a task: a client that goes away must not leave its key held.
    let finishing = async move {
        let outcome = tokio::time::timeout(WORK_LIMIT, work).await;
        let response = outcome.unwrap_or_else(|_| Err(ApiError::unavailable())).unwrap_or_else(error_shape);
        keep(&api, &asked.under, held, response).await
    };
    tokio::spawn(finishing.in_current_span()).await.map_err(|_| ApiError::unavailable())
}

/// Whose turn it is.
enum Held {
    Ours(Remembered),
    Answered(KeptAnswer),
    Refused(ApiError),
}

async fn hold(api: &Api, asked: &Asked) -> Result<Held, RequestTableError> {
    let holder = api.entropy.bytes();
    for _ in 0..ATTEMPTS_MAX {
        let before = api.requests.remembered(&asked.under).await?;
        let now = api.clock.now();
        let effect = match decide(before.as_ref(), asked, now) {
            Verdict::Begin => api.entropy.bytes(),
            Verdict::TakeOver { effect } => effect,
            Verdict::Answer(answer) => return Ok(Held::Answered(answer)),
            Verdict::OtherRequest => return Ok(Held::Refused(other_request())),
            Verdict::InFlight { left } => return Ok(Held::Refused(in_flight(left))),
        };
        let held = Remembered {
            fingerprint: asked.fingerprint,
            scope: asked.scope,
            effect,
            holder,
            progress: Progress::Held { until: now.plus(HELD_FOR) },
            kept_until: now.plus(KEPT_FOR),
        };
        if api.requests.remember(&asked.under, &held, before.map(|before| before.holder)).await? {
            return Ok(Held::Ours(held));
        }
    }
    // Somebody else takes it all the time.
    Ok(Held::Refused(in_flight(Duration::from_secs(1))))
}

/// Keeps an answer, or ends the hold: the next one carries the request out again, and what this one may have done all the
/// same is found under the same effect key. If neither can be written the key stays held for a while, and the request is
/// carried out again under the same effect key: the answer in hand is true all the same.
async fn keep(api: &Api, under: &[u8; 32], held: Remembered, response: Response) -> Response {
    let (response, answer) = kept_answer(response).await;
    let holder = held.holder;
    let after = match answer {
        Some(answer) => Remembered { progress: Progress::Answered(answer), ..held },
        None => Remembered { progress: Progress::Held { until: api.clock.now() }, ..held },
    };
    match api.requests.remember(under, &after, Some(holder)).await {
        Ok(true) => {}
        Ok(false) => metrics::counter!("comanda_kitchen_api_idempotency_overtaken_total").increment(1),
        Err(error) => {
            metrics::counter!("comanda_kitchen_api_idempotency_unrecorded_total").increment(1);
            tracing::warn!(error = &error as &dyn std::error::Error, "an answer could not be kept under its key");
        }
    }
    response
}

/// Whether an answer says once and for all what became of its request.
fn is_final(status: StatusCode) -> bool {
    let refused = [StatusCode::BAD_REQUEST, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];
    status.is_success() || refused.contains(&status)
}

/// The answer as it is kept, if it is; and as it is sent.
async fn kept_answer(response: Response) -> (Response, Option<KeptAnswer>) {
    let (parts, body) = response.into_parts();
    let is_small = body.size_hint().upper().is_some_and(|bytes| bytes <= ANSWER_MAX_BYTES);
    if !is_final(parts.status) || !is_small {
        return (Response::from_parts(parts, body), None);
    }
    let Ok(body) = body.collect().await else {
        return (ApiError::unavailable().into_response(), None);
    };
    let body = body.to_bytes();
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let answer = KeptAnswer {
        status: parts.status.as_u16(),
        content_type: content_type.unwrap_or_default().to_owned(),
        body: body.to_vec(),
    };
    (Response::from_parts(parts, Body::from(body)), Some(answer))
}

fn replay(answer: KeptAnswer) -> Result<Response, ApiError> {
    metrics::counter!("comanda_kitchen_api_idempotency_replays_total").increment(1);
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|_| ApiError::unavailable())?;
    let headers = response.headers_mut();
    headers.insert(&REPLAYED, HeaderValue::from_static("true"));
    if !answer.content_type.is_empty() {
        let content_type = HeaderValue::from_str(&answer.content_type).map_err(|_| ApiError::unavailable())?;
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    Ok(response)
}

fn other_request() -> ApiError {
    let message = "This Idempotency-Key was used for another request less than 24 hours ago.";
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "IdempotencyKeyReused", message)
        .at_field(HEADER)
        .with_hint("Make a new key for each request; send the same one only with the very same method, path and body.")
}

fn in_flight(left: Duration) -> ApiError {
    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).clamp(1, 5);
    ApiError::new(StatusCode::CONFLICT, "IdempotencyKeyInUse", "A request with this Idempotency-Key is being answered.")
        .at_field(HEADER)
        .with_hint("Send it again after Retry-After: it is answered as the first one then.")
        .with_retry_after(seconds)
}

fn unavailable(error: &RequestTableError) -> ApiError {
    tracing::debug!(error = error as &dyn std::error::Error, "an Idempotency-Key could not be looked up");
    metrics::counter!("comanda_kitchen_api_idempotency_unavailable_total").increment(1);
    ApiError::unavailable()
}
