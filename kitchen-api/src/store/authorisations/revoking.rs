//! Ending authorisations: a whole one, or one of its merchants. Announced, and so effective within 5 s.
//!
//! Called by the CLI, through [`Applications`]. Refresh tokens live in the item that is deleted and end with it.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem};
use order_model::{ApplicationId, MerchantId};

use super::items::{authorisation_item, authorisation_key, read_used_at};
use super::{ATTEMPT_PAUSE, ATTEMPTS, AuthorisationId, StoredAuthorisation};
use crate::store::requests::unavailable;
use crate::store::{ApplicationStore, Applications, StoreError};

impl Applications {
    /// Ends one authorisation with all its tokens.
    ///
    /// # Errors
    /// [`StoreError::UnknownAuthorisation`] when the application has no such authorisation.
    pub async fn revoke_authorisation(&self, id: &ApplicationId, which: AuthorisationId) -> Result<(), StoreError> {
        if self.keep_only(id, which, |_| false).await? { Ok(()) } else { Err(StoreError::UnknownAuthorisation) }
    }

    /// Takes merchants out of every authorisation; one that has none left ends.
    pub(in crate::store) async fn take_from_authorisations(
        &self,
        id: &ApplicationId,
        authorisations: &[StoredAuthorisation],
        merchants: &[MerchantId],
    ) -> Result<(), StoreError> {
        for stored in authorisations {
            if stored.grants.iter().any(|grant| merchants.contains(&grant.merchant)) {
                self.keep_only(id, stored.id, |merchant| !merchants.contains(&merchant)).await?;
            }
        }
        Ok(())
    }

    /// Leaves an authorisation the merchants that `keep` chooses; `false` when there is none.
    async fn keep_only(
        &self,
        id: &ApplicationId,
        which: AuthorisationId,
        keep: impl Fn(MerchantId) -> bool,
    ) -> Result<bool, StoreError> {
        for attempt in 1..=ATTEMPTS {
            let Some((stored, item)) = self.authorisation_and_item(id, which).await? else { return Ok(false) };
            let grants: Vec<_> = stored.grants.iter().filter(|grant| keep(grant.merchant)).copied().collect();
            let write = if grants.is_empty() {
                let delete =
                    Delete::builder().table_name(&self.table).set_key(Some(authorisation_key(id, which))).build();
                TransactWriteItem::builder().delete(delete.map_err(|error| unavailable("Delete", error))?)
            } else {
                let next = StoredAuthorisation { grants, version: stored.version + 1, ..stored.clone() };
                let next = authorisation_item(id, &next, read_used_at(&item)?);
                TransactWriteItem::builder().put(self.put_at(next, stored.version)?)
            };
            let revision = self.head().await? + 1;
            if self.commit(revision, id, Some(which), vec![write.build()]).await? {
                return Ok(true);
            }
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
        }
        Err(StoreError::Contended)
    }
}
