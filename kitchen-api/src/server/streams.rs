//! How many requests are in flight on one HTTP/2 connection, from a request's arrival until the last byte of its answer, and whether
//! anybody has shown a token on it.
//!
//! Used by `connection`; the routes say that a token was shown. A connection with none rests, and gives its place to another one when all are taken; otherwise whoever holds
//! connections open and answers pings could keep restaurants out. HTTP/1.1 needs none of it: there a connection that rests is taken from
//! hyper.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::Extensions;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::registry::{Place, Rest};

/// The requests of one connection.
pub(super) struct Streams {
    place: Place,
    is_known: AtomicBool,
    state: Mutex<State>,
}

struct State {
    in_flight: usize,
    /// Held while nothing is in flight.
    rest: Option<Rest>,
}

impl Streams {
    /// Nothing is in flight; it has rested since the handshake began.
    pub(super) fn new(place: Place, rest: Rest) -> Arc<Self> {
        let state = Mutex::new(State { in_flight: 0, rest: Some(rest) });
        Arc::new(Self { place, is_known: AtomicBool::new(false), state })
    }

    fn rest(&self) -> Rest {
        if self.is_known.load(Ordering::Relaxed) { self.place.rest() } else { self.place.rest_as_stranger() }
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        let mut state = self.state.lock();
        state.in_flight += 1;
        state.rest = None;
        drop(state);
        InFlight(Arc::clone(self))
    }
}

/// Whose connection it is, in the extensions of a request over HTTP/2.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Arc<Streams>);

/// Notes that a request came with a token that counts. Of HTTP/1.1 nothing is noted: its connections cost next to nothing when they rest.
pub(crate) fn has_shown_a_token(extensions: &Extensions) {
    if let Some(Caller(streams)) = extensions.get() {
        streams.is_known.store(true, Ordering::Relaxed);
    }
}

/// A request in flight.
pub(super) struct InFlight(Arc<Streams>);

impl InFlight {
    /// The same body; it is in flight until hyper lets go of it.
    pub(super) fn until_the_end_of(self, body: Body) -> Body {
        Body::new(Answer { body, _in_flight: self })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.rest = Some(self.0.rest());
        }
    }
}

struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::{Admission, Registry};
    use super::*;

    fn begun(admission: &Admission) -> Arc<Streams> {
        Streams::new(admission.place().clone(), admission.place().begin_as_stranger().unwrap())
    }

    #[tokio::test]
    async fn a_connection_rests_while_no_request_is_between_its_arrival_and_the_end_of_its_answer() {
        let registry = Registry::new(1, None, 1);
        let (admission, mut drains) = registry.admit([127, 0, 0, 1].into()).ok().unwrap();
        let streams = begun(&admission);
        let is_full = || registry.admit([127, 0, 0, 1].into()).is_err();
        let (first, second) = (streams.begin(), streams.begin());
        assert!(is_full(), "two are in flight");
        drop(first);
        let body = second.until_the_end_of(Body::from("answer"));
        assert!(is_full() && drains.try_recv().is_err(), "one is being answered");
        drop(body);
        assert!(!is_full() && drains.try_recv().is_ok(), "it rests, and makes place");
    }

    #[tokio::test]
    async fn who_has_shown_a_token_is_no_stranger_any_more() {
        let registry = Registry::new(10, None, 1);
        let connect = || registry.admit([127, 0, 0, 1].into()).ok().unwrap();
        let (known, mut known_drains) = connect();
        let streams = begun(&known);
        let in_flight = streams.begin();
        let mut extensions = Extensions::new();
        extensions.insert(Caller(Arc::clone(&streams)));
        has_shown_a_token(&extensions);
        drop(in_flight);
        let (first, mut first_drains) = connect();
        let first_streams = begun(&first);
        drop(first_streams.begin());
        assert!(known_drains.try_recv().is_err() && first_drains.try_recv().is_err(), "one stranger may rest");
        let (second, _second_drains) = connect();
        assert!(second.place().begin_as_stranger().is_none(), "there is no room, and nobody has rested for long");
        let second_streams = Streams::new(second.place().clone(), second.place().rest());
        drop(second_streams.begin());
        assert!(known_drains.try_recv().is_err(), "it has rested longest, and is no stranger");
        assert!(first_drains.try_recv().is_ok());
    }
}
