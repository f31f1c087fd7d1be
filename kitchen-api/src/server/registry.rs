//! Which connections are open: the caps on them, and how they are told to drain.
//!
//! Used by the accept loop. One lock, taken when a connection opens, closes, begins to rest or ends its rest, and never for a
//! request. Whoever holds ten thousand connections and says nothing must not keep restaurants out: when all places are taken,
//! the connection that has rested longest gives its own to the next one.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The most connections that were told to give up their place and have not ended yet: by so many the cap may be exceeded for
/// a moment.
const LEAVING_MAX: usize = 64;

/// How long an HTTP/2 connection may rest without a token before a new one may take its place: longer than from a handshake to the first
/// request, and so long that whoever comes again and again keeps nobody busy.
const STRANGER_REST: Duration = Duration::from_secs(5);

/// From so many connections on, those that rest give back their buffers sooner.
const CROWD: usize = 1_000;

/// Why a connection was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The cap on all connections.
    Full,
    /// The cap on connections of one address.
    AddressFull,
}

struct Open {
    /// Resolves the connection's drain signal when sent or dropped.
    drain: oneshot::Sender<()>,
    task: Option<AbortHandle>,
    /// Whether its place was given to another one: it ends as soon as it is run.
    is_leaving: bool,
}

impl Open {
    fn tell_to_drain(&mut self) {
        let (closed, _) = oneshot::channel();
        // A connection that has just ended needs no telling.
        let _ = std::mem::replace(&mut self.drain, closed).send(());
    }
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: HashMap<u64, Open>,
    /// Connections by when they began to rest, the longest rest first.
    resting: BTreeMap<u64, u64>,
    /// Those of `resting` that are HTTP/2's and on which nobody has shown a token, with when it began.
    strangers: BTreeMap<u64, Instant>,
    next_rest: u64,
    /// Those of `open` that are leaving, at most [`LEAVING_MAX`].
    leaving: Vec<u64>,
    per_address: HashMap<IpAddr, u32>,
}

impl State {
    /// Has the connection that has rested longest give up its place; whether there was one.
    fn displace_one(&mut self) -> bool {
        let longest = self.resting.first_key_value().map(|(since, _)| *since);
        self.displace_one_of(longest)
    }

    /// Has the stranger that has rested longest go where there are too many.
    fn limit_strangers(&mut self, strangers_max: usize) {
        if self.strangers.len() > strangers_max {
            let longest = self.strangers.first_key_value().map(|(since, _)| *since);
            self.displace_one_of(longest);
        }
    }

    /// Has the stranger that has rested longest go where that is long; whether it was told.
    fn displace_lasting_stranger(&mut self, now: Instant) -> bool {
        let longest = self.strangers.first_key_value().filter(|(_, began)| now - **began >= STRANGER_REST);
        let longest = longest.map(|(since, _)| *since);
        self.displace_one_of(longest)
    }

    /// Has the connection that rests since `longest` go, where there is one; whether it was told. Where those told before have not gone
    /// they are ended instead.
    fn displace_one_of(&mut self, longest: Option<u64>) -> bool {
        if self.leaving.len() >= LEAVING_MAX {
            self.end_those_that_stay();
            return false;
        }
        let Some(id) = longest.and_then(|since| self.end_rest(since)) else { return false };
        let Some(open) = self.open.get_mut(&id) else { return false };
        open.is_leaving = true;
        open.tell_to_drain();
        self.leaving.push(id);
        true
    }

    fn end_rest(&mut self, since: u64) -> Option<u64> {
        self.strangers.remove(&since);
        self.resting.remove(&since)
    }

    /// An HTTP/2 client that does not say goodbye in its turn would otherwise stay for as long as it likes.
    fn end_those_that_stay(&mut self) {
        for id in &self.leaving {
            if let Some(task) = self.open.get_mut(id).and_then(|open| open.task.take()) {
                task.abort();
            }
        }
    }
}

