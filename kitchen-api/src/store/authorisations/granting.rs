//! The second half of the flow: tokens against an authorization code, and against a refresh token.
//!
//! Called through [`super::AuthorisationStore`]. What is answered was stored before, under the version that was read: a code or a
//! token that two send at once is decided twice.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use order_model::Timestamp;
use secrecy::SecretString;

use super::codes::{self, UserCode};
use super::items::{authorisation_item, request_item};
use super::refresh_tokens::RefreshTokens;
use super::request::{Exchange, Request};
use super::{ATTEMPT_PAUSE, ATTEMPTS, AuthorisationId, Client, Granted, StoredAuthorisation};
use crate::store::records::{HashedSecret, Item, number};
use crate::store::requests::{send, unavailable};
use crate::store::{Applications, StoreError};

/// What one attempt at a step came to.
enum Step {
    Granted(Granted),
    Refused,
    /// Somebody else has written the item meanwhile.
    Overtaken,
}

/// Tokens about to be given: what the authorisation becomes, and the refresh token.
struct Next {
    authorisation: StoredAuthorisation,
    version_before: u64,
    token: String,
}

impl Applications {
    pub(super) async fn exchange_code(
        &self,
        client: &Client,
        verifier: &str,
        code: &str,
    ) -> Result<Option<Granted>, StoreError> {
        let Some(user_code) = codes::user_code_of_verifier(verifier) else { return Ok(None) };
        for attempt in 1..=ATTEMPTS {
            match self.exchange_once(client, &user_code, verifier, code).await? {
                Step::Granted(granted) => return Ok(Some(granted)),
                Step::Refused => return Ok(None),
                Step::Overtaken => tokio::time::sleep(ATTEMPT_PAUSE * attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    async fn exchange_once(
        &self,
        client: &Client,
        user_code: &UserCode,
        verifier: &str,
        code: &str,
    ) -> Result<Step, StoreError> {
        let now = self.clock.now();
        let Some(request) = self.request(user_code).await? else { return Ok(Step::Refused) };
        match request.exchange(now, &client.application, verifier, code) {
            Exchange::Refused => Ok(Step::Refused),
            Exchange::Counted(next) => {
                let is_counted = self.put_if(request_item(user_code, &next), Some(request.version)).await?;
                Ok(if is_counted { Step::Refused } else { Step::Overtaken })
            }
            Exchange::Granted { next, authorisation } => {
                self.grant_for(client, (user_code, &next, request.version), authorisation, now).await
            }
        }
    }

    /// Gives the tokens of an exchange that the request allows, if its authorisation still stands.
    async fn grant_for(
        &self,
        client: &Client,
        (user_code, request, version_before): (&UserCode, &Request, u64),
        id: AuthorisationId,
        now: Timestamp,
    ) -> Result<Step, StoreError> {
        let next = |refresh: &RefreshTokens, new| refresh.exchanged(now, new);
        let Some(next) = self.next_tokens(client, id, next).await? else { return Ok(Step::Refused) };
        let puts = [
            self.put_at(request_item(user_code, request), version_before)?,
            self.put_at(authorisation_item(&client.application, &next.authorisation, now), next.version_before)?,
        ];
        let items = puts.map(|put| TransactWriteItem::builder().put(put).build()).to_vec();
        let transaction = self.client.transact_write_items().set_transact_items(Some(items));
        match send("TransactWriteItems", transaction.send()).await? {
            Ok(_) => Ok(Step::Granted(next.granted())),
            Err(
                TransactWriteItemsError::TransactionCanceledException(_)
                | TransactWriteItemsError::TransactionInProgressException(_),
            ) => Ok(Step::Overtaken),
            Err(error) => Err(unavailable("TransactWriteItems", error).into()),
        }
    }

    pub(super) async fn refresh_token(&self, client: &Client, sent: &str) -> Result<Option<Granted>, StoreError> {
        let Some(id) = codes::authorisation_of_refresh_token(sent) else { return Ok(None) };
        for attempt in 1..=ATTEMPTS {
            let now = self.clock.now();
            let next = |refresh: &RefreshTokens, new| refresh.refreshed(now, sent, new);
            let Some(next) = self.next_tokens(client, id, next).await? else { return Ok(None) };
            let item = authorisation_item(&client.application, &next.authorisation, now);
            if self.put_if(item, Some(next.version_before)).await? {
                return Ok(Some(next.granted()));
            }
            tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// What the client's authorisation becomes by `next`; `None` when there is none that stands, or `next` refuses.
    async fn next_tokens(
        &self,
        client: &Client,
        id: AuthorisationId,
        next: impl FnOnce(&RefreshTokens, HashedSecret) -> Option<RefreshTokens>,
    ) -> Result<Option<Next>, StoreError> {
        let stored = self.authorisation(&client.application, id).await?;
        let stands = |stored: &StoredAuthorisation| stored.created_at >= client.authorised_from;
        let Some(stored) = stored.filter(stands) else { return Ok(None) };
        let token = codes::refresh_token(id, &self.entropy);
        let Some(refresh) = next(&stored.refresh, HashedSecret::new(&token, self.entropy.bytes())) else {
            return Ok(None);
        };
        let version_before = stored.version;
        let authorisation = StoredAuthorisation { refresh, version: version_before + 1, ..stored };
        Ok(Some(Next { authorisation, version_before, token }))
    }

    /// Writes an item that must be at `version`, or must not be there; `false` when it is not so.
    pub(super) async fn put_if(&self, item: Item, version: Option<u64>) -> Result<bool, StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match version {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", number(version)),
        };
        match send("PutItem", put.send()).await? {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }
}

impl Next {
    fn granted(self) -> Granted {
        Granted { authorisation: self.authorisation.id, refresh_token: SecretString::from(self.token) }
    }
}
