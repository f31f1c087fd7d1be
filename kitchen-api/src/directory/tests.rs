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
    authorisation_loads: Mutex<u32>,
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
                kind: Kind::Centralised,
                secrets: vec![HashedSecret::new("secret", [0; 16])],
                revoked,
                not_before: Timestamp::default(),
                authorised_from: Timestamp::default(),
                revoked_tokens: std::collections::BTreeSet::new(),
                modules: Modules::ALL,
                open_delivery_version: OpenDeliveryVersion::default(),
                revision,
                created_at: Timestamp::default(),
            },
            grants: merchants
                .iter()
                .map(|byte| Grant { merchant: MerchantId::from_bytes([*byte; 16]), granted_at: Timestamp::default() })
                .collect(),
            authorisations: Vec::new(),
        });
        changes.push(Change { revision, application: id, authorisation: None });
    }
}

impl InMemory {
    /// Gives an authorisation of `id` these merchants; none: it is gone.
    fn authorise(&self, id: &str, authorisation: AuthorisationId, merchants: &[u8]) {
        let mut applications = self.applications.lock();
        let mut changes = self.changes.lock();
        let revision = changes.last().map_or(1, |change| change.revision + 1);
        let application: ApplicationId = id.parse().unwrap();
        let stored = applications.iter_mut().find(|stored| stored.record.id == application).unwrap();
        stored.record.kind = Kind::Distributed;
        stored.authorisations.retain(|one| one.id != authorisation);
        if !merchants.is_empty() {
            let at = Timestamp::from_unix_ms(5);
            let grant = |byte: &u8| Grant { merchant: MerchantId::from_bytes([*byte; 16]), granted_at: at };
            let grants = merchants.iter().map(grant).collect();
            stored.authorisations.push(StoredAuthorisation::new(authorisation, grants, at));
        }
        changes.push(Change { revision, application, authorisation: Some(authorisation) });
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

    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        async move {
            self.up()?;
            *self.authorisation_loads.lock() += 1;
            let applications = self.applications.lock();
            let stored = applications.iter().find(|stored| stored.record.id == *application);
            Ok(stored.and_then(|stored| stored.authorisations.iter().find(|one| one.id == id)).cloned())
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
    assert!(cached.access().takes_tokens_of(Timestamp::from_unix_ms(1)));
    rig.memory.set("one", true, &[1]);
    rig.refresh().await.unwrap();
    assert!(!cached.access().takes_tokens_of(Timestamp::from_unix_ms(1)));
    assert!(!cached.access().takes_secret("secret", Timestamp::from_unix_ms(1)));
    rig.memory.set("one", false, &[1]);
    rig.refresh().await.unwrap();
    assert!(cached.access().takes_secret("secret", Timestamp::from_unix_ms(1)));
    rig.memory.applications.lock().clear();
    let revision = rig.memory.changes.lock().last().unwrap().revision + 1;
    rig.memory.changes.lock().push(Change { revision, application: "one".parse().unwrap(), authorisation: None });
    rig.refresh().await.unwrap();
    assert!(!cached.access().takes_tokens_of(Timestamp::MAX) && cached.access().scope.merchants().is_empty());
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

#[tokio::test]
async fn an_authorisation_is_read_alone_and_sees_its_own_merchants_until_it_is_gone() {
    let mut rig = Rig::new();
    let (first, second): (AuthorisationId, AuthorisationId) =
        ("01".repeat(16).parse().unwrap(), "02".repeat(16).parse().unwrap());
    let pos: ApplicationId = "pos".parse().unwrap();
    rig.memory.set("pos", false, &[9]);
    rig.memory.set("other", false, &[9]);
    rig.memory.applications.lock()[0].record.kind = Kind::Distributed;
    rig.refresh().await.unwrap();
    rig.memory.authorise("pos", first, &[1]);
    rig.memory.authorise("pos", second, &[2, 3]);
    rig.refresh().await.unwrap();
    assert_eq!((*rig.memory.loads.lock(), *rig.memory.authorisation_loads.lock()), (0, 2));
    let of = |rig: &Rig, id| rig.directory.find_authorisation(&pos, id).map(|one| one.access().scope.merchants().len());
    assert_eq!((of(&rig, first), of(&rig, second)), (Some(1), Some(2)));
    assert!(rig.directory.find_authorisation(&"other".parse().unwrap(), first).is_none(), "it is another's");
    let cached = rig.directory.find_authorisation(&pos, first).unwrap();
    let application = rig.directory.find(&pos).unwrap();
    assert!(cached.access().counts_for(&application.access()));
    rig.memory.authorise("pos", first, &[]);
    rig.memory.authorise("pos", second, &[2]);
    rig.refresh().await.unwrap();
    assert_eq!((of(&rig, first), of(&rig, second)), (None, Some(1)));
    assert!(!cached.access().counts_for(&application.access()) && cached.access().scope.merchants().is_empty());
    let cached = rig.directory.find_authorisation(&pos, second).unwrap();
    rig.memory.set("pos", false, &[]);
    rig.refresh().await.unwrap();
    assert_eq!(of(&rig, second), None, "an application that is read whole takes along what it has not any more");
    assert!(!cached.access().counts_for(&rig.directory.find(&pos).unwrap().access()));
}
