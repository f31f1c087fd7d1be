//! A replay: one merchant's indexed events in the order of their creation, acknowledged or not, page by page.
//!
//! Called by `rpc`. It reads and changes nothing: no acknowledgment, no cursor of polls, no delivery. A replay is a series of
//! walks. A walk goes from event to event until nothing is left; the next one begins where everything had *settled* when that
//! one began: events are indexed in any order, and one created before has either been there or counts as late. Late arrivals are
//! counted in the merchant's head, and a walk that finds another count begins with everything. So nothing is left out,
//! and what is given again has the same id. Time and order are those of event ids; [`begin`] decides, purely.

use event_feed::{AuthorisedMerchants, FeedEvent, Filter, GrantedMerchant, PAGE_BYTES_MAX, Verdict, visibility};
use order_model::{EventId, RoutingHash, Timestamp};
use proto::connection_polling as wire;
use proto::conversions::{event_id, event_to_wire, to_bytes};
use tonic::Status;

use crate::keys;
use crate::plan::SETTLED_AFTER;
use crate::poll::Poll;
use crate::store::{IndexedEvent, Store, StoreError};

/// Replays served at once: polls must not wait for them.
pub(crate) const REPLAYS_MAX: usize = 8;
/// Pages of the store, of up to 1 MiB, that one page of a replay reads: merchants that share a hash are read past.
const STORE_PAGES_MAX: usize = 16;

/// Answers replays.
#[derive(Clone)]
pub(crate) struct Replayer {
    store: Store,
}

/// One page of a replay, as it is asked for.
pub(crate) struct Asked {
    authorised: AuthorisedMerchants,
    granted: GrantedMerchant,
    filter: Filter,
    limit: usize,
    after: Option<Place>,
}

/// Where a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    at: At,
    /// Late arrivals when the walk began.
    late: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between walks: everything created before was given.
    Settled(Timestamp),
    /// Within a walk: everything up to this event was looked at.
    Event { last: EventId, settled: Timestamp },
}

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    events: Vec<FeedEvent>,
    next: Place,
    more: bool,
    restarted: bool,
}

/// A walk as this page goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Walk {
    /// The last event of the page before.
    after: Option<EventId>,
    /// Else from where on.
    from: Timestamp,
    settled: Timestamp,
    late: u64,
    restarted: bool,
}

/// Goes on with a walk or begins one, for a grant that begins at `visible_from` and a head that counts `late` arrivals.
fn begin(place: Option<Place>, late: u64, visible_from: Timestamp, now: Timestamp) -> Walk {
    let settled = now.minus(SETTLED_AFTER);
    let fresh = |from: Timestamp, restarted| Walk { after: None, from, settled, late, restarted };
    match place {
        None => fresh(visible_from, false),
        Some(Place { at: At::Event { last, settled }, late }) => {
            Walk { after: Some(last), from: visible_from, settled, late, restarted: false }
        }
        Some(Place { at: At::Settled(from), late: known }) if known == late => fresh(from.max(visible_from), false),
        Some(Place { at: At::Settled(_), .. }) => fresh(visible_from, true),
    }
}

impl Walk {
    /// The least sort key to read.
    fn sort_key(&self) -> String {
        self.after.map_or_else(|| keys::from_instant(self.from), |last| keys::event(last).sort)
    }

    /// The place after a page that ended the walk, or else at the last event that was looked at.
    fn next(&self, last: Option<EventId>, more: bool) -> Place {
        let at = match last.or(self.after).filter(|_| more) {
            Some(last) => At::Event { last, settled: self.settled },
            None => At::Settled(self.settled),
        };
        Place { at, late: self.late }
    }
}

impl Replayer {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Answers one page.
    pub(crate) async fn replay(&self, asked: &Asked) -> Result<Page, StoreError> {
        let granted = asked.granted;
        // Before the events: what arrives late from now on is counted beyond this.
        let (heads, _) = self.store.heads_and_cursors(asked.authorised.application(), &[granted]).await?;
        let late = heads.get(&granted.merchant).map_or(0, |head| head.late);
        let now = self.store.now();
        let walk = begin(asked.after, late, granted.visible_from, now);
        let (hash, from) = (RoutingHash::of(granted.merchant), walk.sort_key());
        let mut gathering = Gathering { asked, now, events: Vec::new(), bytes: 0, last: None };
        let mut start = None;
        let mut more = true;
        for _ in 0..STORE_PAGES_MAX {
            let (events, next) = self.store.events_page(hash, &from, start).await?;
            let others = events.into_iter().filter(|indexed| Some(indexed.event.id) != walk.after);
            let is_full = others.map(|indexed| gathering.take(indexed)).any(|taken| !taken);
            start = next;
            more = is_full || start.is_some();
            if is_full || start.is_none() {
                break;
            }
        }
        Ok(Page { next: walk.next(gathering.last, more), events: gathering.events, more, restarted: walk.restarted })
    }
}

