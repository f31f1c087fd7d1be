//! How many requests are in flight on one HTTP/2 connection, from a request's arrival until the last byte of its answer.
//!
//! Used by `connection`. A connection with none rests, and gives its place to another one when all are taken; otherwise whoever holds
//! connections open and answers pings could keep restaurants out. HTTP/1.1 needs none of it: there a connection that rests is taken from
//! hyper.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::registry::{Place, Rest};

/// The requests of one connection.
pub(super) struct Streams {
    place: Place,
    state: Mutex<State>,
}

struct State {
    in_flight: usize,
    /// Held while nothing is in flight.
    rest: Option<Rest>,
}

impl Streams {
    pub(super) fn new(place: Place) -> Arc<Self> {
        let rest = Some(place.rest());
        Arc::new(Self { place, state: Mutex::new(State { in_flight: 0, rest }) })
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
            state.rest = Some(self.0.place.rest());
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
    use super::super::registry::Registry;
    use super::*;

    #[test]
    fn a_connection_rests_while_no_request_is_between_its_arrival_and_the_end_of_its_answer() {
        let registry = Registry::new(1, None);
        let (admission, mut drains) = registry.admit([127, 0, 0, 1].into()).ok().unwrap();
        let streams = Streams::new(admission.place().clone());
        let is_full = || registry.admit([127, 0, 0, 1].into()).is_err();
        let (first, second) = (streams.begin(), streams.begin());
        assert!(is_full(), "two are in flight");
        drop(first);
        let body = second.until_the_end_of(Body::from("answer"));
        assert!(is_full() && drains.try_recv().is_err(), "one is being answered");
        drop(body);
        assert!(!is_full() && drains.try_recv().is_ok(), "it rests, and makes place");
    }
}
