//! Transactions on the catalog's table, and what was in the way of one that did not go through.
//!
//! Used by the rest of `store`; other requests are sent as those to any table, see [`crate::store::requests`].

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{CatalogError, CatalogTable};
use crate::store::requests::{Unavailable, send, unavailable};

impl From<Unavailable> for CatalogError {
    fn from(Unavailable { operation, source }: Unavailable) -> Self {
        Self::Unavailable { operation, source }
    }
}

/// Whether a transaction went through, and what was in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transacted {
    Done,
    /// Somebody else was at the same items, or a condition does not hold any more.
    Refused {
        /// The condition of the first item is among those that do not hold.
        first_condition: bool,
    },
}

impl CatalogTable {
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, CatalogError> {
        const NAME: &str = "TransactWriteItems";
        let transaction = self.client.transact_write_items().set_transact_items(Some(items));
        match send(NAME, transaction.send()).await? {
            Ok(_) => Ok(Transacted::Done),
            Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                let codes: Vec<&str> =
                    cancelled.cancellation_reasons().iter().map(|reason| reason.code().unwrap_or_default()).collect();
                if codes
                    .iter()
                    .any(|code| !["None", "", "ConditionalCheckFailed", "TransactionConflict"].contains(code))
                {
                    return Err(unavailable(NAME, cancelled).into());
                }
                Ok(Transacted::Refused { first_condition: codes.first() == Some(&"ConditionalCheckFailed") })
            }
            Err(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Ok(Transacted::Refused { first_condition: false })
            }
            Err(error) => Err(unavailable(NAME, error).into()),
        }
    }
}