/// A page that is being filled.
struct Gathering<'a> {
    asked: &'a Asked,
    now: Timestamp,
    events: Vec<FeedEvent>,
    bytes: usize,
    /// The last event that was looked at.
    last: Option<EventId>,
}

impl Gathering<'_> {
    /// Looks at the next event; whether there was room for it.
    fn take(&mut self, IndexedEvent { event, .. }: IndexedEvent) -> bool {
        let GrantedMerchant { merchant, visible_from } = self.asked.granted;
        let is_ours = event.merchant == merchant && visibility::is_visible(&event, visible_from, self.now);
        if is_ours && self.asked.filter.verdict(&event) == Verdict::Show {
            let bytes = self.bytes + event.body.len();
            if self.events.len() == self.asked.limit || (bytes > PAGE_BYTES_MAX && !self.events.is_empty()) {
                return false;
            }
            self.bytes = bytes;
            self.last = Some(event.id);
            self.events.push(event);
        } else {
            self.last = Some(event.id);
        }
        true
    }
}

/// Reads a request.
///
/// # Errors
/// `INVALID_ARGUMENT` for several merchants or none, and for a place that is none of this merchant's.
pub(crate) fn asked(poll: Poll, after: Option<&wire::ReplayPlace>) -> Result<Asked, Status> {
    let Poll { authorised, filter, limit, .. } = poll;
    let &[granted] = authorised.merchants() else {
        return Err(Status::invalid_argument("of must name one merchant"));
    };
    let after = after.map(place).transpose()?;
    let is_foreign = |place: &Place| match place.at {
        At::Event { last, .. } => last.routing_hash() != RoutingHash::of(granted.merchant),
        At::Settled(_) => false,
    };
    if after.as_ref().is_some_and(is_foreign) {
        return Err(Status::invalid_argument("after is of another merchant"));
    }
    Ok(Asked { authorised, granted, filter, limit, after })
}

fn place(place: &wire::ReplayPlace) -> Result<Place, Status> {
    let at = if place.event_id.is_empty() {
        At::Settled(Timestamp::from_unix_ms(place.from_ms.max(0)))
    } else {
        At::Event { last: event_id(&place.event_id)?, settled: Timestamp::from_unix_ms(place.settled_ms.max(0)) }
    };
    Ok(Place { at, late: place.late })
}

/// The answer of a page.
pub(crate) fn to_wire(page: &Page) -> wire::ReplayReply {
    let late = page.next.late;
    let next = match page.next.at {
        At::Settled(from) => wire::ReplayPlace { from_ms: from.unix_ms(), late, ..wire::ReplayPlace::default() },
        At::Event { last, settled } => {
            let event_id = to_bytes(last.as_bytes());
            wire::ReplayPlace { event_id, settled_ms: settled.unix_ms(), late, ..wire::ReplayPlace::default() }
        }
    };
    wire::ReplayReply {
        events: page.events.iter().map(event_to_wire).collect(),
        next: Some(next),
        more: page.more,
        restarted: page.restarted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn a_walk_begins_where_everything_had_settled_and_goes_on_from_event_to_event() {
        let now = at(0).plus(SETTLED_AFTER).plus(SETTLED_AFTER);
        let settled = now.minus(SETTLED_AFTER);
        let first = begin(None, 3, at(100), now);
        assert_eq!(first, Walk { after: None, from: at(100), settled, late: 3, restarted: false });
        let last = EventId::from_bytes([1; 16]);
        let within = first.next(Some(last), true);
        let later = now.plus(SETTLED_AFTER);
        let second = begin(Some(within), 9, at(100), later);
        assert_eq!((second.after, second.settled, second.late), (Some(last), settled, 3), "the same walk");
        let between = second.next(Some(EventId::from_bytes([2; 16])), false);
        assert_eq!(between, Place { at: At::Settled(settled), late: 3 }, "not from its last event");
        assert_eq!(begin(Some(between), 3, at(100), later).from, settled);
        assert_eq!(begin(Some(between), 3, later, later).from, later, "the grant begins later by now");
        let again = begin(Some(between), 4, at(100), later);
        assert_eq!((again.from, again.late, again.restarted), (at(100), 4, true), "something arrived late");
    }
}
