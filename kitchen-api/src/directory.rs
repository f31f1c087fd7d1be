//! The applications as this process knows them, kept fresh from the table, and what a request is authorised by.
//!
//! Read on every request without a lock held or a wait; written by [`keep_fresh`] alone. While DynamoDB cannot be
//! reached everything known stays as it is: known tokens go on working, and changes wait. Credentials that fail ask for one
//! more look before they count as failed: their application may be a moment old.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use dashmap::DashMap;
use event_feed::{AuthorisedMerchants, Scope};
use order_model::{ApplicationId, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::modules::Modules;
use crate::open_delivery::OpenDeliveryVersion;
use crate::store::{
    ApplicationStore, AuthorisationId, CHANGES_MAX, Change, HashedSecret, Kind, StoreError, StoredApplication,
    StoredAuthorisation, TokenId,
};

mod authorisations;

pub use authorisations::Authorisation;

/// The table as it is handed around.
type SharedStore = Arc<dyn ApplicationStore>;

/// How often everything is read again although no change was announced: reconcilers look at state, not at hints.
const RELOAD_EVERY: Duration = Duration::from_secs(15 * 60);
/// A look that is asked for waits this long, and everybody who asks meanwhile shares it: whoever tries one client id after
/// the other makes us read the table at most 20 times a second.
const GATHERED_FOR: Duration = Duration::from_millis(50);
/// The longest wait for such a look.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// What is known of an application, or of one authorisation of it, at one moment.
#[derive(Debug)]
pub struct Access {
    /// What it may see.
    pub scope: Scope,
    /// The whole scope, authorised: what a poll that names no merchants reads.
    pub everything: AuthorisedMerchants,
    kind: Kind,
    secrets: Vec<HashedSecret>,
    revoked: bool,
    not_before: Timestamp,
    /// Of an application: since when authorisations count. Of an authorisation: when it was approved.
    authorised_from: Timestamp,
    /// Those of its tokens that were taken back one by one.
    revoked_tokens: Vec<TokenId>,
    /// Of an application; an authorisation has none of its own.
    modules: Modules,
    open_delivery_version: OpenDeliveryVersion,
    /// Made when it is asked for first.
    scope_digest: OnceLock<[u8; 32]>,
}

impl Access {
    /// A distributed application sees nothing itself: each of its authorisations does.
    fn new(stored: StoredApplication) -> Self {
        let StoredApplication { record, grants, .. } = stored;
        let scope = match record.kind {
            Kind::Centralised => Scope::new(record.id, grants),
            Kind::Distributed => Scope::new(record.id, []),
        };
        let everything = scope.authorise_all();
        let (secrets, revoked, not_before) = (record.secrets, record.revoked, record.not_before);
        Self {
            scope,
            everything,
            kind: record.kind,
            secrets,
            revoked,
            not_before,
            authorised_from: record.authorised_from,
            revoked_tokens: record.revoked_tokens.iter().map(|token| token.id).collect(),
            modules: record.modules,
            open_delivery_version: record.open_delivery_version,
            scope_digest: OnceLock::new(),
        }
    }

    /// What an authorisation lets its tokens see. It takes no secrets.
    fn of_authorisation(application: &ApplicationId, stored: StoredAuthorisation) -> Self {
        let scope = Scope::new(application.clone(), stored.grants);
        let everything = scope.authorise_all();
        let (secrets, not_before) = (Vec::new(), Timestamp::default());
        let authorised_from = stored.created_at;
        Self {
            scope,
            everything,
            kind: Kind::Distributed,
            secrets,
            revoked: false,
            not_before,
            authorised_from,
            revoked_tokens: Vec::new(),
            modules: Modules::NONE,
            open_delivery_version: OpenDeliveryVersion::default(),
            scope_digest: OnceLock::new(),
        }
    }

    /// The same, stripped of everything.
    fn removed(&self) -> Self {
        let scope = Scope::new(self.scope.application().clone(), []);
        let everything = scope.authorise_all();
        Self {
            scope,
            everything,
            kind: self.kind,
            secrets: Vec::new(),
            revoked: true,
            not_before: Timestamp::MAX,
            authorised_from: Timestamp::MAX,
            revoked_tokens: Vec::new(),
            modules: Modules::NONE,
            open_delivery_version: self.open_delivery_version,
            scope_digest: OnceLock::new(),
        }
    }

    /// A digest of the merchants that it may see: another one where that changed.
    pub fn scope_digest(&self) -> [u8; 32] {
        *self.scope_digest.get_or_init(|| {
            let mut hash = Sha256::new();
            self.scope.merchants().iter().for_each(|merchant| hash.update(merchant.as_bytes()));
            hash.finalize().into()
        })
    }

    /// Where its permissions come from.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The modules that the application has; none where this is an authorisation, whose tokens have those of the application.
    pub fn modules(&self) -> Modules {
        self.modules
    }

    /// Which version of Open Delivery it knows.
    pub fn open_delivery_version(&self) -> OpenDeliveryVersion {
        self.open_delivery_version
    }

    /// Whether nothing of it counts.
    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Authorisations approved before this instant do not count.
    pub fn authorised_from(&self) -> Timestamp {
        self.authorised_from
    }

    /// Whether this authorisation of `application` still counts.
    pub fn counts_for(&self, application: &Self) -> bool {
        !self.revoked && self.authorised_from >= application.authorised_from
    }

    /// Tokens issued before this instant do not count.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether tokens issued at `issued_at` still count, but for those taken back one by one.
    pub fn takes_tokens_of(&self, issued_at: Timestamp) -> bool {
        !self.revoked && issued_at >= self.not_before
    }

    /// Whether the token `id`, issued at `issued_at`, still counts.
    pub fn takes_token(&self, id: TokenId, issued_at: Timestamp) -> bool {
        self.takes_tokens_of(issued_at) && !self.revoked_tokens.contains(&id)
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
    /// Of all applications: ids are random, and each says whose it is.
    authorisations: DashMap<AuthorisationId, Arc<Authorisation>>,
    loaded: AtomicBool,
    /// Somebody asked for a look.
    look_wanted: Notify,
    /// The number of the look that was begun last, of the one that has ended last, well or not, and of the last that went well.
    look_begun: AtomicU64,
    look_ended: watch::Sender<u64>,
    look_succeeded: AtomicU64,
}

impl Directory {
    /// The application `id`, if it is known.
    pub fn find(&self, id: &ApplicationId) -> Option<Arc<Application>> {
        self.applications.get(id).map(|entry| Arc::clone(entry.value()))
    }

    /// Asks for a look at the table without waiting for it.
    pub fn look_soon(&self) {
        self.look_wanted.notify_one();
    }

    /// Whether the table was read since the start. Before, an unknown application may be one not read yet.
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Waits until a look at the table that begins after this call has ended, well or not, at most [`LOOK_LIMIT`]. Whether one
    /// has, and well: then what is known is what the table had after this call.
    pub async fn look_again(&self) -> bool {
        let before = self.look_begun.load(Ordering::SeqCst);
        let mut ended = self.look_ended.subscribe();
        self.look_wanted.notify_one();
        let _ = tokio::time::timeout(LOOK_LIMIT, ended.wait_for(|look| *look > before)).await;
        self.look_succeeded.load(Ordering::SeqCst) > before
    }

    /// An application that is read by itself, with all that it has.
    fn put(&self, mut stored: StoredApplication) {
        let authorisations = std::mem::take(&mut stored.authorisations);
        let was_distributed =
            self.find(&stored.record.id).is_some_and(|known| known.access().kind == Kind::Distributed);
        if was_distributed || !authorisations.is_empty() {
            self.replace_authorisations(&stored.record.id, authorisations);
        }
        self.put_application(stored);
    }

    fn put_application(&self, stored: StoredApplication) {
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
            if application.access().kind == Kind::Distributed {
                self.replace_authorisations(id, Vec::new());
            }
            let removed = application.access().removed();
            application.0.store(Arc::new(removed));
        }
    }

    fn replace_all(&self, all: Vec<StoredApplication>) {
        let current: std::collections::HashSet<ApplicationId> = all.iter().map(|one| one.record.id.clone()).collect();
        let mut authorisations: std::collections::HashSet<AuthorisationId> = std::collections::HashSet::new();
        for mut one in all {
            for authorisation in std::mem::take(&mut one.authorisations) {
                authorisations.insert(authorisation.id);
                self.put_authorisation(&one.record.id, authorisation);
            }
            self.put_application(one);
        }
        self.keep_authorisations(|id, _| authorisations.contains(id));
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
        if refreshed.is_ok() {
            directory.look_succeeded.store(look, Ordering::SeqCst);
        }
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
    read_changed(directory, store, &changes).await?;
    // Only now: a change whose application could not be read is read again at the next tick.
    if let Some(last) = changes.last() {
        progress.revision = Some(last.revision);
    }
    if changes.len() >= usize::try_from(CHANGES_MAX).unwrap_or(usize::MAX) {
        tracing::info!("many applications changed; the rest is read at the next look");
    }
    Ok(())
}

/// Reads every application and every authorisation that changed, once. `None` sorts first: who is read as a whole needs no more.
async fn read_changed(directory: &Directory, store: &SharedStore, changes: &[Change]) -> Result<(), StoreError> {
    let mut changed: Vec<_> = changes.iter().map(|change| (&change.application, change.authorisation)).collect();
    changed.sort_unstable();
    changed.dedup();
    let mut whole: Option<&ApplicationId> = None;
    for (id, authorisation) in changed {
        match authorisation {
            None => {
                whole = Some(id);
                match store.load(id).await? {
                    Some(stored) => directory.put(stored),
                    None => directory.remove(id),
                }
            }
            Some(_) if whole == Some(id) => {}
            Some(authorisation) => match store.load_authorisation(id, authorisation).await? {
                Some(stored) => directory.put_authorisation(id, stored),
                None => directory.remove_authorisation(id, authorisation),
            },
        }
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
    with_stored(id, Kind::Centralised, Vec::new())
}

/// A directory that was read and knows one application of this kind.
#[cfg(test)]
pub(crate) fn with_stored(id: &str, kind: Kind, authorisations: Vec<StoredAuthorisation>) -> Directory {
    let directory = Directory::default();
    let record = crate::store::ApplicationRecord {
        id: id.parse().expect("a valid id"),
        name: String::new(),
        kind,
        secrets: Vec::new(),
        revoked: false,
        not_before: Timestamp::default(),
        authorised_from: Timestamp::default(),
        revoked_tokens: std::collections::BTreeSet::new(),
        modules: Modules::ALL,
        open_delivery_version: OpenDeliveryVersion::default(),
        revision: 1,
        created_at: Timestamp::default(),
    };
    directory.replace_all(vec![StoredApplication { record, grants: Vec::new(), authorisations }]);
    directory
}
