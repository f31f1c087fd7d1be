//! The applications as this process knows them, kept fresh from the table, and what a request is authorised by.
//!
//! Read on every request without a lock held or a wait; written by [`keep_fresh`] alone. While DynamoDB cannot be
//! reached everything known stays as it is: known tokens go on working, and changes wait. Credentials that fail ask for one
//! more look before they count as failed: their application may be a moment old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use event_feed::{AuthorisedMerchants, Scope};
use order_model::{ApplicationId, Timestamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::store::{ApplicationStore, CHANGES_MAX, HashedSecret, StoreError, StoredApplication};

/// The table as it is handed around.
type SharedStore = Arc<dyn ApplicationStore>;

/// How often everything is read again although no change was announced: reconcilers look at state, not at hints.
const RELOAD_EVERY: Duration = Duration::from_secs(15 * 60);
/// A look that is asked for waits this long, and everybody who asks meanwhile shares it: whoever tries one client id after
/// the other makes us read the table at most 20 times a second.
const GATHERED_FOR: Duration = Duration::from_millis(50);
/// The longest wait for such a look.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// What is known of an application at one moment.
#[derive(Debug)]
pub struct Access {
    /// What it may see.
    pub scope: Scope,
    /// The whole scope, authorised: what a poll that names no merchants reads.
    pub everything: AuthorisedMerchants,
    secrets: Vec<HashedSecret>,
    revoked: bool,
    not_before: Timestamp,
}

impl Access {
    fn new(stored: StoredApplication) -> Self {
        let StoredApplication { record, grants } = stored;
        let scope = Scope::new(record.id, grants);
        let everything = scope.authorise_all();
        let (secrets, revoked, not_before) = (record.secrets, record.revoked, record.not_before);
        Self { scope, everything, secrets, revoked, not_before }
    }

    /// The same application, stripped of everything.
    fn removed(&self) -> Self {
        let scope = Scope::new(self.scope.application().clone(), []);
        let everything = scope.authorise_all();
        Self { scope, everything, secrets: Vec::new(), revoked: true, not_before: Timestamp::MAX }
    }

    /// Tokens issued before this instant do not count.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether a token issued at `issued_at` still counts.
    pub fn takes_token_of(&self, issued_at: Timestamp) -> bool {
        !self.revoked && issued_at >= self.not_before
    }

    /// Whether `secret` may get a token at `now`. Compares with every secret, so that the time tells nothing.
    pub fn takes_secret(&self, secret: &str, now: Timestamp) -> bool {
        let matching = self.secrets.iter().filter(|known| known.matches(secret, now)).count();
        !self.revoked && matching > 0
    }
}

/// An application, for as long as this process lives: a cached token points here and sees every change.
#[derive(Debug)]
pub struct Application(ArcSwap<Access>);

impl Application {
    /// What is known of it now.
    pub fn access(&self) -> Arc<Access> {
        self.0.load_full()
    }
}

/// The applications this process knows.
#[derive(Debug, Default)]
pub struct Directory {
    applications: DashMap<ApplicationId, Arc<Application>>,
    loaded: AtomicBool,
    /// Somebody asked for a look.
    look_wanted: Notify,
    /// The number of the look that was begun last, and of the one that has ended last, well or not.
    look_begun: AtomicU64,
    look_ended: watch::Sender<u64>,
}

impl Directory {
    /// The application `id`, if it is known.
    pub fn find(&self, id: &ApplicationId) -> Option<Arc<Application>> {
        self.applications.get(id).map(|entry| Arc::clone(entry.value()))
    }

    /// Whether the table was read since the start. Before, an unknown application may be one not read yet.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Waits until a look at the table that begins after this call has ended, well or not, at most [`LOOK_LIMIT`].
    pub async fn look_again(&self) {
        let before = self.look_begun.load(Ordering::SeqCst);
        let mut ended = self.look_ended.subscribe();
        self.look_wanted.notify_one();
        let _ = tokio::time::timeout(LOOK_LIMIT, ended.wait_for(|look| *look > before)).await;
    }

    fn put(&self, stored: StoredApplication) {
        let id = stored.record.id.clone();
        let access = Arc::new(Access::new(stored));
        match self.applications.entry(id) {
            dashmap::Entry::Occupied(known) => known.get().0.store(access),
            dashmap::Entry::Vacant(vacant) => {
                vacant.insert(Arc::new(Application(ArcSwap::new(access))));
            }
        }
    }

    /// Cached tokens may still point to it, so it is emptied before it is forgotten.
    fn remove(&self, id: &ApplicationId) {
        if let Some((_, application)) = self.applications.remove(id) {
            let removed = application.access().removed();
            application.0.store(Arc::new(removed));
        }
    }

    fn replace_all(&self, all: Vec<StoredApplication>) {
        let current: std::collections::HashSet<ApplicationId> = all.iter().map(|one| one.record.id.clone()).collect();
        all.into_iter().for_each(|one| self.put(one));
        let known: Vec<ApplicationId> = self.applications.iter().map(|entry| entry.key().clone()).collect();
        known.iter().filter(|id| !current.contains(id)).for_each(|id| self.remove(id));
        self.loaded.store(true, Ordering::Release);
    }
}

/// Where the refreshing stands.
#[derive(Default)]
struct Progress {
    revision: Option<u64>,
    reloaded_at: Duration,
}

/// Follows the table until `shutdown`, looking every `interval` and whenever it is asked for. Failures are logged once per episode.
pub(crate) async fn keep_fresh(
    directory: Arc<Directory>,
    store: SharedStore,
    clock: order_model::SharedClock,
    interval: Duration,
    shutdown: CancellationToken,
) {
    let age = metrics::gauge!("comanda_kitchen_api_directory_age_seconds");
    let mut progress = Progress::default();
    let mut fresh_at = clock.monotonic();
    let mut failing = false;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = directory.look_wanted.notified() => tokio::time::sleep(GATHERED_FOR).await,
            () = shutdown.cancelled() => return,
        }
        let started_at = clock.monotonic();
        let look = directory.look_begun.fetch_add(1, Ordering::SeqCst) + 1;
        let refreshed = refresh(&directory, &store, &mut progress, started_at).await;
        directory.look_ended.send_replace(look);
        match refreshed {
            Ok(()) => {
                fresh_at = started_at;
                if std::mem::take(&mut failing) {
                    tracing::info!("the directory of applications is fresh again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "applications cannot be read; those known stay as they are");
                }
            }
        }
        age.set(clock.monotonic().saturating_sub(fresh_at).as_secs_f64());
    }
}

