//! Which service a request is for, and the limits every request obeys.
//!
//! Called once per request by [`crate::connections`]. JSON protocols name their service in `x-amz-target`; whatever
//! has none is the query protocol, which is SNS here. Never logs a body or a header.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::counters::Counters;
use crate::dynamodb::DynamoDb;
use crate::sns::Sns;
use crate::sqs::Sqs;

/// The largest request body: DynamoDB's own limit of 16 MiB, by far the largest of the three.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer of any of the services.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The three services behind the port.
pub(crate) struct Endpoints {
    sqs: Arc<Sqs>,
    sns: Sns,
    dynamodb: DynamoDb,
    counters: Arc<Counters>,
}

impl Endpoints {
    pub(crate) fn new(config: &Config, address: SocketAddr, dynamodb: DynamoDb) -> Self {
        let counters = Arc::new(Counters::default());
        let sqs = Arc::new(Sqs::new(config, address));
        let sns = Sns::new(config, Arc::clone(&sqs), Arc::clone(&counters));
        Self { sqs, sns, dynamodb, counters }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        if let Err(refusal) = admit(&parts.method, &parts.headers) {
            return self.refuse(refusal);
        }
        let body = match read(body).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse(refusal),
        };
        match parts.headers.get("x-amz-target").map(HeaderValue::to_str) {
            None => {
                self.counters.sns_requests.add(1);
                self.sns.answer(&body).await
            }
            Some(Ok(target)) => self.answer_json(target, body).await,
            Some(Err(_)) => self.refuse(FOREIGN_TARGET),
        }
    }

    /// Answers a request of a JSON protocol, `target` being e.g. `AmazonSQS.SendMessage`.
    async fn answer_json(&self, target: &str, body: Bytes) -> Answer {
        match target.split_once('.') {
            Some(("AmazonSQS", operation)) => {
                self.counters.sqs_requests.add(1);
                self.sqs.answer(operation, body).await
            }
            Some((service, operation)) if service.starts_with("DynamoDB") => {
                self.counters.dynamodb_requests.add(1);
                self.dynamodb.answer(operation, body).await
            }
            _ => self.refuse(FOREIGN_TARGET),
        }
    }

    fn refuse(&self, Refusal { status, text }: Refusal) -> Answer {
        self.counters.refused_requests.add(1);
        answer(status, "text/plain; charset=utf-8", text)
    }

    /// Deletes items past their time to live every `interval`, until `shutdown`.
    pub(crate) async fn sweep_expired(self: Arc<Self>, interval: Duration, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => self.counters.ttl_deletions.add(self.dynamodb.sweep_expired().await),
            }
        }
    }

    /// Ends the tasks of the queues.
    pub(crate) async fn shutdown(&self) {
        self.sqs.shutdown().await;
    }
}

/// Why a request reaches none of the services.
struct Refusal {
    status: StatusCode,
    text: &'static str,
}

const FOREIGN_TARGET: Refusal =
    Refusal { status: StatusCode::BAD_REQUEST, text: "x-amz-target names none of SQS, SNS and DynamoDB\n" };

/// Refuses what no AWS SDK sends. Browsers add `Origin` to every cross-site request: without this check any web page
/// could publish to the topics of whoever runs `comanda dev`.
fn admit(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Refusal { status: StatusCode::FORBIDDEN, text: "no answers to browsers\n" });
    }
    if method != Method::POST {
        let text = "SQS, SNS and DynamoDB for development; AWS SDKs send POST\n";
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, text });
    }
    Ok(())
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let (status, text) = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => return Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, "the request body is larger than 16 MiB\n")
        }
        Ok(Err(_)) => (StatusCode::BAD_REQUEST, "the request body could not be read\n"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request body took longer than 30 s\n"),
    };
    Err(Refusal { status, text })
}

/// An answer with a body of the given media type.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
