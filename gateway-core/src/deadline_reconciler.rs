//! Acts on orders whose deadline has come: confirm timeout, dispute timeout, conclusion.
//!
//! Looks at the `due` index once a second and then at each order itself, strongly consistent; whether a deadline has
//! really come is decided in [`crate::planning::due`]. Runs on every core; two of them race harmlessly, because what
//! they commit is conditional on the version they read. Does nothing while the local clock disagrees with DynamoDB's.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use order_model::lifecycle::OrderStatus;
use order_model::{OrderId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::clock_guard::Agreement;
use crate::core::Core;
use crate::error::RequestError;
use crate::order::Order;
use crate::planning::due::{DueDecision, judge};
use crate::serving::ServingRecord;
use crate::store::{Beside, DUE_SHARDS};

/// Between passes.
const PASS_INTERVAL: Duration = Duration::from_secs(1);
/// Orders read of one shard in one pass.
const SHARD_PAGE: usize = 100;
/// Shards read, and orders handled, at the same time.
const CONCURRENCY: usize = 8;
/// When an order is looked at again whose deadline has come and whose lifecycle does not allow what follows from it.
const STUCK_INTERVAL: Duration = Duration::from_secs(300);

pub(crate) struct DeadlineReconciler {
    pub(crate) core: Arc<Core>,
}

/// How the last pass went, so that an episode is logged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Working,
    ClockDisagrees,
    ClockUnknown,
    StoreFails,
}

impl DeadlineReconciler {
    /// Acts until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let mut last = Condition::Working;
        while shutdown.run_until_cancelled(tokio::time::sleep(PASS_INTERVAL)).await.is_some() {
            let result = self.pass().await;
            let condition = *result.as_ref().unwrap_or(&Condition::StoreFails);
            if condition != last {
                log(condition, result.err());
            }
            last = condition;
        }
    }

    /// One pass over all shards; says whether the clock allowed to act.
    async fn pass(&self) -> Result<Condition, RequestError> {
        let now = self.core.clock.now();
        let pages: Vec<Vec<OrderId>> = stream::iter(0..DUE_SHARDS)
            .map(|shard| self.core.store.due(shard, now, SHARD_PAGE))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        match self.core.guard.agreement() {
            Agreement::Agrees => {}
            Agreement::Disagrees(_) => return Ok(Condition::ClockDisagrees),
            Agreement::Unknown => return Ok(Condition::ClockUnknown),
        }
        let due = pages.concat();
        let serving = self.core.store.load_serving().await?;
        self.measure(&serving, due.len(), now);
        let handling = stream::iter(due).map(Ok).try_for_each_concurrent(CONCURRENCY, |order| {
            let serving = &serving;
            async move { self.handle(order, serving).await }
        });
        handling.await.map(|()| Condition::Working)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    fn measure(&self, serving: &ServingRecord, due: usize, now: Timestamp) {
        let unserved = now.since(serving.last_served.unwrap_or_default());
        metrics::gauge!("comanda_gateway_core_unserved_seconds").set(unserved.as_secs_f64());
        metrics::gauge!("comanda_gateway_core_due_orders").set(due as f64);
        metrics::gauge!("comanda_gateway_core_relay_waiting").set(self.core.relay.waiting() as f64);
        metrics::gauge!("comanda_gateway_core_requests_in_flight").set(self.core.requests_in_flight() as f64);
    }

    async fn handle(&self, order: OrderId, serving: &ServingRecord) -> Result<(), RequestError> {
        let Some(order) = self.core.store.load(order, Beside::default()).await?.order else { return Ok(()) };
        let published = self.first_publication(&order).await?;
        let now = self.core.clock.now();
        match judge(&self.core.rules, &order, published, &serving.gaps_at(now), now) {
            // The index was behind.
            DueDecision::Nothing => Ok(()),
            DueDecision::Later(at) => self.look_again(&order, at).await,
            DueDecision::Now(command) => {
                if self.core.apply_timer(&order, &command, now).await? {
                    Ok(())
                } else {
                    self.look_again(&order, now.plus(STUCK_INTERVAL)).await
                }
            }
        }
    }

    async fn first_publication(&self, order: &Order) -> Result<Option<Timestamp>, RequestError> {
        if order.lifecycle.status != OrderStatus::Placed {
            return Ok(None);
        }
        let first = self.core.store.events_of(order.id, 1, 1, 1).await?;
        Ok(first.first().and_then(|stored| stored.published_at))
    }

    async fn look_again(&self, order: &Order, at: Timestamp) -> Result<(), RequestError> {
        if order.due_at != Some(at) {
            self.core.store.reschedule(order.id, order.version, at).await?;
        }
        Ok(())
    }
}

fn log(condition: Condition, error: Option<RequestError>) {
    match condition {
        Condition::Working => tracing::info!("deadlines are acted on again"),
        Condition::ClockDisagrees => {
            tracing::error!("the local clock disagrees with DynamoDB's by more than 2 s: no deadline is acted on");
        }
        Condition::ClockUnknown => {
            tracing::error!("DynamoDB's answers carry no date to compare the clock with: no deadline is acted on");
        }
        Condition::StoreFails => {
            let error = error.as_ref().map(|error| error as &dyn std::error::Error);
            tracing::warn!(error, "deadlines cannot be acted on");
        }
    }
}
