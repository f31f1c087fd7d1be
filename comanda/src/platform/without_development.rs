//! The applications of production: whatever `dev` seeds with a published secret does not exist there.
//!
//! A table that was once used by `dev` may hold `dev-pos`; everybody knows its secret. Wrapped around the store that
//! kitchen-api reads when it is run by `comanda run`.

use futures::future::BoxFuture;
use kitchen_api::store::{
    ApplicationStore, AuthorisationId, Change, StoreError, StoredApplication, StoredAuthorisation,
};
use order_model::ApplicationId;

/// Ids of development applications start with this.
const DEVELOPMENT_PREFIX: &str = "dev-";

/// A store without development applications.
pub struct WithoutDevelopment<S> {
    store: S,
}

impl<S> WithoutDevelopment<S> {
    /// Around `store`.
    pub fn new(store: S) -> Self {
        Self { store }
    }
}

fn counts(application: &ApplicationId) -> bool {
    !application.as_str().starts_with(DEVELOPMENT_PREFIX)
}

impl<S: ApplicationStore> ApplicationStore for WithoutDevelopment<S> {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.head()
    }

    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        // The directory counts changes to know whether it has seen them all; what they name is filtered when loaded.
        self.store.changes_after(revision)
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        Box::pin(async move { if counts(id) { self.store.load(id).await } else { Ok(None) } })
    }

    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        Box::pin(async move {
            if counts(application) { self.store.load_authorisation(application, id).await } else { Ok(None) }
        })
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        Box::pin(async move {
            let mut all = self.store.load_all().await?;
            all.retain(|application| counts(&application.record.id));
            Ok(all)
        })
    }
}
