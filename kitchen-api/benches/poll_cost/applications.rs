//! One application that may see every merchant, in memory.

use event_feed::Grant;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kitchen_api::store::{
    ApplicationRecord, ApplicationStore, AuthorisationId, Change, HashedSecret, Kind, StoreError, StoredApplication,
    StoredAuthorisation,
};
use order_model::{ApplicationId, MerchantId, Timestamp};

/// Its client id.
pub const CLIENT_ID: &str = "pos";
/// Its secret.
pub const SECRET: &str = "pos-secret";

/// The table.
pub struct OneApplication {
    application: StoredApplication,
}

impl OneApplication {
    pub fn new(merchants: &[MerchantId]) -> Self {
        let record = ApplicationRecord {
            id: CLIENT_ID.parse().unwrap(),
            name: CLIENT_ID.to_owned(),
            kind: Kind::Centralised,
            secrets: vec![HashedSecret::new(SECRET, [1; 16])],
            revoked: false,
            not_before: Timestamp::default(),
            authorised_from: Timestamp::default(),
            revoked_tokens: std::collections::BTreeSet::new(),
            modules: kitchen_api::Modules::ALL,
            open_delivery_version: kitchen_api::OpenDeliveryVersion::default(),
            revision: 1,
            created_at: Timestamp::default(),
        };
        let grant = |&merchant: &MerchantId| Grant { merchant, granted_at: Timestamp::from_unix_ms(1_790_000_000_000) };
        let grants = merchants.iter().map(grant).collect();
        Self { application: StoredApplication { record, grants, authorisations: Vec::new() } }
    }
}

impl ApplicationStore for OneApplication {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        ready(Ok(1)).boxed()
    }

    fn changes_after(&self, _: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        let found = (self.application.record.id == *id).then(|| self.application.clone());
        ready(Ok(found)).boxed()
    }

    fn load_authorisation<'a>(
        &'a self,
        _: &'a ApplicationId,
        _: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        ready(Ok(None)).boxed()
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        ready(Ok(vec![self.application.clone()])).boxed()
    }
}
