//! A reverse proxy between the roles and AWS that takes each of its services away, in the ways services go away.
//!
//! Which service a request is for is in `x-amz-target`; a request without one is of the query protocol, which is SNS.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Requests go through.
    Well,
    /// Every request is answered 503 at once.
    Refuses,
    /// No request is ever answered, those under way included.
    Silent,
}

/// A service of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsService {
    Sqs,
    Sns,
    DynamoDb,
}

type Upstream = Client<HttpConnector, Full<Bytes>>;
type Body = BoxBody<Bytes, hyper::Error>;

struct Shared {
    moods: [watch::Sender<Mood>; 3],
    upstream: Upstream,
    authority: String,
}

/// A running proxy; ends with the test.
pub struct AwsProxy {
    shared: Arc<Shared>,
    address: String,
    accepting: JoinHandle<()>,
}

impl AwsProxy {
    /// In front of `authority`, e.g. `127.0.0.1:4566`.
    pub async fn start(authority: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            moods: std::array::from_fn(|_| watch::Sender::new(Mood::Well)),
            upstream: Client::builder(TokioExecutor::new()).build_http(),
            authority: authority.to_owned(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, address, accepting }
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how a service is, from this moment on.
    pub fn set(&self, service: AwsService, mood: Mood) {
        self.shared.moods[service as usize].send_replace(mood);
    }
}

impl Drop for AwsProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(answer(&shared, request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let mut mood = shared.moods[service_of(&request) as usize].subscribe();
    let forwarded = async {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| ())?.to_bytes();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = format!("http://{}{path}", shared.authority).parse::<Uri>().map_err(|_| ())?;
        let answer = shared.upstream.request(Request::from_parts(parts, Full::new(body))).await.map_err(|_| ())?;
        Ok::<_, ()>(answer.map(BodyExt::boxed))
    };
    let gone = async { mood.wait_for(|mood| *mood != Mood::Well).await.map_or(Mood::Silent, |mood| *mood) };
    let gone = tokio::select! {
        biased;
        gone = gone => gone,
        answer = forwarded => return answer.unwrap_or_else(|()| unavailable()),
    };
    // Who was silent once stays so for this request.
    if gone == Mood::Refuses { unavailable() } else { std::future::pending().await }
}

fn unavailable() -> Response<Body> {
    let body =
        Full::new(Bytes::from_static(b"{\"__type\":\"ServiceUnavailable\"}")).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn service_of(request: &Request<Incoming>) -> AwsService {
    match request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()) {
        None => AwsService::Sns,
        Some(target) if target.starts_with("AmazonSQS") => AwsService::Sqs,
        Some(_) => AwsService::DynamoDb,
    }
}
