//! Works off batches: looks for unfinished ones, leases one per merchant at a time, applies it page by page.
//!
//! Run by the service until it shuts down. Any kitchen-api works off any batch: a batch whose worker died is taken over once
//! its lease is over. What a page does is one transaction with the batch's progress, see `store`; two workers at the same batch,
//! as when clocks disagree about a lease, get in each other's way and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use order_model::MerchantId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::batch::{self, Entry};
use super::editing::{EditError, Editor};
use super::menu::Halt;
use super::store::{BatchRecord, CatalogError, Outcome, PENDING_SHARDS, PageCommit, Pending};

/// How often to look for batches that other instances took, or left behind.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Batches worked off at a time, each of another merchant.
const AT_A_TIME: usize = 4;
/// How long a lease holds that is not renewed; each page renews it.
const LEASE: Duration = Duration::from_secs(15);
/// Between two pages, so that edits of the same merchant get in.
const PAGE_PAUSE: Duration = Duration::from_millis(5);
/// How often a page is decided anew because of other edits before the batch is left to the next look.
const PAGE_ATTEMPTS: u32 = 50;

/// The worker, and the way to wake it.
pub(crate) struct BatchWorker {
    editor: Editor,
    /// Names this instance in leases.
    owner: String,
    wake: Notify,
}

/// One batch that was ended with, for whatever reason.
struct Ended {
    merchant: MerchantId,
    failed: bool,
}

impl BatchWorker {
    pub(crate) fn new(editor: Editor) -> Arc<Self> {
        let owner = hex::encode(editor.entropy.bytes::<16>());
        Arc::new(Self { editor, owner, wake: Notify::new() })
    }

    /// There is a new batch.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Works until `shutdown`; then the pages under way are finished and the leases given back.
    pub(crate) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut working: JoinSet<Ended> = JoinSet::new();
        let mut merchants: BTreeSet<MerchantId> = BTreeSet::new();
        let mut failing = false;
        loop {
            let has_room = working.len() < AT_A_TIME;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = working.join_next(), if !working.is_empty() => {
                    let Ok(Ended { merchant, failed }) = ended else {
                        // A worker that panicked has no name any more; its lease ends.
                        merchants.clear();
                        continue;
                    };
                    merchants.remove(&merchant);
                    if !failed {
                        self.wake.notify_one();
                    }
                    continue;
                }
                () = self.wake.notified(), if has_room => {}
                () = tokio::time::sleep(LOOK_EVERY), if has_room => {}
            }
            match self.look().await {
                Ok(found) => {
                    failing = false;
                    self.start(found, &mut working, &mut merchants, &shutdown);
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn std::error::Error, "batches cannot be looked for");
                }
                Err(_) => {}
            }
        }
        while working.join_next().await.is_some() {}
    }

    /// The oldest unfinished batch of each merchant, the oldest first.
    async fn look(&self) -> Result<Vec<Pending>, CatalogError> {
        let mut oldest: BTreeMap<MerchantId, Pending> = BTreeMap::new();
        for shard in 0..PENDING_SHARDS {
            for pending in self.editor.table.pending(shard).await? {
                oldest.entry(pending.merchant).or_insert(pending);
            }
        }
        let mut found: Vec<Pending> = oldest.into_values().collect();
        found.sort_unstable();
        Ok(found)
    }

    fn start(
        self: &Arc<Self>,
        found: Vec<Pending>,
        working: &mut JoinSet<Ended>,
        merchants: &mut BTreeSet<MerchantId>,
        shutdown: &CancellationToken,
    ) {
        for pending in found {
            if working.len() >= AT_A_TIME {
                return;
            }
            if !merchants.insert(pending.merchant) {
                continue;
            }
            let (worker, shutdown) = (Arc::clone(self), shutdown.clone());
            working.spawn(async move {
                let worked = worker.work_off(&pending, &shutdown).await;
                if let Err(error) = &worked {
                    let merchant = pending.merchant;
                    tracing::warn!(%merchant, error = error as &dyn std::error::Error, "a batch has to wait");
                }
                Ended { merchant: pending.merchant, failed: !matches!(worked, Ok(true)) }
            });
        }
    }

    /// Works a batch off; `false` when it is somebody else's or not finished.
    async fn work_off(&self, pending: &Pending, shutdown: &CancellationToken) -> Result<bool, EditError> {
        let now = self.editor.clock.now();
        let leased = self.editor.table.lease(pending, &self.owner, now, now.plus(LEASE)).await?;
        let Some(mut record) = leased else { return Ok(false) };
        while record.done < record.total {
            if shutdown.is_cancelled() {
                self.editor.table.give_back(pending, &self.owner).await?;
                return Ok(false);
            }
            match self.work_off_page(pending, &record).await? {
                Some(done) => record.done = done,
                None => return Ok(false),
            }
            tokio::time::sleep(PAGE_PAUSE).await;
        }
        Ok(true)
    }

    /// Applies the next page; answers with how many entries are done then, or nothing when the lease is lost.
    async fn work_off_page(&self, pending: &Pending, record: &BatchRecord) -> Result<Option<usize>, EditError> {
        let entries = self.editor.table.next_page(pending, record).await?;
        for attempt in 1..=PAGE_ATTEMPTS {
            let mut decide =
                |menu: &mut super::menu::Menu| -> Result<Vec<Entry>, Halt> { batch::apply(menu, &entries) };
            let (menu, results) = self.editor.decide(pending.merchant, &mut decide).await?;
            let now = self.editor.clock.now();
            let page = PageCommit {
                pending,
                record,
                entries: &results,
                owner: &self.owner,
                now,
                lease_until: now.plus(LEASE),
            };
            match self.editor.table.commit_page(&menu, page).await? {
                Outcome::Done => return Ok(Some(record.done + results.len())),
                Outcome::Overtaken => {}
            }
            // By another edit, or by whoever has the lease now.
            let now = self.editor.clock.now();
            match self.editor.table.lease(pending, &self.owner, now, now.plus(LEASE)).await? {
                Some(current) if current.done == record.done => {}
                Some(_) | None => return Ok(None),
            }
            tokio::time::sleep(self.editor.pause(attempt)).await;
        }
        self.editor.table.give_back(pending, &self.owner).await?;
        Ok(None)
    }
}
