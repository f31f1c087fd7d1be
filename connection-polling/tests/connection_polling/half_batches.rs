//! A DynamoDB that does half of every batch and calls the rest unprocessed, as the real one does under load or when an
//! answer would pass 16 MiB: a proxy before the local one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::platform::{EventSpec, MINUTE, PREFIX, Platform, PollSpec, START, ids};

struct Message {
    head: String,
    body: Vec<u8>,
}

async fn read_message(stream: &mut TcpStream) -> Option<Message> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(Message { head, body: bytes[end + 4..].to_vec() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
}

/// Sends a request on and answers status line and body.
async fn forward(upstream: &str, request: &Message) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(upstream).await.unwrap();
    // Header values are as they came, but in lower case; the operation's name must not be.
    let target = header(&request.head, "x-amz-target");
    let operation = ["BatchGetItem", "BatchWriteItem", "Query", "UpdateItem", "PutItem", "DescribeTable", "Scan"]
        .into_iter()
        .find(|name| target.ends_with(&name.to_ascii_lowercase()))
        .unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {upstream}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\nauthorization: {}\r\nx-amz-date: {}\r\ncontent-length: {}\r\n\r\n",
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x",
        "20260101T000000Z",
        request.body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&request.body).await.unwrap();
    let answer = read_message(&mut stream).await.unwrap();
    (answer.head.lines().next().unwrap().to_ascii_uppercase(), answer.body)
}

/// Takes the later half out of a batch; `None` when it is no batch or of one element.
fn halve(request: &mut Value) -> Option<Value> {
    let tables = request.get_mut("RequestItems")?.as_object_mut()?;
    let (table, wanted) = tables.iter_mut().next()?;
    let is_get = wanted.get("Keys").is_some();
    let all = if is_get { wanted.get_mut("Keys")? } else { wanted }.as_array_mut()?;
    if all.len() < 2 {
        return None;
    }
    let rest = all.split_off(all.len().div_ceil(2));
    let left = if is_get { json!({"Keys": rest}) } else { Value::Array(rest) };
    Some(Value::Object(Map::from_iter([(table.clone(), left)])))
}

async fn serve(mut stream: TcpStream, upstream: String, halved: Arc<AtomicUsize>) {
    while let Some(mut request) = read_message(&mut stream).await {
        let mut body: Value = serde_json::from_slice(&request.body).unwrap();
        let left = halve(&mut body);
        request.body = serde_json::to_vec(&body).unwrap();
        let (status, mut answer) = forward(&upstream, &request).await;
        if let Some(left) = left {
            halved.fetch_add(1, Ordering::SeqCst);
            let name =
                if left[format!("{PREFIX}polling-index")].is_array() { "UnprocessedItems" } else { "UnprocessedKeys" };
            let mut value: Value = serde_json::from_slice(&answer).unwrap();
            value[name] = left;
            answer = serde_json::to_vec(&value).unwrap();
        }
        let head =
            format!("{status}\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_batch_leaves_undone_is_done_in_further_rounds() {
    let real = Platform::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (upstream, halved) = (real.endpoint.trim_start_matches("http://").to_owned(), Arc::new(AtomicUsize::new(0)));
    let counter = halved.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, upstream.clone(), counter.clone()));
        }
    });
    let platform = Platform::over(&endpoint, None, |_| {});
    let spec = |number: u32| EventSpec::new(number % 20, number, START.plus(MINUTE)).build();
    let events: Vec<_> = (0..40).map(spec).collect();
    platform.index(&events).await;
    let poll = PollSpec::new("pos", 0..20);
    assert_eq!(platform.poll(&poll).await.id_set(), ids(&events));
    platform.acknowledge("pos", &events.iter().map(|event| event.id).collect::<Vec<_>>()).await;
    assert!(platform.poll(&poll).await.events.is_empty());
    assert!(halved.load(Ordering::SeqCst) > 10, "the proxy did its part");
    assert!(real.poll(&poll).await.events.is_empty(), "and all of it stands in the real one");
}
