//! Applications in memory, which tests change while the service follows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use event_feed::Grant;
use futures::FutureExt;
use futures::future::BoxFuture;
use kitchen_api::store::{
    ApplicationRecord, ApplicationStore, AuthorisationId, Change, HashedSecret, Kind, StoreError, StoredApplication,
    StoredAuthorisation,
};
use order_model::{ApplicationId, MerchantId, Timestamp};
use parking_lot::Mutex;

/// Applications in memory.
#[derive(Default)]
pub struct InMemoryApplications {
    state: Mutex<(Vec<StoredApplication>, Vec<Change>)>,
    pub down: AtomicBool,
    /// How often changes were asked for.
    pub looks: AtomicU32,
}

impl InMemoryApplications {
    fn up(&self) -> Result<(), StoreError> {
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(StoreError::Unavailable { operation: "Query", source: None }) } else { Ok(()) }
    }

    /// Creates or replaces an application.
    pub fn put(&self, id: &str, secret: &str, merchants: &[MerchantId]) {
        self.change(id, |stored| {
            stored.record.secrets = vec![HashedSecret::new(secret, [1; 16])];
            let granted_at = Timestamp::from_unix_ms(1_790_000_000_000);
            stored.grants = merchants.iter().map(|&merchant| Grant { merchant, granted_at }).collect();
        });
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut StoredApplication)) {
        let id: ApplicationId = id.parse().unwrap();
        let (applications, changes) = &mut *self.state.lock();
        let revision = changes.last().map_or(1, |change| change.revision + 1);
        if !applications.iter().any(|stored| stored.record.id == id) {
            let record = ApplicationRecord {
                id: id.clone(),
                name: String::new(),
                kind: Kind::Centralised,
                secrets: Vec::new(),
                revoked: false,
                not_before: Timestamp::default(),
                authorised_from: Timestamp::default(),
                revoked_tokens: BTreeSet::new(),
                modules: kitchen_api::Modules::ALL,
                open_delivery_version: kitchen_api::OpenDeliveryVersion::default(),
                revision,
                created_at: Timestamp::default(),
            };
            applications.push(StoredApplication { record, grants: Vec::new(), authorisations: Vec::new() });
        }
        change(applications.iter_mut().find(|stored| stored.record.id == id).unwrap());
        changes.push(Change { revision, application: id, authorisation: None });
    }
}

impl ApplicationStore for InMemoryApplications {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        async { self.up().map(|()| self.state.lock().1.last().map_or(0, |change| change.revision)) }.boxed()
    }

    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        async move {
            self.looks.fetch_add(1, Ordering::SeqCst);
            self.up()?;
            Ok(self.state.lock().1.iter().filter(|change| change.revision > revision).cloned().collect())
        }
        .boxed()
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        async move {
            self.up()?;
            Ok(self.state.lock().0.iter().find(|stored| stored.record.id == *id).cloned())
        }
        .boxed()
    }

    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        async move {
            let stored = self.load(application).await?;
            Ok(stored.and_then(|stored| stored.authorisations.into_iter().find(|one| one.id == id)))
        }
        .boxed()
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        async { self.up().map(|()| self.state.lock().0.clone()) }.boxed()
    }
}
