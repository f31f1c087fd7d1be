//! A link to a peer by itself, under paused time: what it writes at once, and how much may be outstanding.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proto::feed;
use proto::order_events::request;

use crate::feed::PrimaryError;
use crate::feed::link::{Link, OUTSTANDING_MAX};

/// A connection that says nothing and notes what is written at once.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<usize>>>);

impl Writes {
    fn writes(&self) -> Vec<usize> {
        self.0.lock().clone()
    }
}

impl tokio::io::AsyncRead for Writes {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }
}

impl tokio::io::AsyncWrite for Writes {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0.lock().push(bytes.len());
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

fn acknowledgment(ids: usize) -> request::Call {
    request::Call::Acknowledge(feed::AcknowledgeRequest {
        application_id: "dev-pos".to_owned(),
        event_ids: vec![bytes::Bytes::from_static(&[7; 16]); ids],
    })
}

#[tokio::test(start_paused = true)]
async fn what_has_gathered_goes_out_in_one_write() {
    let near = Writes::default();
    let (link, mut carrier) = Link::new(Box::new(near.clone()));
    let carrying = tokio::spawn(async move { carrier.carry().await });
    tokio::task::yield_now().await;
    let calls = (0..100).map(|_| tokio::time::timeout(Duration::from_secs(1), link.clone().call(acknowledgment(1))));
    futures::future::join_all(calls).await;
    let writes = near.writes();
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(link.outstanding(), 0, "calls that are over are forgotten");
    assert!(link.is_owed());
    carrying.abort();
}

#[tokio::test(start_paused = true)]
async fn outstanding_calls_are_bounded_and_a_closed_link_takes_none() {
    let (near, _far) = tokio::io::duplex(64);
    let (link, carrier) = Link::new(Box::new(near));
    let call = || link.clone().call(request::Call::Poll(feed::PollRequest::default()));
    let mut calls: Vec<_> = (0..OUTSTANDING_MAX).map(|_| Box::pin(call())).collect();
    for call in &mut calls {
        assert!(futures::poll!(call.as_mut()).is_pending());
    }
    assert!(matches!(call().await, Err(PrimaryError::Overloaded)));
    drop(calls.pop());
    let mut one_more = Box::pin(call());
    assert!(futures::poll!(one_more.as_mut()).is_pending(), "its place is free");
    link.close();
    assert!(matches!(one_more.await, Err(PrimaryError::Disconnected)));
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(PrimaryError::Disconnected)));
    }
    assert!(matches!(call().await, Err(PrimaryError::Disconnected)));
    drop(carrier);
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_does_not_read_is_bounded_also_where_callers_give_up() {
    let (near, _far) = tokio::io::duplex(64);
    let (link, _carrier) = Link::new(Box::new(near));
    let mut taken = 0;
    let refusal = loop {
        match tokio::time::timeout(Duration::from_millis(1), link.clone().call(acknowledgment(10_000))).await {
            Err(_) => taken += 1,
            Ok(answer) => break answer,
        }
        assert!(taken < 100, "18 MB");
    };
    assert!(matches!(refusal, Err(PrimaryError::Overloaded)));
    assert!(taken > 40, "8 MiB: {taken}");
}
