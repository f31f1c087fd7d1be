//! Writes a change of an application together with the revision that announces it, all or nothing.
//!
//! Used by whatever changes what the directory reads. Trying again is the caller's: it has to decide again first.

use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use order_model::ApplicationId;

use super::changes::{DIRECTORY_PK, HEAD_SK, change_sk};
use super::records::{FORMAT, key, number, text};
use super::requests::{send, unavailable};
use super::table::EXPIRES_AT;
use super::{Applications, AuthorisationId, StoreError};

/// How long a change can be read by revision; a directory that was cut off for longer reads everything.
const CHANGES_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl Applications {
    /// Writes `items` with the revision and its announcement; `false` when somebody else took the revision, or an item is not
    /// what it was a moment ago.
    pub(super) async fn commit(
        &self,
        revision: u64,
        id: &ApplicationId,
        authorisation: Option<AuthorisationId>,
        items: Vec<TransactWriteItem>,
    ) -> Result<bool, StoreError> {
        let mut all = self.announcement(id, authorisation, revision)?;
        all.extend(items);
        let transaction = self.client.transact_write_items().set_transact_items(Some(all));
        match send("TransactWriteItems", transaction.send()).await? {
            Ok(_) => Ok(true),
            Err(
                TransactWriteItemsError::TransactionCanceledException(_)
                | TransactWriteItemsError::TransactionInProgressException(_),
            ) => Ok(false),
            Err(error) => Err(unavailable("TransactWriteItems", error).into()),
        }
    }

    fn announcement(
        &self,
        id: &ApplicationId,
        authorisation: Option<AuthorisationId>,
        revision: u64,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let head = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(text(DIRECTORY_PK), HEAD_SK)))
            .update_expression("SET revision = :next, #format = :format")
            .condition_expression("attribute_not_exists(pk) OR revision = :current")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":next", number(revision))
            .expression_attribute_values(":current", number(revision - 1))
            .expression_attribute_values(":format", number(FORMAT))
            .build()
            .map_err(|error| unavailable("Update", error))?;
        let mut change = key(text(DIRECTORY_PK), &change_sk(revision));
        change.insert("format".to_owned(), number(FORMAT));
        change.insert("application".to_owned(), text(id.as_str()));
        if let Some(authorisation) = authorisation {
            change.insert("authorisation".to_owned(), text(&authorisation.to_string()));
        }
        change.insert(EXPIRES_AT.to_owned(), number(self.clock.now().plus(CHANGES_KEPT).unix_s_ceil()));
        let change = Put::builder()
            .table_name(&self.table)
            .set_item(Some(change))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(|error| unavailable("Put", error))?;
        Ok(vec![TransactWriteItem::builder().update(head).build(), TransactWriteItem::builder().put(change).build()])
    }
}
