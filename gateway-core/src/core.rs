//! The thin shell around `planning`: load, decide, commit; when somebody else was faster, decide again.
//!
//! Called by `rpc` for requests and by the deadline reconciler for timers. A committed transition is logged, counted and
//! offered to the relay here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use event_feed::FeedEvent;
use order_model::lifecycle::cancellation::{self, CancellationCode};
use order_model::lifecycle::{Command, DisputeId};
use order_model::{EventId, EvidenceId, MerchantId, OrderId, SharedClock, Timestamp};
use parking_lot::Mutex;
use rand::{Rng, RngCore};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::clock_guard::ClockGuard;
use crate::error::RequestError;
use crate::evidence::Evidence;
use crate::merchant_field;
use crate::merchants::{MerchantReference, Merchants, Resolution};
use crate::planning::{self, Cause, Placement, Plan, Refusal, Rules, needs_body, plan_erase, plan_place, plan_update};
use crate::position::Position;
use crate::relay::Relay;
use crate::relay::publisher::Publisher;
use crate::serving_report::ServingReports;
use crate::store::{Beside, CommitOutcome, Loaded, Store, Transition};
use crate::telemetry;

/// Requests decided at the same time. Each holds a body of up to 192 KiB and one connection.
pub(crate) const REQUESTS_MAX: u32 = 1_024;
/// Decisions about one request before it is given up as contended.
const ATTEMPTS_MAX: u32 = 8;
/// The pause before the second decision is up to the first of these, and doubles up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// Events of one reply; the store bounds their bytes.
const EVENTS_PAGE_MAX: usize = 1_000;

/// Everything a request needs.
pub(crate) struct Core {
    pub(crate) rules: Rules,
    /// What links to evidence begin with; may be empty.
    pub(crate) public_url: String,
    pub(crate) store: Arc<Store>,
    pub(crate) relay: Relay,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) merchants: Merchants,
    pub(crate) clock: SharedClock,
    pub(crate) guard: ClockGuard,
    pub(crate) serving: ServingReports,
    pub(crate) rng: Mutex<Box<dyn RngCore + Send>>,
    pub(crate) permits: Semaphore,
    pub(crate) stopping: AtomicBool,
}

/// How a request ended that was decided.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These events were committed by it.
    Committed(Vec<EventId>),
    /// The code was wrong, and that was counted.
    WrongCode,
    /// These were committed by the same message before; or it is so already.
    Repeated(Vec<EventId>),
    /// It cannot be.
    Refused(Refusal),
    /// There is no such merchant.
    UnknownMerchant,
}

/// An order as it is shown.
pub(crate) struct ShownOrder {
    pub(crate) merchant: MerchantId,
    pub(crate) body: Bytes,
    /// Where its courier was last.
    pub(crate) position: Option<Position>,
    /// The sequence of its last event: what is shown holds everything up to it.
    pub(crate) last_sequence: u32,
    pub(crate) state: &'static str,
    pub(crate) version: u64,
    pub(crate) cancellation_codes: Vec<CancellationCode>,
}

