//! The first half of the flow: an application opens a request, an owner or an operator approves it.
//!
//! Called through [`super::AuthorisationStore`] and by the CLI. An approval writes the authorisation and announces it, so that
//! every directory knows it by the time its code has been typed.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use order_model::{ApplicationId, MerchantId};
use secrecy::SecretString;

use super::codes::{self, UserCode};
use super::items::{authorisation_item, request_item};
use super::portal_keys::Counted;
use super::request::Request;
use super::{ATTEMPT_PAUSE, ATTEMPTS, AuthorisationId, StoredAuthorisation, grants_of};
use crate::store::records::{ApplicationRecord, HashedSecret, Kind, number};
use crate::store::requests::unavailable;
use crate::store::{ApplicationStore, Applications, StoreError};

/// Merchants of one authorisation: as many as a poll may name.
pub const MERCHANTS_MAX: usize = 500;

/// A request that was opened.
#[derive(Debug)]
pub struct Opened {
    /// What the owner types.
    pub user_code: UserCode,
    /// What the application keeps until it exchanges the authorization code; it cannot be read again.
    pub verifier: SecretString,
}

/// A request that was approved.
#[derive(Debug)]
pub struct Approved {
    /// Who asked.
    pub application: ApplicationId,
    /// What people call it.
    pub application_name: String,
    /// What it was given.
    pub authorisation: AuthorisationId,
    /// What the owner gives the application; it cannot be read again.
    pub code: SecretString,
}

/// What an attempt to approve with a portal key comes to.
#[derive(Debug)]
pub enum Activation {
    /// It is approved.
    Approved(Approved),
    /// The code or the key is not one that counts; which is not said.
    Refused,
    /// There were too many attempts with this code or for this merchant.
    TooMany {
        /// How many there may be.
        most: u32,
    },
}

impl Applications {
    /// Opens a request; `None` when too many were opened in these ten minutes.
    pub(super) async fn open_request(&self, application: &ApplicationId) -> Result<Option<Opened>, StoreError> {
        if !self.count(Counted::Opened(application.as_str())).await? {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            let user_code = UserCode::new(&self.entropy);
            let verifier = codes::verifier(&user_code, &self.entropy);
            let hashed = HashedSecret::new(&verifier, self.entropy.bytes());
            let request = Request::new(application.clone(), hashed, self.clock.now());
            // A code that is taken, or was and is not deleted yet, is not used again.
            if self.put_if(request_item(&user_code, &request), None).await? {
                return Ok(Some(Opened { user_code, verifier: SecretString::from(verifier) }));
            }
        }
        Err(StoreError::Contended)
    }

    /// Approves a request for `merchants`; `None` when it is unknown, has expired or was approved before.
    ///
    /// # Errors
    /// When DynamoDB does not answer, or there are no merchants or more than [`MERCHANTS_MAX`].
    pub async fn approve(&self, code: &UserCode, merchants: &[MerchantId]) -> Result<Option<Approved>, StoreError> {
        if merchants.is_empty() || merchants.len() > MERCHANTS_MAX {
            return Err(StoreError::Merchants { most: MERCHANTS_MAX });
        }
        for attempt in 1..=ATTEMPTS {
            let Some((request, record)) = self.open_request_of(code).await? else { return Ok(None) };
            if let Some(approved) = self.approve_once(code, &request, record, merchants).await? {
                return Ok(Some(approved));
            }
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Approves the request that was typed for the merchant whose key was typed.
    pub(super) async fn approve_with_key(&self, typed_code: &str, key: &str) -> Result<Activation, StoreError> {
        let (code, merchant) = (UserCode::read(typed_code), codes::merchant_of_portal_key(key));
        let (Some(code), Some(merchant)) = (code, merchant) else { return Ok(Activation::Refused) };
        let counts = [Counted::KeysOf(merchant), Counted::KeysWith(code.as_letters())];
        for counted in counts {
            if !self.count(counted).await? {
                return Ok(Activation::TooMany { most: counted.most() });
            }
        }
        // Both are looked at whatever the other is: how long it takes does not tell a key that counts from one that does not.
        let is_open = self.open_request_of(&code).await?.is_some();
        let is_its_key = self.takes_portal_key(merchant, key).await?;
        if !(is_open && is_its_key) {
            return Ok(Activation::Refused);
        }
        let approved = self.approve(&code, &[merchant]).await?;
        Ok(approved.map_or(Activation::Refused, Activation::Approved))
    }

    /// A request that can be approved, and its application.
    async fn open_request_of(&self, code: &UserCode) -> Result<Option<(Request, ApplicationRecord)>, StoreError> {
        let now = self.clock.now();
        let Some(request) = self.request(code).await?.filter(|request| request.is_open(now)) else { return Ok(None) };
        let record = self.record(&request.application).await?;
        let counts = |record: &ApplicationRecord| !record.revoked && record.kind == Kind::Distributed;
        Ok(record.filter(counts).map(|record| (request, record)))
    }

    /// `None`: somebody else has changed the request or the table meanwhile.
    async fn approve_once(
        &self,
        code: &UserCode,
        request: &Request,
        record: ApplicationRecord,
        merchants: &[MerchantId],
    ) -> Result<Option<Approved>, StoreError> {
        let now = self.clock.now();
        let id = AuthorisationId::new(&self.entropy);
        let shown = codes::authorization_code(&self.entropy);
        let hashed = HashedSecret::new(&codes::typed_authorization_code(&shown), self.entropy.bytes());
        let Some(next) = request.approved(now, id, hashed) else { return Ok(None) };
        let authorisation = StoredAuthorisation::new(id, grants_of(merchants, now), now);
        let put = |put: Put| TransactWriteItem::builder().put(put).build();
        let authorisation = Put::builder()
            .table_name(&self.table)
            .set_item(Some(authorisation_item(&record.id, &authorisation, now)))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| unavailable("Put", error))?;
        let items = vec![put(authorisation), put(self.put_at(request_item(code, &next), request.version)?)];
        let revision = self.head().await? + 1;
        let is_done = self.commit(revision, &record.id, Some(id), items).await?;
        Ok(is_done.then(|| Approved {
            application: record.id,
            application_name: record.name,
            authorisation: id,
            code: SecretString::from(shown),
        }))
    }

    /// A put that fails when the item is not at `version` any more.
    pub(super) fn put_at(&self, item: crate::store::records::Item, version: u64) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(version))
            .build()
            .map_err(|error| unavailable("Put", error).into())
    }
}