struct Shared {
    state: Mutex<State>,
    emptied: Notify,
    connections: metrics::Gauge,
    displaced: metrics::Counter,
    count_addresses: bool,
    strangers_max: usize,
    /// As many as `state.open`, for a look without the lock.
    open: AtomicUsize,
}

/// The open connections.
pub(super) struct Registry {
    shared: Arc<Shared>,
    connections_max: usize,
    per_address_max: Option<u32>,
}

/// The right to be connected; given back when dropped.
pub(super) struct Admission {
    place: Place,
    address: IpAddr,
}

/// Which connection it is, for what says when it rests.
#[derive(Clone)]
pub(super) struct Place {
    id: u64,
    shared: Arc<Shared>,
}

impl Registry {
    pub(super) fn new(connections_max: usize, per_address_max: Option<u32>, strangers_max: usize) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            emptied: Notify::new(),
            connections: metrics::gauge!("comanda_kitchen_api_connections"),
            displaced: metrics::counter!("comanda_kitchen_api_connections_closed_total", "reason" => "displaced"),
            count_addresses: per_address_max.is_some(),
            strangers_max,
            open: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared), connections_max, per_address_max }
    }

    /// Admits a connection of `address`; the receiver resolves when the connection should drain.
    pub(super) fn admit(&self, address: IpAddr) -> Result<(Admission, oneshot::Receiver<()>), Refusal> {
        let mut state = self.shared.state.lock();
        if let Some(max) = self.per_address_max
            && state.per_address.get(&address).is_some_and(|connections| *connections >= max)
        {
            return Err(Refusal::AddressFull);
        }
        if state.open.len() - state.leaving.len() >= self.connections_max && !state.displace_one() {
            return Err(Refusal::Full);
        }
        if self.per_address_max.is_some() {
            *state.per_address.entry(address).or_default() += 1;
        }
        let id = state.next_id;
        state.next_id += 1;
        let (drain, drained) = oneshot::channel();
        state.open.insert(id, Open { drain, task: None, is_leaving: false });
        drop(state);
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        self.shared.connections.increment(1.0);
        Ok((Admission { place: Place { id, shared: Arc::clone(&self.shared) }, address }, drained))
    }

    /// Remembers how to end connection `id` by force; nothing when it has ended already.
    pub(super) fn abort_with(&self, id: u64, task: AbortHandle) {
        if let Some(open) = self.shared.state.lock().open.get_mut(&id) {
            open.task = Some(task);
        }
    }

    /// Tells every connection to finish what it is doing, waits at most `timeout`, and ends the rest by force.
    pub(super) async fn drain(&self, timeout: Duration) {
        let tasks: Vec<AbortHandle> = {
            let mut state = self.shared.state.lock();
            let tasks = state.open.values().filter_map(|open| open.task.clone()).collect();
            state.open.values_mut().for_each(Open::tell_to_drain);
            tasks
        };
        if tokio::time::timeout(timeout, self.emptied()).await.is_err() {
            let connections = self.shared.state.lock().open.len();
            tracing::warn!(connections, "connections did not finish in time and are closed");
            tasks.iter().for_each(AbortHandle::abort);
        }
    }

    async fn emptied(&self) {
        loop {
            let emptied = self.shared.emptied.notified();
            if self.shared.state.lock().open.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Admission {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether there are so many connections that the buffers of all of them would be a lot of memory.
    pub(super) fn is_crowded(&self) -> bool {
        self.place.shared.open.load(Ordering::Relaxed) >= CROWD
    }
}

impl Place {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Notes that the connection waits for a request, until this is dropped.
    pub(super) fn rest(&self) -> Rest {
        self.rest_as(Acquaintance::Any)
    }

    /// The same for an HTTP/2 connection on which nobody has shown a token yet. Where there are too many, the one that has rested
    /// longest goes.
    pub(super) fn rest_as_stranger(&self) -> Rest {
        self.rest_as(Acquaintance::Stranger)
    }

    /// The same for one that is about to become an HTTP/2 connection; `None` where there are as many as may be, of whom none has
    /// rested for long.
    pub(super) fn begin_as_stranger(&self) -> Option<Rest> {
        let mut state = self.shared.state.lock();
        let is_full = state.strangers.len() >= self.shared.strangers_max;
        let has_room = !is_full || state.displace_lasting_stranger(Instant::now());
        drop(state);
        has_room.then(|| self.rest_as_stranger())
    }

    fn rest_as(&self, acquaintance: Acquaintance) -> Rest {
        let mut state = self.shared.state.lock();
        let since = state.next_rest;
        state.next_rest += 1;
        // One that is leaving is not told again.
        if state.open.get(&self.id).is_some_and(|open| !open.is_leaving) {
            state.resting.insert(since, self.id);
            if acquaintance == Acquaintance::Stranger {
                state.strangers.insert(since, Instant::now());
                state.limit_strangers(self.shared.strangers_max);
            }
        }
        Rest { since, shared: Arc::clone(&self.shared) }
    }
}

/// Whether it counts that nobody has shown a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acquaintance {
    Any,
    Stranger,
}

/// A connection that waits for a request.
pub(super) struct Rest {
    since: u64,
    shared: Arc<Shared>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.shared.state.lock().end_rest(self.since);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Place { id, shared } = &self.place;
        let mut state = shared.state.lock();
        if state.open.remove(id).is_some_and(|open| open.is_leaving) {
            state.leaving.retain(|leaving| leaving != id);
            shared.displaced.increment(1);
        }
        if shared.count_addresses
            && let Some(connections) = state.per_address.get_mut(&self.address)
        {
            *connections -= 1;
            if *connections == 0 {
                state.per_address.remove(&self.address);
            }
        }
        if state.open.is_empty() {
            shared.emptied.notify_waiters();
        }
        drop(state);
        shared.open.fetch_sub(1, Ordering::Relaxed);
        shared.connections.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn caps_hold_and_places_come_back() {
        let registry = Registry::new(2, Some(1), 0);
        let (one, two, three) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let first = registry.admit(one).ok().unwrap();
        assert_eq!(registry.admit(one).err(), Some(Refusal::AddressFull));
        let second = registry.admit(two).ok().unwrap();
        assert_eq!(registry.admit(three).err(), Some(Refusal::Full));
        drop(first);
        let third = registry.admit(one).ok().unwrap();
        drop((second, third));
        registry.drain(Duration::from_secs(1)).await;
    }

    #[tokio::test]
    async fn the_longest_rest_gives_up_its_place_when_all_are_taken() {
        let registry = Registry::new(2, None, 0);
        let address = "10.0.0.1".parse().unwrap();
        let (first, mut first_drains) = registry.admit(address).ok().unwrap();
        let (second, mut second_drains) = registry.admit(address).ok().unwrap();
        assert_eq!(registry.admit(address).err(), Some(Refusal::Full), "both are at work");
        let second_rests = second.place().rest();
        let first_rests = first.place().rest();
        let (third, _third_drains) = registry.admit(address).ok().unwrap();
        assert!(second_drains.try_recv().is_ok() && first_drains.try_recv().is_err(), "the longest rest ends");
        drop(first_rests);
        assert_eq!(registry.admit(address).err(), Some(Refusal::Full), "the first is at work again");
        drop(second_rests);
        drop(second);
        assert_eq!(registry.admit(address).err(), Some(Refusal::Full), "its place was given away before");
        drop(third);
        assert!(registry.admit(address).is_ok());
    }

    #[tokio::test]
    async fn the_cap_is_exceeded_by_few_that_are_leaving() {
        let registry = Registry::new(1_000, None, 0);
        let address = "10.0.0.1".parse().unwrap();
        let admitted: Vec<_> = (0..1_000).map(|_| registry.admit(address).ok().unwrap()).collect();
        let _rests: Vec<_> = admitted.iter().map(|(admission, _)| admission.place().rest()).collect();
        let more: Vec<_> = (0..1_000).map_while(|_| registry.admit(address).ok()).collect();
        assert_eq!(more.len(), LEAVING_MAX, "nobody of those told has ended yet");
    }

    #[tokio::test]
    async fn strangers_that_rest_make_place_for_one_another_and_for_nobody_else() {
        let registry = Registry::new(10, None, 3);
        let address = "10.0.0.1".parse().unwrap();
        let (known, mut known_drains) = registry.admit(address).ok().unwrap();
        let _known_rests = known.place().rest();
        let mut strangers: Vec<_> = (0..4).map(|_| registry.admit(address).ok().unwrap()).collect();
        let mut rests: Vec<_> = strangers.iter().map(|(admission, _)| admission.place().rest_as_stranger()).collect();
        let told = |strangers: &mut [(Admission, oneshot::Receiver<()>)]| -> Vec<usize> {
            let told = strangers.iter_mut().enumerate().filter(|(_, (_, drains))| !drains.is_terminated());
            told.filter_map(|(at, (_, drains))| drains.try_recv().ok().map(|()| at)).collect()
        };
        assert_eq!(told(&mut strangers), [0], "the longest rest ends, and no other");
        // The second shows a token: it rests as all others do, and one more stranger fits in.
        rests[1] = strangers[1].0.place().rest();
        let (one_more, _drains) = registry.admit(address).ok().unwrap();
        let _one_more_rests = one_more.place().rest_as_stranger();
        assert!(told(&mut strangers).is_empty());
        let (another, _drains) = registry.admit(address).ok().unwrap();
        let _another_rests = another.place().rest_as_stranger();
        assert_eq!(told(&mut strangers), [2], "the third has rested longest");
        assert!(known_drains.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_begins_where_there_is_room_or_one_has_rested_for_long() {
        let registry = Registry::new(10, None, 2);
        let connect = || registry.admit("10.0.0.1".parse().unwrap()).ok().unwrap();
        let (first, mut first_drains) = connect();
        let first_rests = first.place().begin_as_stranger();
        tokio::time::advance(Duration::from_secs(1)).await;
        let (second, mut second_drains) = connect();
        let second_rests = second.place().begin_as_stranger();
        assert!(first_rests.is_some() && second_rests.is_some());
        let (third, _drains) = connect();
        tokio::time::advance(STRANGER_REST - Duration::from_millis(1_001)).await;
        assert!(third.place().begin_as_stranger().is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        let third_rests = third.place().begin_as_stranger();
        assert!(third_rests.is_some() && first_drains.try_recv().is_ok());
        let (fourth, _drains) = connect();
        assert!(fourth.place().begin_as_stranger().is_none());
        drop(second_rests);
        assert!(fourth.place().begin_as_stranger().is_some(), "the second asks for something");
        assert!(second_drains.try_recv().is_err());
    }

    #[tokio::test]
    async fn those_that_do_not_leave_when_told_are_ended_once_they_are_many() {
        let registry = Registry::new(LEAVING_MAX, None, 0);
        let address = "10.0.0.1".parse().unwrap();
        for _ in 0..LEAVING_MAX {
            let (admission, _drain) = registry.admit(address).ok().unwrap();
            let id = admission.place().id();
            let task = tokio::spawn(async move {
                let _rest = admission.place().rest();
                std::future::pending::<()>().await;
            });
            registry.abort_with(id, task.abort_handle());
        }
        while registry.shared.state.lock().resting.len() < LEAVING_MAX {
            tokio::task::yield_now().await;
        }
        let more: Vec<_> = (0..LEAVING_MAX).map(|_| registry.admit(address).ok().unwrap()).collect();
        assert_eq!(registry.admit(address).err(), Some(Refusal::Full), "all that were told are ended by force now");
        drop(more);
        registry.emptied().await;
    }
}