impl Core {
    /// Admits a request, or says why not.
    pub(crate) fn admit(&self) -> Result<SemaphorePermit<'_>, RequestError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(RequestError::Stopping);
        }
        self.permits.try_acquire().map_err(|_| RequestError::Overloaded)
    }

    /// How many requests are being decided.
    pub(crate) fn requests_in_flight(&self) -> usize {
        (REQUESTS_MAX as usize).saturating_sub(self.permits.available_permits())
    }

    /// Places an order for the merchant that `reference` names. `placement.merchant` is filled in here, and in the body
    /// where the order has another name for it; the digests stay those of the message as it was sent.
    pub(crate) async fn place(
        &self,
        reference: &MerchantReference,
        mut placement: Placement,
        cause: &Cause,
    ) -> Result<Outcome, RequestError> {
        placement.merchant = match self.merchants.resolve(reference).await {
            Resolution::Known(merchant) => {
                if !reference.is_id_of(merchant) {
                    placement.body = merchant_field::with_id(&placement.body, merchant);
                }
                merchant
            }
            Resolution::Unverified(merchant) => {
                metrics::counter!("comanda_gateway_core_unverified_merchants_total").increment(1);
                merchant
            }
            Resolution::Unknown => return self.unless_repeated(placement.id, cause).await,
            Resolution::Unavailable => return Err(RequestError::MerchantUnavailable),
        };
        // Nearly every order is new: the first decision assumes so without a read, and the transaction's conditions tell.
        let guess = Some(Loaded::default());
        let beside = beside(cause, None);
        self.decide(placement.id, beside, guess, "place", |loaded, now| {
            plan_place(&self.rules, loaded, &placement, cause, now)
        })
        .await
    }

    /// The answer for an order whose merchant is not known (any more): a repeat is answered as the first time.
    async fn unless_repeated(&self, order: OrderId, cause: &Cause) -> Result<Outcome, RequestError> {
        let Some(message) = cause.message else { return Ok(Outcome::UnknownMerchant) };
        let loaded = self.store.load(order, Beside { message: Some(message.key), ..Beside::default() }).await?;
        match loaded.message {
            Some(record) if record.digest == message.digest => Ok(Outcome::Repeated(record.event_ids)),
            Some(_) => Ok(Outcome::Refused(Refusal::IdReused)),
            None => Ok(Outcome::UnknownMerchant),
        }
    }

    /// Applies an update of an internal app.
    pub(crate) async fn update(
        &self,
        order: OrderId,
        command: &Command,
        cause: &Cause,
    ) -> Result<Outcome, RequestError> {
        let dispute = cause.opens.as_ref().map(|(dispute, _)| dispute);
        let beside = Beside { body: cause.patch.is_some() || needs_body(command), ..beside(cause, dispute) };
        let plan = |loaded: &Loaded, now| plan_update(&self.rules, loaded, command, cause, now);
        self.decide(order, beside, None, "update", plan).await
    }

    /// Blanks the personal data of an order.
    pub(crate) async fn erase(&self, order: OrderId) -> Result<Outcome, RequestError> {
        for attempt in 0..ATTEMPTS_MAX {
            let Some((loaded, body)) = self.store.load_with_body(order).await? else {
                return Ok(Outcome::Refused(Refusal::UnknownOrder));
            };
            let now = self.clock.now();
            match plan_erase(&self.rules, &loaded, body.as_ref(), &Cause::default(), now) {
                Plan::Commit(transition) => {
                    if self.commit(&transition, now, "erase").await? == CommitOutcome::Committed {
                        return Ok(Outcome::Committed(ids(&transition)));
                    }
                }
                Plan::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
                Plan::Wrong(_) | Plan::NoChange(_) | Plan::Repeated(_) => {
                    return Ok(Outcome::Refused(Refusal::AlreadyErased));
                }
            }
            self.back_off(attempt).await;
        }
        Err(RequestError::Contended)
    }

    /// Loads and decides until the decision stands. `guess` stands in for the first load.
    pub(crate) async fn decide(
        &self,
        order: OrderId,
        beside: Beside<'_>,
        mut guess: Option<Loaded>,
        kind: &'static str,
        plan: impl Fn(&Loaded, Timestamp) -> Plan,
    ) -> Result<Outcome, RequestError> {
        for attempt in 0..ATTEMPTS_MAX {
            let is_guess = guess.is_some();
            let loaded = match guess.take() {
                Some(guess) => guess,
                None => self.store.load(order, beside).await?,
            };
            let now = self.clock.now();
            match plan(&loaded, now) {
                Plan::Commit(transition) => {
                    if self.commit(&transition, now, kind).await? == CommitOutcome::Committed {
                        return Ok(Outcome::Committed(ids(&transition)));
                    }
                }
                Plan::Wrong(transition) => {
                    if self.commit(&transition, now, kind).await? == CommitOutcome::Committed {
                        return Ok(Outcome::WrongCode);
                    }
                }
                Plan::NoChange(None) => return Ok(Outcome::Repeated(Vec::new())),
                Plan::NoChange(Some(message)) => {
                    if self.store.remember(&message, now).await? {
                        return Ok(Outcome::Repeated(Vec::new()));
                    }
                }
                Plan::Repeated(ids) => return Ok(Outcome::Repeated(ids)),
                Plan::Refused(refusal) => {
                    if !self.was_committed_meanwhile(order, beside, &loaded).await? {
                        return Ok(Outcome::Refused(refusal));
                    }
                }
            }
            if !is_guess {
                self.back_off(attempt).await;
            }
        }
        Err(RequestError::Contended)
    }

    /// Whether the message was committed by somebody else between the reads of its record and of its order: then the
    /// order shows its effect, and refusing the message because of that would be wrong.
    async fn was_committed_meanwhile(
        &self,
        order: OrderId,
        beside: Beside<'_>,
        loaded: &Loaded,
    ) -> Result<bool, RequestError> {
        if beside.message.is_none() || loaded.message.is_some() || loaded.order.is_none() {
            return Ok(false);
        }
        Ok(self.store.load(order, beside).await?.message.is_some())
    }

    /// Commits a transition that was decided at `at`, and passes its events on.
    pub(crate) async fn commit(
        &self,
        transition: &Transition,
        at: Timestamp,
        kind: &'static str,
    ) -> Result<CommitOutcome, RequestError> {
        let outcome = self.store.commit(transition, at).await?;
        if outcome == CommitOutcome::Outdated {
            telemetry::conflict();
            return Ok(outcome);
        }
        telemetry::committed(kind, transition.events.len());
        let events: Vec<FeedEvent> = transition.events.iter().map(|stored| stored.event.clone()).collect();
        self.relay.offer(&events);
        for event in &events {
            tracing::info!(
                trace_id = %event.trace,
                order_id = %event.order,
                code = event.code.code(),
                sequence = event.sequence,
                cause = kind,
                "transition committed"
            );
        }
        Ok(outcome)
    }

    async fn back_off(&self, attempt: u32) {
        let ceiling = BACKOFF.0.saturating_mul(1 << attempt.min(10)).min(BACKOFF.1);
        let pause = ceiling.mul_f64(self.rng.lock().random::<f64>());
        tokio::time::sleep(pause).await;
    }

    /// The order of a dispute; `None` when there is no such dispute.
    pub(crate) async fn order_of_dispute(&self, id: &DisputeId) -> Result<Option<OrderId>, RequestError> {
        Ok(self.store.load_dispute(id).await?.map(|dispute| dispute.order))
    }

    /// An order and its body; `None` when there is none, or not any more.
    pub(crate) async fn show(&self, order: OrderId) -> Result<Option<ShownOrder>, RequestError> {
        let Some((order, Some(body))) = self.store.load_with_body(order).await? else { return Ok(None) };
        if !order.is_kept(self.clock.now()) {
            return Ok(None);
        }
        Ok(Some(ShownOrder {
            merchant: order.merchant,
            body: body.json,
            position: order.position,
            last_sequence: order.lifecycle.next_sequence.saturating_sub(1),
            state: order.lifecycle.status.name(),
            version: order.version,
            cancellation_codes: cancellation::offered(&order.lifecycle),
        }))
    }

    /// A file that came with a dispute of `order`, and whose order it is; `None` when there is none, or not any more.
    pub(crate) async fn evidence(
        &self,
        order: OrderId,
        id: EvidenceId,
    ) -> Result<Option<(MerchantId, Evidence)>, RequestError> {
        let Some((order, evidence)) = self.store.load_evidence(order, id).await? else { return Ok(None) };
        // What was erased is gone from the table as well; an older version may have lost sight of it.
        let is_shown = order.is_kept(self.clock.now()) && !order.is_erased;
        Ok(is_shown.then_some((order.merchant, evidence)))
    }

    /// The committed events `from..=to` of an order, as many as fit a reply and none only where there are none; `to` 0
    /// means to the last.
    pub(crate) async fn events(&self, order: OrderId, from: u32, to: u32) -> Result<Vec<FeedEvent>, RequestError> {
        let to = if to == 0 { u32::MAX } else { to };
        if from > to {
            return Ok(Vec::new());
        }
        let stored = self.store.events_of(order, from.max(1), to, EVENTS_PAGE_MAX).await?;
        Ok(stored.into_iter().map(|stored| stored.event).collect())
    }

    /// Does what a timer wants with exactly the order that was read; `false` when that changes nothing.
    pub(crate) async fn apply_timer(
        &self,
        order: &crate::order::Order,
        command: &Command,
        now: Timestamp,
    ) -> Result<bool, RequestError> {
        let Some(transition) = planning::plan_timer(&self.rules, order, command, now) else { return Ok(false) };
        // Outdated: somebody else moved the order on, a confirmation for instance. It wins, and is judged afresh.
        self.commit(&transition, now, command.name()).await.map(|_| true)
    }
}

/// What to read beside an order, for `cause` and the dispute it is about.
pub(crate) fn beside<'a>(cause: &Cause, dispute: Option<&'a DisputeId>) -> Beside<'a> {
    Beside { message: cause.message.map(|message| message.key), dispute, body: false }
}

fn ids(transition: &Transition) -> Vec<EventId> {
    transition.events.iter().map(|stored| stored.event.id).collect()
}
