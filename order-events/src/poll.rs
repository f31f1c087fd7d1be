//! Answering a poll from memory: the platform's hottest path.
//!
//! Nothing pending costs a tree look-up or two under a read lock and no allocation. Otherwise the events that may be
//! shown are gathered partition by partition, a page is chosen by `event-feed`, and deliveries are marked. A partition
//! that may not answer is named in the outcome and its merchants are left out; the caller turns to the fallback.

use std::cell::Cell;
use std::time::Duration;

use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use event_feed::page::{self, reserved_for_fresh};
use event_feed::{
    AuthorisedMerchants, Candidate, FeedEvent, Filter, GrantedMerchant, PAGE_EVENTS_MAX, Verdict, hold_back, visibility,
};
use order_model::{ApplicationId, EventId, MerchantId, PartitionId, RoutingHash, Timestamp};
use replicated_grid::NodeId;

use crate::service::Shared;
use crate::soft_state::Delivery;
use crate::state::{Body, FeedPartition, StoredEvent};

/// The most events copied for one poll before a page is chosen: some pages' worth, about 4 MB. Only a poll of very many
/// merchants with very many pending events reaches it; which of them are looked at first then wanders.
const GATHERED_MAX: usize = 20_000;

/// One poll in so many, on each thread, is timed: reading the clock twice takes a third of the time of an empty poll.
const POLLS_PER_TIMED_ONE: u32 = 16;

/// How a poll is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PollFlags {
    /// The caller could not reach the fallback: partitions that cannot read their fence answer all the same.
    pub fallback_unreachable: bool,
    /// A comparison read: it does not count as a delivery.
    pub shadow: bool,
}

/// Why a partition does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// It is starting, rebuilding or fenced out.
    NotServing,
    /// Another node leads it, or nobody.
    NotLeader {
        /// Who leads it, as far as this node knows.
        leader: Option<NodeId>,
        /// The term in which it learnt that: of two hints the one of the higher term is right.
        term: u64,
    },
    /// Its fence could not be read for too long; [`PollFlags::fallback_unreachable`] gets an answer.
    FenceUnreadable,
    /// It holds so many events of a merchant asked for that not all their bodies are here.
    Overloaded,
}

/// A partition whose merchants were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub partition: PartitionId,
    /// Why.
    pub reason: RefusalReason,
}

/// What a poll answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PollOutcome {
    /// The page: oldest first within a merchant.
    pub events: Vec<FeedEvent>,
    /// Ids that a sent filter hides, at most 10,000: the caller acknowledges them before it answers 2xx.
    pub hidden: Vec<EventId>,
    /// Partitions whose merchants were left out.
    pub refused: Vec<Refused>,
    /// Events of the page that became strikes with it: delivered often and never acknowledged. Each is here once.
    pub struck: Vec<EventId>,
    /// Of a comparison read: how many events of the page are strikes.
    pub strikes: Option<u32>,
}

/// What is asked, without the merchants.
struct Query<'a> {
    application: &'a ApplicationId,
    filter: &'a Filter,
    limit: usize,
    flags: PollFlags,
}

/// What was found, before a page is chosen.
#[derive(Default)]
struct Found {
    merchants: Vec<Vec<Candidate<FeedEvent>>>,
    gathered: usize,
    hidden: Vec<EventId>,
}

/// A body that the answer needs is not in memory.
struct Spilled;

impl Shared {
    /// See [`crate::Handle::poll`].
    pub(crate) fn poll(
        &self,
        authorised: &AuthorisedMerchants,
        filter: &Filter,
        limit: usize,
        flags: PollFlags,
    ) -> PollOutcome {
        let started = is_timed().then(|| self.clock.monotonic());
        let query =
            Query { application: authorised.application(), filter, limit: limit.clamp(1, PAGE_EVENTS_MAX), flags };
        let outcome = self.answer(authorised.merchants(), &query);
        let counter = match &outcome {
            outcome if !outcome.refused.is_empty() => &self.telemetry.polls_refused,
            outcome if outcome.events.is_empty() => &self.telemetry.polls_empty,
            _ => &self.telemetry.polls_with_events,
        };
        counter.increment(1);
        if let Some(started) = started {
            self.telemetry.poll_seconds.record(self.clock.monotonic().saturating_sub(started));
        }
        outcome
    }

