//! The directory against a store in memory: what is announced, what is missed, what is kept.

use event_feed::Grant;
use futures::FutureExt;
use futures::future::BoxFuture;
use order_model::MerchantId;
use parking_lot::Mutex;

use super::*;
use crate::store::{ApplicationRecord, ApplicationStore, Change};

#[derive(Default)]
struct InMemory {
    applications: Mutex<Vec<StoredApplication>>,
    changes: Mutex<Vec<Change>>,
    down: AtomicBool,
    loads: Mutex<u32>,
}

impl InMemory {
    fn up(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable { operation: "Query", source: None }) } else { Ok(()) }
    }

    fn set(&self, id: &str, revoked: bool, merchants: &[u8]) {
        let mut applications = self.applications.lock();
        let mut changes = self.changes.lock();
        let revision = changes.last().map_or(1, |change| change.revision + 1);
        let id: ApplicationId = id.parse().unwrap();
        applications.retain(|stored| stored.record.id != id);
        applications.push(StoredApplication {
            record: ApplicationRecord {
                id: id.clone(),
                name: String::new(),
                secrets: vec![HashedSecret::new("secret", [0; 16])],
                revoked,
                not_before: Timestamp::default(),
                revision,
                created_at: Timestamp::default(),
            },
            grants: merchants
                .iter()
                .map(|byte| Grant { merchant: MerchantId::from_bytes([*byte; 16]), granted_at: Timestamp::default() })
                .collect(),
        });
        changes.push(Change { revision, application: id });
    }
}

impl ApplicationStore for InMemory {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async { self.up().map(|()| self.changes.lock().last().map_or(0, |change| change.revision)) }.boxed()
    }

    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        async move {
            self.up()?;
            Ok(self.changes.lock().iter().filter(|change| change.revision > revision).cloned().collect())
        }
        .boxed()
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        async move {
            self.up()?;
            *self.loads.lock() += 1;
            Ok(self.applications.lock().iter().find(|stored| stored.record.id == *id).cloned())
        }
        .boxed()
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        async { self.up().map(|()| self.applications.lock().clone()) }.boxed()
    }
}

struct Rig {
    directory: Directory,
    memory: Arc<InMemory>,
    store: SharedStore,
    progress: Progress,
}

impl Rig {
    fn new() -> Self {
        let memory = Arc::new(InMemory::default());
        Self { directory: Directory::default(), store: memory.clone(), memory, progress: Progress::default() }
    }

    async fn refresh(&mut self) -> Result<(), StoreError> {
        refresh(&self.directory, &self.store, &mut self.progress, Duration::ZERO).await
    }

    fn merchants(&self, id: &str) -> usize {
        let application = self.directory.find(&id.parse().unwrap());
        application.map_or(0, |application| application.access().scope.merchants().len())
    }
}

#[tokio::test]
async fn grants_are_read_again_only_when_their_application_changed() {
    let mut rig = Rig::new();
    rig.memory.set("one", false, &[1]);
    rig.memory.set("two", false, &[1, 2]);
    rig.refresh().await.unwrap();
    assert_eq!((rig.merchants("one"), rig.merchants("two")), (1, 2));
    rig.refresh().await.unwrap();
    assert_eq!(*rig.memory.loads.lock(), 0);
    rig.memory.set("one", false, &[1, 2, 3]);
    rig.memory.set("one", false, &[1, 2, 3, 4]);
    rig.refresh().await.unwrap();
    assert_eq!((rig.merchants("one"), *rig.memory.loads.lock()), (4, 1));
}

#[tokio::test]
async fn a_cached_application_sees_its_revocation_and_its_removal() {
    let mut rig = Rig::new();
    rig.memory.set("one", false, &[1]);
    rig.refresh().await.unwrap();
    let cached = rig.directory.find(&"one".parse().unwrap()).unwrap();
    assert!(cached.access().takes_token_of(Timestamp::from_unix_ms(1)));
    rig.memory.set("one", true, &[1]);
    rig.refresh().await.unwrap();
    assert!(!cached.access().takes_token_of(Timestamp::from_unix_ms(1)));
    assert!(!cached.access().takes_secret("secret", Timestamp::from_unix_ms(1)));
    rig.memory.set("one", false, &[1]);
    rig.refresh().await.unwrap();
    assert!(cached.access().takes_secret("secret", Timestamp::from_unix_ms(1)));
    rig.memory.applications.lock().clear();
    let revision = rig.memory.changes.lock().last().unwrap().revision + 1;
    rig.memory.changes.lock().push(Change { revision, application: "one".parse().unwrap() });
    rig.refresh().await.unwrap();
    assert!(!cached.access().takes_token_of(Timestamp::MAX) && cached.access().scope.merchants().is_empty());
}

#[tokio::test]
async fn what_is_known_survives_an_outage_and_a_hole_in_the_announcements() {
    let mut rig = Rig::new();
    assert!(!rig.directory.is_loaded());
    rig.memory.set("one", false, &[1]);
    rig.refresh().await.unwrap();
    assert!(rig.directory.is_loaded());
    rig.memory.down.store(true, Ordering::SeqCst);
    rig.memory.set("one", false, &[1, 2]);
    rig.memory.set("two", false, &[1, 2, 3]);
    assert!(rig.refresh().await.unwrap_err().is_retryable());
    assert_eq!(rig.merchants("one"), 1);
    rig.memory.down.store(false, Ordering::SeqCst);
    rig.memory.changes.lock().remove(1);
    rig.refresh().await.unwrap();
    assert_eq!((rig.merchants("one"), rig.merchants("two")), (2, 3), "the expired announcement was of one");
}
