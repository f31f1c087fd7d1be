//! The smallest HTTP client that these tests need, and raw connections for what no client would send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The code of the error envelope, having checked that both shapes are there.
    #[track_caller]
    pub fn error_code(&self) -> String {
        let json = self.json();
        assert_eq!(json["error"]["code"], json["code"], "{json}");
        assert_eq!(json["error"]["message"], json["message"], "{json}");
        assert_eq!(self.headers["content-type"], "application/json");
        json["code"].as_str().unwrap().to_owned()
    }
}

/// Sends requests to one server, with a token when it has one.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    token: Option<String>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), address, token: None }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let request = self.request(method, path, headers, body.into());
        let (parts, body) = self.pool.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// As [`Client::send`], for a body that may never end: what comes of it before it is silent for `silence`.
    pub async fn send_until_silent(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
        silence: Duration,
    ) -> Answer {
        let request = self.request(method, path, headers, body.into());
        let (parts, mut body) = self.pool.request(request).await.unwrap().into_parts();
        let mut read = Vec::new();
        while let Ok(Some(frame)) = tokio::time::timeout(silence, body.frame()).await {
            read.extend(frame.unwrap().into_data().unwrap_or_default());
        }
        Answer { status: parts.status, headers: parts.headers, body: read.into() }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).unwrap()
    }

    /// The status of an answer whose body may never end.
    pub async fn status_of(&self, method: &str, path: &str) -> StatusCode {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.pool.request(request.body(Full::default()).unwrap()).await.unwrap().status()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", path, &[], body).await
    }

    pub async fn ask_for_token(&self, client_id: &str, secret: &str) -> Answer {
        let form = format!("grantType=client_credentials&clientId={client_id}&clientSecret={secret}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", "/authentication/v1.0/oauth/token", &headers, form).await
    }
}

/// A connection that sends what it is told, byte by byte.
pub struct Raw {
    pub stream: TcpStream,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything until the server closes. A reset counts as closing.
    pub async fn read_to_end(&mut self) -> String {
        let mut text = Vec::new();
        let _ = self.stream.read_to_end(&mut text).await;
        String::from_utf8(text).unwrap()
    }

    /// One answer whose body is `content-length` long or absent.
    pub async fn read_answer(&mut self) -> String {
        read_answer(&mut self.stream).await
    }
}

/// One answer whose body is `content-length` long or absent; nothing of what follows it is read.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push(byte);
    }
    let head = String::from_utf8(text).unwrap();
    let lowercase = head.to_lowercase();
    let length = lowercase.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |digits| digits.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap_or_else(|error| panic!("{error} after {head:?}"));
    head + std::str::from_utf8(&body).unwrap()
}