    fn answer(&self, merchants: &[GrantedMerchant], query: &Query<'_>) -> PollOutcome {
        let mut outcome = PollOutcome::default();
        if query.filter.asks_for_nothing() {
            return outcome;
        }
        let mut found = Found::default();
        // One merchant is looked at in one partition: nothing has to take turns.
        let mut turn = 0;
        match merchants {
            [granted] => {
                let partition = self.partition_of(RoutingHash::of(granted.merchant));
                self.look(partition, std::iter::once(granted), query, &mut found, &mut outcome);
            }
            several => {
                turn = self.next_turn();
                self.look_at_several(several, turn, query, &mut found, &mut outcome);
            }
        }
        found.hidden.truncate(ACKNOWLEDGMENT_IDS_MAX);
        outcome.hidden = found.hidden;
        if found.gathered > 0 {
            outcome.events = page::fill(found.merchants, query.limit, turn);
            if !query.flags.shadow {
                outcome.struck = self.mark_delivered(query.application, &outcome.events);
            }
        }
        if query.flags.shadow {
            outcome.strikes = Some(self.strikes_among(query.application, &outcome.events));
        }
        outcome
    }

    /// Looks at each partition once, for all its merchants. Which comes first wanders with `turn`.
    fn look_at_several(
        &self,
        merchants: &[GrantedMerchant],
        turn: usize,
        query: &Query<'_>,
        found: &mut Found,
        outcome: &mut PollOutcome,
    ) {
        let partition_of = |granted: &GrantedMerchant| self.partition_of(RoutingHash::of(granted.merchant));
        let mut placed: Vec<(PartitionId, &GrantedMerchant)> =
            merchants.iter().map(|granted| (partition_of(granted), granted)).collect();
        placed.sort_by_key(|(partition, _)| *partition);
        let mut groups: Vec<&[(PartitionId, &GrantedMerchant)]> =
            placed.chunk_by(|one, next| one.0 == next.0).collect();
        let first = turn.checked_rem(groups.len()).unwrap_or(0);
        groups.rotate_left(first);
        for group in groups {
            self.look(group[0].0, group.iter().map(|(_, granted)| *granted), query, found, outcome);
        }
    }