async fn refresh(
    directory: &Directory,
    store: &SharedStore,
    progress: &mut Progress,
    now: Duration,
) -> Result<(), StoreError> {
    let due = now.saturating_sub(progress.reloaded_at) >= RELOAD_EVERY;
    let Some(known) = progress.revision.filter(|_| !due) else {
        return reload(directory, store, progress, now).await;
    };
    let changes = store.changes_after(known).await?;
    // A hole means that announcements have expired while we were cut off.
    if changes.iter().zip(known + 1..).any(|(change, expected)| change.revision != expected) {
        return reload(directory, store, progress, now).await;
    }
    let mut changed: Vec<&ApplicationId> = changes.iter().map(|change| &change.application).collect();
    changed.sort_unstable();
    changed.dedup();
    for id in changed {
        match store.load(id).await? {
            Some(stored) => directory.put(stored),
            None => directory.remove(id),
        }
    }
    // Only now: a change whose application could not be read is read again at the next tick.
    if let Some(last) = changes.last() {
        progress.revision = Some(last.revision);
    }
    if changes.len() >= usize::try_from(CHANGES_MAX).unwrap_or(usize::MAX) {
        tracing::info!("many applications changed; the rest is read at the next look");
    }
    Ok(())
}

/// Reads everything. The revision is read first: what changes meanwhile is announced after it, and read twice.
async fn reload(
    directory: &Directory,
    store: &SharedStore,
    progress: &mut Progress,
    now: Duration,
) -> Result<(), StoreError> {
    let revision = store.head().await?;
    let all = store.load_all().await?;
    tracing::debug!(revision, applications = all.len(), "applications read");
    directory.replace_all(all);
    *progress = Progress { revision: Some(revision), reloaded_at: now };
    Ok(())
}

#[cfg(test)]
#[path = "directory/tests.rs"]
mod tests;

/// A directory that was read and knows one application without merchants.
#[cfg(test)]
pub(crate) fn with_application(id: &str) -> Directory {
    let directory = Directory::default();
    let record = crate::store::ApplicationRecord {
        id: id.parse().expect("a valid id"),
        name: String::new(),
        secrets: Vec::new(),
        revoked: false,
        not_before: Timestamp::default(),
        revision: 1,
        created_at: Timestamp::default(),
    };
    directory.replace_all(vec![StoredApplication { record, grants: Vec::new() }]);
    directory
}
