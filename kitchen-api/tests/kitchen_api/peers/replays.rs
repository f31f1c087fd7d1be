//! The scripted connection-polling's replays: events one after the other; the place after an event is its number.

use event_feed::FeedEvent;
use parking_lot::Mutex;
use proto::connection_polling::{ReplayPlace, ReplayReply, ReplayRequest};
use proto::conversions;
use tonic::Status;

#[derive(Default)]
pub struct Replays {
    /// Of every merchant, oldest first.
    pub events: Mutex<Vec<FeedEvent>>,
    pub asked: Mutex<Vec<ReplayRequest>>,
    pub restarted: Mutex<bool>,
}

impl Replays {
    pub fn take(&self, request: ReplayRequest) -> Result<ReplayReply, Status> {
        self.asked.lock().push(request.clone());
        let of = request.of.ok_or_else(|| Status::invalid_argument("of"))?;
        let authorised = conversions::authorised_from_wire(&of)?;
        let [granted] = authorised.merchants() else { return Err(Status::invalid_argument("merchants")) };
        let seen = request.after.map_or(0, |place| place.late) as usize;
        let events = self.events.lock();
        let own: Vec<&FeedEvent> = events.iter().filter(|event| event.merchant == granted.merchant).collect();
        let page: Vec<_> = own.iter().skip(seen).take(of.limit as usize).collect();
        let now_seen = seen + page.len();
        let next = ReplayPlace {
            event_id: page.last().map(|event| event.id.as_bytes().to_vec()).unwrap_or_default().into(),
            late: now_seen as u64,
            ..ReplayPlace::default()
        };
        Ok(ReplayReply {
            events: page.into_iter().map(|event| conversions::event_to_wire(event)).collect(),
            next: Some(next),
            more: now_seen < own.len(),
            restarted: *self.restarted.lock(),
        })
    }
}
