//! Sends one request to one receiver, within limits on time and size, and says how it went.
//!
//! Used by [`super::dispatch`], [`super::presence`] and, to read documents of POSes, by `crate::pos_menu`. One HTTP client for all receivers: HTTP/1.1, TLS by rustls over
//! [`super::dialer`]. Redirects are not followed, cookies and compression are absent, and what a receiver answers is read for keep-alives only.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use order_model::SharedClock;
use secrecy::{ExposeSecret, SecretString};

use super::dial::{DialRules, Refusal};
use super::dialer::{DialError, Dialer, Resolver};
use super::message::{Message, USER_AGENT};
use super::schedule::Outcome;

/// From the look-up of the name to the status of the answer (PARTNER_API, 2.7).
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// From the look-up of the name to the end of the answer's body, where that is read.
pub const WHOLE_TIMEOUT: Duration = Duration::from_secs(15);
/// The most that is read of an answer; a list of 1,000 merchants has 40 KB.
pub const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// The most that is read of an answer's status line and headers.
const HEAD_MAX_BYTES: usize = 32 * 1024;
/// Connections kept to a receiver that has nothing to do.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// How long they are kept. A keep-alive every 30 s keeps one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) outcome: Outcome,
    pub(super) latency: Duration,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client<HttpsConnector<Dialer>, Full<Bytes>>,
    rules: DialRules,
    clock: SharedClock,
}

impl Sender {
    /// Connections are made under `rules`, and their certificates judged by `tls`.
    pub(crate) fn new(
        rules: DialRules,
        resolver: Arc<dyn Resolver>,
        tls: &rustls::ClientConfig,
        clock: SharedClock,
    ) -> Self {
        // Whether cleartext is allowed is judged by the dialer, which sees the scheme.
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(HEAD_MAX_BYTES)
            .build(https.wrap_connector(Dialer { rules, resolver }));
        Self { client, rules, clock }
    }

    /// Posts `message`; what is answered beyond the status is not read.
    pub(super) async fn send(&self, url: &str, message: Message) -> Sent {
        let started_at = self.clock.monotonic();
        let outcome = match tokio::time::timeout(ANSWER_TIMEOUT, self.post(url, message)).await {
            Ok(Ok(response)) => Outcome::Answered(response.status().as_u16()),
            Ok(Err(outcome)) => outcome,
            Err(_elapsed) => Outcome::TimedOut,
        };
        Sent { outcome, latency: self.clock.monotonic().saturating_sub(started_at) }
    }

    /// Posts `message` and reads the answer, at most [`ANSWER_MAX_BYTES`]; an answer that is longer or breaks off is empty.
    pub(super) async fn ask(&self, url: &str, message: Message) -> (Outcome, Bytes) {
        let deadline = tokio::time::Instant::now() + WHOLE_TIMEOUT;
        let response = match tokio::time::timeout(ANSWER_TIMEOUT, self.post(url, message)).await {
            Ok(Ok(response)) => response,
            Ok(Err(outcome)) => return (outcome, Bytes::new()),
            Err(_elapsed) => return (Outcome::TimedOut, Bytes::new()),
        };
        let outcome = Outcome::Answered(response.status().as_u16());
        let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect();
        match tokio::time::timeout_at(deadline, body).await {
            Ok(Ok(body)) => (outcome, body.to_bytes()),
            Ok(Err(_)) | Err(_) => (outcome, Bytes::new()),
        }
    }

    /// Gets a document from a POS with its key, at most `most_bytes`; none when it is longer or breaks off.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        api_key: Option<&SecretString>,
        most_bytes: usize,
    ) -> (Outcome, Option<Bytes>) {
        let deadline = tokio::time::Instant::now() + WHOLE_TIMEOUT;
        let response = match tokio::time::timeout(ANSWER_TIMEOUT, self.get(url, api_key)).await {
            Ok(Ok(response)) => response,
            Ok(Err(outcome)) => return (outcome, None),
            Err(_elapsed) => return (Outcome::TimedOut, None),
        };
        let outcome = Outcome::Answered(response.status().as_u16());
        if outcome != Outcome::Answered(200) {
            return (outcome, None);
        }
        let body = Limited::new(response.into_body(), most_bytes).collect();
        match tokio::time::timeout_at(deadline, body).await {
            Ok(Ok(body)) => (outcome, Some(body.to_bytes())),
            Ok(Err(_)) | Err(_) => (outcome, None),
        }
    }

    async fn get(&self, url: &str, api_key: Option<&SecretString>) -> Result<http::Response<Incoming>, Outcome> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(key) = api_key.and_then(|key| HeaderValue::from_str(key.expose_secret()).ok()) {
            headers.insert(HeaderName::from_static("x-api-key"), key);
        }
        self.request(Method::GET, url, Message { headers, body: Bytes::new() }).await
    }

    async fn post(&self, url: &str, message: Message) -> Result<http::Response<Incoming>, Outcome> {
        self.request(Method::POST, url, message).await
    }

    async fn request(&self, method: Method, url: &str, message: Message) -> Result<http::Response<Incoming>, Outcome> {
        // Rules may have changed since the webhook was set, and a connection of the pool is not dialled again.
        self.rules.check_url(url).map_err(|_: Refusal| Outcome::Refused)?;
        let uri: Uri = url.parse().map_err(|_| Outcome::Refused)?;
        let mut request = Request::new(Full::new(message.body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = message.headers;
        self.client.request(request).await.map_err(|error| outcome_of(&error))
    }
}

fn outcome_of(error: &(dyn Error + 'static)) -> Outcome {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(DialError::Refused(_)) = error.downcast_ref::<DialError>() {
            return Outcome::Refused;
        }
        cause = error.source();
    }
    Outcome::Unreachable
}