    /// Gathers the merchants of one partition, or says why not.
    fn look<'a>(
        &self,
        partition: PartitionId,
        merchants: impl Iterator<Item = &'a GrantedMerchant> + Clone,
        query: &Query<'_>,
        found: &mut Found,
        outcome: &mut PollOutcome,
    ) {
        let gathered = found.gathered;
        let gather = |state: &FeedPartition| self.gather(state, partition, merchants.clone(), query, gathered);
        let reason = match self.grid.read(partition.0, gather) {
            Ok(Ok(part)) => return found.absorb(part),
            Ok(Err(Spilled)) => RefusalReason::Overloaded,
            Err(_) => match self.refusal_reason(partition) {
                RefusalReason::FenceUnreadable if query.flags.fallback_unreachable => {
                    match self.grid.read_as_leader(partition.0, gather) {
                        Ok(Ok(part)) => return found.absorb(part),
                        Ok(Err(Spilled)) => RefusalReason::Overloaded,
                        Err(_) => RefusalReason::NotServing,
                    }
                }
                reason => reason,
            },
        };
        outcome.refused.push(Refused { partition, reason });
    }

    fn gather<'a>(
        &self,
        state: &FeedPartition,
        partition: PartitionId,
        merchants: impl Iterator<Item = &'a GrantedMerchant>,
        query: &Query<'_>,
        gathered_before: usize,
    ) -> Result<Found, Spilled> {
        let mut found = Found::default();
        let mut moment = None;
        let mut delivered = None;
        for granted in merchants {
            let Some(pending) = state.pending(query.application, granted.merchant, granted.visible_from) else {
                continue;
            };
            let mut candidates = Vec::new();
            let mut fresh = 0;
            let room = query.limit;
            for stored in pending {
                let moment = *moment.get_or_insert_with(|| self.moment(state, partition));
                if !self.may_be_seen(state, partition, stored, granted.visible_from, moment) {
                    continue;
                }
                match query.filter.verdict(&stored.event) {
                    Verdict::Hide => continue,
                    Verdict::HideAndAcknowledge if found.hidden.len() >= ACKNOWLEDGMENT_IDS_MAX => continue,
                    Verdict::HideAndAcknowledge => {
                        found.hidden.push(stored.event.id);
                        continue;
                    }
                    Verdict::Show => {}
                }
                let delivered = delivered.get_or_insert_with(|| self.soft_of(partition).delivered());
                let delivered_before = delivered.contains(query.application, stored.event.id);
                if candidates.len() >= room && delivered_before {
                    continue; // the page has older ones already; only what is new could still displace them
                }
                candidates.push(candidate(stored, delivered_before)?);
                fresh += usize::from(!delivered_before);
                if candidates.len() >= room && fresh >= reserved_for_fresh(query.limit) {
                    break;
                }
            }
            found.gathered += candidates.len();
            if !candidates.is_empty() {
                found.merchants.push(candidates);
            }
            if gathered_before + found.gathered >= GATHERED_MAX {
                break;
            }
        }
        Ok(found)
    }

    fn may_be_seen(
        &self,
        state: &FeedPartition,
        partition: PartitionId,
        stored: &StoredEvent,
        visible_from: Timestamp,
        (now, elapsed): (Timestamp, Duration),
    ) -> bool {
        let event = &stored.event;
        visibility::is_visible(event, visible_from, now)
            && !(state.stands_above_gap(event)
                && self
                    .soft_of(partition)
                    .arrived_at(event.id, elapsed)
                    .is_some_and(|arrived| hold_back::is_held(true, elapsed.saturating_sub(arrived))))
    }

    /// The instant a read looks from. While the wall clock is not trusted, time stands where the last command left it.
    fn moment(&self, state: &FeedPartition, partition: PartitionId) -> (Timestamp, Duration) {
        let now = if self.serving.clock_is_trusted() {
            Timestamp::from_unix_ms(self.grid.time(partition.0).unix_ms).max(state.time())
        } else {
            state.time()
        };
        (now, self.clock.monotonic())
    }

    /// Marks deliveries and answers the strikes among them: nearly always none, which costs no allocation.
    fn mark_delivered(&self, application: &ApplicationId, events: &[FeedEvent]) -> Vec<EventId> {
        let (mut first, mut struck) = (0, Vec::new());
        for of_merchant in events.chunk_by(|one, next| one.merchant == next.merchant) {
            let mut marks = self.soft_of(self.partition_of_merchant(of_merchant[0].merchant)).delivered();
            for event in of_merchant {
                match marks.mark(application, event) {
                    Delivery::Again | Delivery::Unmarked => continue,
                    Delivery::Strike => struck.push(event.id),
                    Delivery::First => {
                        first += 1;
                        tracing::info!(
                            trace_id = %event.trace, event_id = %event.id, order_id = %event.order, "event served for the first time"
                        );
                    }
                }
            }
        }
        self.telemetry.events_delivered_first.increment(first);
        if !struck.is_empty() {
            let strikes = struck.len();
            self.telemetry.strikes.increment(strikes as u64);
            tracing::warn!(application_id = %application, strikes, "events are polled again and again and not acknowledged");
        }
        struck
    }

    fn strikes_among(&self, application: &ApplicationId, events: &[FeedEvent]) -> u32 {
        let mut strikes = 0;
        for of_merchant in events.chunk_by(|one, next| one.merchant == next.merchant) {
            let marks = self.soft_of(self.partition_of_merchant(of_merchant[0].merchant)).delivered();
            strikes += of_merchant.iter().filter(|event| marks.is_strike(application, event.id)).count();
        }
        u32::try_from(strikes).unwrap_or(u32::MAX)
    }

    fn partition_of_merchant(&self, merchant: MerchantId) -> PartitionId {
        self.partition_of(RoutingHash::of(merchant))
    }
}

fn is_timed() -> bool {
    thread_local! {
        static POLLS: Cell<u32> = const { Cell::new(0) };
    }
    POLLS.replace(POLLS.get().wrapping_add(1)).is_multiple_of(POLLS_PER_TIMED_ONE)
}

impl Found {
    fn absorb(&mut self, part: Self) {
        self.gathered += part.gathered;
        self.hidden.extend(part.hidden);
        self.merchants.extend(part.merchants);
    }
}

fn candidate(stored: &StoredEvent, delivered_before: bool) -> Result<Candidate<FeedEvent>, Spilled> {
    match stored.body {
        Body::Kept => Ok(Candidate {
            created_at: stored.event.created_at,
            delivered_before,
            bytes: stored.event.body.len(),
            item: stored.event.clone(),
        }),
        Body::Spilled | Body::Expired => Err(Spilled),
    }
}
