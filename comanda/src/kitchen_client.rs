//! A small client of the Kitchen API: token, poll, acknowledge, actions.
//!
//! Used by `pos`, `bench ingest` and the end-to-end tests. It speaks HTTP or HTTPS and follows nothing.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The largest answer read: a page of 1,000 events is well below.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longer than the server's own limit of 10 s for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A call failed below HTTP, or its answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The base URL is not one.
    #[error("{url:?} is not a URL such as http://127.0.0.1:8080")]
    InvalidUrl {
        /// What was given.
        url: String,
    },
    /// No answer came.
    #[error("{method} {path}: no answer")]
    NoAnswer {
        /// The method.
        method: Method,
        /// The path.
        path: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what the API promises.
    #[error("{path}: answered {status}: {message}")]
    Unexpected {
        /// The path.
        path: String,
        /// The status.
        status: StatusCode,
        /// The API's message.
        message: String,
    },
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `null` when it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A client of one application.
#[derive(Clone)]
pub struct KitchenClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    client_id: String,
    client_secret: String,
    token: std::sync::Arc<parking_lot::RwLock<String>>,
}

impl KitchenClient {
    /// A client of `base` (e.g. `http://127.0.0.1:8080`) that has no token yet.
    ///
    /// # Errors
    /// When `base` is not a URL or the system's certificates cannot be read.
    pub fn new(base: &str, client_id: &str, client_secret: &str) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidUrl { url: base.to_owned() };
        let is_http = base.starts_with("http://") || base.starts_with("https://");
        if !is_http || base.parse::<http::Uri>().is_err() {
            return Err(invalid());
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|_| invalid())?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            http: Client::builder(TokioExecutor::new()).build(connector),
            base: base.trim_end_matches('/').to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            token: std::sync::Arc::default(),
        })
    }

    /// Gets a token and keeps it; answers for how long it holds.
    ///
    /// # Errors
    /// When the API cannot be reached or refuses.
    pub async fn authenticate(&self) -> Result<Duration, ClientError> {
        let path = "/authentication/v1.0/oauth/token";
        let form = format!(
            "grantType=client_credentials&clientId={}&clientSecret={}",
            percent_encode(&self.client_id),
            percent_encode(&self.client_secret)
        );
        let request = Request::post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.send(request, Bytes::from(form), Method::POST, path).await?;
        let json = answer.json();
        match (answer.status, json["accessToken"].as_str()) {
            (StatusCode::OK, Some(token)) => {
                token.clone_into(&mut self.token.write());
                Ok(Duration::from_secs(json["expiresIn"].as_u64().unwrap_or(600)))
            }
            _ => Err(unexpected(path, &answer)),
        }
    }

    /// The token now in use.
    pub fn token(&self) -> String {
        self.token.read().clone()
    }

    /// Calls `path` with the token.
    ///
    /// # Errors
    /// When no answer comes; every status is an answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.read()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.send(request, body, method, path).await
    }

    /// Polls for `merchants` (all of the application's when empty): the pending events.
    ///
    /// # Errors
    /// When no answer comes or it is neither 200 nor 204.
    pub async fn poll(&self, merchants: &[String]) -> Result<Vec<Value>, ClientError> {
        let path = "/events/v1.0/events:polling";
        let joined = merchants.join(",");
        let header = [("x-polling-merchants", joined.as_str())];
        let headers = if merchants.is_empty() { &header[..0] } else { &header[..] };
        let answer = self.call(Method::GET, path, headers, Bytes::new()).await?;
        match (answer.status, answer.json()) {
            (StatusCode::NO_CONTENT, _) => Ok(Vec::new()),
            (StatusCode::OK, Value::Array(events)) => Ok(events),
            _ => Err(unexpected(path, &answer)),
        }
    }

    /// Acknowledges events by id.
    ///
    /// # Errors
    /// When the answer is anything but 202: then the events are still pending.
    pub async fn acknowledge(&self, ids: &[String]) -> Result<(), ClientError> {
        let path = "/events/v1.0/events/acknowledgment";
        let body: Vec<Value> = ids.iter().map(|id| serde_json::json!({"id": id})).collect();
        let answer = self.call(Method::POST, path, &[], Bytes::from(Value::Array(body).to_string())).await?;
        if answer.status == StatusCode::ACCEPTED { Ok(()) } else { Err(unexpected(path, &answer)) }
    }

    /// An action on an order, e.g. `confirm`.
    ///
    /// # Errors
    /// When the answer is anything but 202.
    pub async fn act(&self, order: &str, action: &str) -> Result<(), ClientError> {
        let path = format!("/order/v1.0/orders/{order}/{action}");
        let answer = self.call(Method::POST, &path, &[], Bytes::new()).await?;
        if answer.status == StatusCode::ACCEPTED { Ok(()) } else { Err(unexpected(&path, &answer)) }
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
        method: Method,
        path: &str,
    ) -> Result<Answer, ClientError> {
        let no_answer = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::NoAnswer {
            method: method.clone(),
            path: path.to_owned(),
            source,
        };
        let request = request.body(Full::new(body)).map_err(|error| no_answer(error.into()))?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| no_answer(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(&no_answer)?.to_bytes();
            Ok(Answer { status: parts.status, body })
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.map_err(|elapsed| no_answer(elapsed.into()))?
    }
}

fn unexpected(path: &str, answer: &Answer) -> ClientError {
    let json = answer.json();
    let message = json["error"]["message"].as_str().or(json["message"].as_str()).unwrap_or("no message").to_owned();
    ClientError::Unexpected { path: path.to_owned(), status: answer.status, message }
}

fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
