//! A receiver of webhooks that speaks real HTTP: keeps what it is sent, and answers as it is told.
//!
//! Used by the tests of kitchen-api and by those of the whole platform, which compile it too; how long they wait for a request is
//! theirs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

/// A status for no answer at all.
pub const HANGS: u16 = 0;

/// One request that a receiver got.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

pub struct Receiver {
    pub address: SocketAddr,
    /// Connections that it took.
    pub connections: AtomicUsize,
    pub received: Mutex<Vec<Received>>,
    /// The status of every answer, or [`HANGS`].
    pub status: AtomicU16,
    /// The body of every answer.
    pub answer: Mutex<String>,
}

impl Receiver {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            connections: AtomicUsize::new(0),
            received: Mutex::default(),
            status: AtomicU16::new(202),
            answer: Mutex::default(),
        });
        let serving = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&serving);
                receiver.connections.fetch_add(1, Ordering::SeqCst);
                let service = service_fn(move |request| Arc::clone(&receiver).take(request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        receiver
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.received.lock().push(Received { path: parts.uri.path().to_owned(), headers: parts.headers, body });
        let status = self.status.load(Ordering::SeqCst);
        if status == HANGS {
            std::future::pending::<()>().await;
        }
        let answer = Full::new(Bytes::from(self.answer.lock().clone()));
        let response = Response::builder().status(status).header("location", format!("http://{}/", self.address));
        Ok(response.body(answer).unwrap())
    }

    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// What a webhook may be set to.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}
