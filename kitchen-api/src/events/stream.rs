//! `GET /comanda/v1/events/stream`: pending events as server-sent events, as they come. Ours; PARTNER_API has no such thing.
//!
//! The stream is made as it is read: a look at the feed, at most one page in hand, its events one after the other, then
//! waiting. A reader that does not read is not read for, so it costs one page and no more, and does not beat. What is
//! acknowledged is decided by the acknowledgment alone: `Last-Event-ID` is deliberately ignored, and what was not
//! acknowledged comes again.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use event_feed::FeedEvent;
use futures::stream::unfold;
use http::{HeaderValue, header};
use tokio::time::Instant;

use super::query::PollQuery;
use super::reader::{Reader, looked};
use super::sent::Sent;
use super::vigil::{Kind, Vigil, Woken, no_place};
use super::waiting::listing;
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::Authorised;

/// How often something is sent where there is no event, for proxies and for readers that watch for silence.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);

/// What is sent then: a comment, which no reader takes for an event.
const SIGN_OF_LIFE: &[u8] = b": still here\n\n";

/// What a stream begins with: it stands, and when to come back should it break.
const WELCOME: &[u8] = b"retry: 3000\n: the stream stands\n\n";

/// When to come back where we end it, in ms: not all at once.
const COME_BACK_AFTER_MS: u64 = 500;
const COME_BACK_SPREAD_MS: u64 = 10;

/// Answers with a stream that ends when the client leaves, its token no longer counts or the service drains.
pub(crate) async fn stream(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let query = PollQuery::read(request.uri().query())?;
    let reader = Reader::new(&api, request.headers(), query);
    let sight = reader.sight_of(authorised)?;
    reader.beat(&sight);
    // It begins with all that is pending, as a poll does; its rate is limited where all but polls are.
    api.strikes.as_ref().map_or(Ok(()), |strikes| strikes.check(&sight.authorised))?;
    let vigil = Vigil::begin(&api, Kind::Stream, &sight).ok_or_else(|| no_place(&api, Kind::Stream))?;
    let state = EventStream {
        reader,
        vigil,
        sent: Sent::default(),
        outbox: VecDeque::from([Bytes::from_static(WELCOME)]),
        sign_at: Instant::now() + SIGN_OF_LIFE_EVERY,
        is_due: true,
        is_over: false,
    };
    let frames = unfold(Box::new(state), |state| state.next());
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers answers would keep the events.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(listing(response, &sight.refused))
}

/// One stream.
struct EventStream {
    reader: Reader,
    vigil: Vigil,
    sent: Sent,
    outbox: VecDeque<Bytes>,
    sign_at: Instant,
    is_due: bool,
    is_over: bool,
}

impl EventStream {
    /// The next frame; `None` at the end.
    async fn next(mut self: Box<Self>) -> Option<(Result<Bytes, Infallible>, Box<Self>)> {
        loop {
            if !self.is_over && self.reader.api().waits.draining.is_cancelled() {
                self.end();
            }
            if let Some(frame) = self.outbox.pop_front() {
                return Some((Ok(frame), self));
            }
            if self.is_over {
                return None;
            }
            if std::mem::take(&mut self.is_due) {
                self.look().await;
                continue;
            }
            match self.vigil.wait(self.sign_at).await {
                Woken::Look => self.is_due = true,
                Woken::Until => {
                    self.outbox.push_back(Bytes::from_static(SIGN_OF_LIFE));
                    self.sign_at = Instant::now() + SIGN_OF_LIFE_EVERY;
                }
                Woken::Drain => self.end(),
            }
        }
    }

    /// Looks for events that were not sent, with what the token lets it see now.
    async fn look(&mut self) {
        let Ok(sight) = self.reader.sight() else { return self.end() };
        if !self.vigil.follow(&sight) {
            return self.end();
        }
        let read = self.reader.read(&sight).await;
        let looked = looked(&read);
        let pending = read.ok().flatten().map(|page| page.events).unwrap_or_default();
        let chosen = self.sent.choose(pending, Instant::now());
        self.vigil.looked(looked, !chosen.is_empty());
        self.outbox.extend(chosen.iter().map(frame));
    }

    /// Ends it; what was not sent is still pending.
    fn end(&mut self) {
        let [dice] = self.reader.api().entropy.bytes();
        let come_back_after_ms = COME_BACK_AFTER_MS + COME_BACK_SPREAD_MS * u64::from(dice);
        self.outbox.clear();
        self.outbox.push_back(Bytes::from(format!("retry: {come_back_after_ms}\n: the stream ends\n\n")));
        self.is_over = true;
    }
}

/// An event as a frame. A body of several lines, which no body of ours has, would be several fields.
fn frame(event: &FeedEvent) -> Bytes {
    let id = event.id.to_string();
    let mut frame = BytesMut::with_capacity(event.body.len() + id.len() + 16);
    frame.put_slice(b"id: ");
    frame.put_slice(id.as_bytes());
    for line in event.body.split(|byte| matches!(byte, b'\n' | b'\r')) {
        frame.put_slice(b"\ndata: ");
        frame.put_slice(line);
    }
    frame.put_slice(b"\n\n");
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use event_feed::TraceId;
    use order_model::{EventCategory, EventCode, EventId, MerchantId, OrderId, Timestamp};

    use super::*;

    #[test]
    fn no_body_can_end_its_frame() {
        let event = FeedEvent {
            id: EventId::from_bytes([1; 16]),
            order: OrderId::from_bytes([1; 16]),
            merchant: MerchantId::from_bytes([1; 16]),
            code: EventCode::Placed,
            category: EventCategory::Food,
            sequence: 1,
            created_at: Timestamp::default(),
            expires_at: Timestamp::MAX,
            trace: TraceId::default(),
            body: Bytes::from_static(b"{\"a\":1,\n\r\n\"b\":2}"),
        };
        let text = String::from_utf8(frame(&event).to_vec()).unwrap();
        assert_eq!(text, format!("id: {}\ndata: {{\"a\":1,\ndata: \ndata: \ndata: \"b\":2}}\n\n", event.id));
    }
}
