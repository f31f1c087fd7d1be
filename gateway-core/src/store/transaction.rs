//! The one transaction of a transition, and the one write of a message that changed nothing.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use order_model::lifecycle::DisputeId;
use order_model::{EvidenceId, OrderId, Timestamp};

use super::attributes::{Item, number, text};
use super::error::{StoreError, from_code, from_sdk};
use super::event_item::{self, StoredEvent};
use super::keys::evidence_key;
use super::message_item::{self, MessageRecord};
use super::queries::conditional;
use super::tables::PK;
use super::{Store, dispute_item, evidence_item, order_item};
use crate::codes::OrderBody;
use crate::disputes::DisputeRecord;
use crate::evidence::Evidence;
use crate::order::Order;
use crate::telemetry;

const OPERATION: &str = "commit";

/// Everything one transition writes.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    /// The order after it; its version is one more than the one decided on.
    pub(crate) order: Order,
    /// The version decided on; `None` when there was no order.
    pub(crate) expected_version: Option<u64>,
    /// The body, where it is new or changes.
    pub(crate) body: Option<OrderBody>,
    /// The new events, in sequence.
    pub(crate) events: Vec<StoredEvent>,
    /// The dispute that it opens.
    pub(crate) dispute: Option<(DisputeId, DisputeRecord)>,
    /// The files that come with that dispute.
    pub(crate) evidence: Vec<Evidence>,
    /// Files of earlier disputes that go.
    pub(crate) removed_evidence: Vec<EvidenceId>,
    /// What to remember of the message that asked for it.
    pub(crate) message: Option<MessageRecord>,
}

impl Transition {
    /// Has it write this body.
    pub(crate) fn write_body(&mut self, body: OrderBody) {
        self.order.body_version = self.order.version;
        self.body = Some(body);
    }
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitOutcome {
    /// It is stored.
    Committed,
    /// Nothing is stored: the order or the message is not as it was when it was decided. Load and decide again.
    Outdated,
}

impl Store {
    /// Commits `transition`, which was decided at `at`: all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] leaves open whether it was committed.
    pub(crate) async fn commit(&self, transition: &Transition, at: Timestamp) -> Result<CommitOutcome, StoreError> {
        let timer = telemetry::dependency("dynamodb", "transact_write");
        let answer =
            self.client.transact_write_items().set_transact_items(Some(self.writes(transition, at)?)).send().await;
        let outcome = match answer {
            Ok(_) => Ok(CommitOutcome::Committed),
            Err(error) => judge(error),
        };
        timer.result(&outcome);
        outcome
    }

    fn writes(&self, transition: &Transition, at: Timestamp) -> Result<Vec<TransactWriteItem>, StoreError> {
        let order = &transition.order;
        let item = order_item::encode(order);
        let mut writes = vec![match transition.expected_version {
            None => put(&self.orders, item, Condition::Absent(PK))?,
            Some(version) => put(&self.orders, item, Condition::Version(version))?,
        }];
        if let Some(body) = &transition.body {
            writes.push(put(&self.orders, order_item::encode_body(order, body), Condition::None)?);
        }
        for event in &transition.events {
            let item = event_item::encode(event, order.kept_until);
            writes.push(put(&self.events, item, Condition::Absent(super::tables::ORDER_ID))?);
        }
        if let Some((id, dispute)) = &transition.dispute {
            let item = dispute_item::encode(id, dispute);
            writes.push(put(&self.orders, item, Condition::NobodyElses(order.id, at))?);
        }
        for evidence in &transition.evidence {
            writes.push(put(&self.orders, evidence_item::encode(order, evidence), Condition::None)?);
        }
        for evidence in &transition.removed_evidence {
            writes.push(delete(&self.orders, evidence_key(order.id, *evidence))?);
        }
        if let Some(message) = &transition.message {
            writes.push(put(&self.orders, message_item::encode(message), Condition::Forgotten(at))?);
        }
        Ok(writes)
    }

    /// Remembers a message that changed nothing; `false` when it is remembered already.
    pub(crate) async fn remember(&self, message: &MessageRecord, at: Timestamp) -> Result<bool, StoreError> {
        let timer = telemetry::dependency("dynamodb", "put_item");
        let answer = self
            .client
            .put_item()
            .table_name(&self.orders)
            .set_item(Some(message_item::encode(message)))
            .condition_expression(FORGOTTEN)
            .expression_attribute_names("#key", PK)
            .expression_attribute_names("#expiresAt", message_item::EXPIRES_AT)
            .expression_attribute_values(":now", number(at.unix_ms()))
            .send()
            .await;
        conditional("remember message", timer, answer)
    }
}

/// A record past its time may still be there: DynamoDB's time to live is late by hours.
const FORGOTTEN: &str = "attribute_not_exists(#key) OR #expiresAt < :now";

enum Condition {
    None,
    /// No item with this key attribute.
    Absent(&'static str),
    /// The order as it was decided on.
    Version(u64),
    /// No dispute of this id, one of the same order, or one whose order is gone at this instant.
    NobodyElses(OrderId, Timestamp),
    /// No message record that still counts at this instant.
    Forgotten(Timestamp),
}

fn delete(table: &str, key: String) -> Result<TransactWriteItem, StoreError> {
    let delete = Delete::builder().table_name(table).key(PK, text(key)).build();
    let delete = delete.map_err(|_| StoreError::Refused { operation: OPERATION, code: "construction".to_owned() })?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}

fn put(table: &str, item: Item, condition: Condition) -> Result<TransactWriteItem, StoreError> {
    let put = Put::builder().table_name(table).set_item(Some(item));
    let put = match condition {
        Condition::None => put,
        Condition::Absent(key) => {
            put.condition_expression("attribute_not_exists(#key)").expression_attribute_names("#key", key)
        }
        Condition::Version(version) => put
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", order_item::VERSION)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string())),
        Condition::NobodyElses(order, at) => put
            .condition_expression("attribute_not_exists(#key) OR #order = :order OR #keptUntil <= :now")
            .expression_attribute_names("#keptUntil", dispute_item::KEPT_UNTIL)
            .expression_attribute_values(":now", number(at.unix_ms()))
            .expression_attribute_names("#key", PK)
            .expression_attribute_names("#order", dispute_item::ORDER)
            .expression_attribute_values(":order", AttributeValue::B(Blob::new(order.as_bytes().to_vec()))),
        Condition::Forgotten(at) => put
            .condition_expression(FORGOTTEN)
            .expression_attribute_names("#key", PK)
            .expression_attribute_names("#expiresAt", message_item::EXPIRES_AT)
            .expression_attribute_values(":now", number(at.unix_ms())),
    };
    let put = put.build().map_err(|_| StoreError::Refused { operation: OPERATION, code: "construction".to_owned() })?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// A cancelled transaction says why, item by item: a condition that does not hold or another transaction on the same
/// item means "decide again"; anything else is a failure.
fn judge(error: SdkError<TransactWriteItemsError, HttpResponse>) -> Result<CommitOutcome, StoreError> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return Err(from_sdk(OPERATION, error));
    };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    judge_codes(&codes)
}

fn judge_codes(codes: &[&str]) -> Result<CommitOutcome, StoreError> {
    let failure =
        codes.iter().find(|code| !matches!(**code, "None" | "ConditionalCheckFailed" | "TransactionConflict"));
    if codes.contains(&"ConditionalCheckFailed") {
        return Ok(CommitOutcome::Outdated);
    }
    match failure {
        // The names here lack the "Exception" that the same causes carry elsewhere.
        Some(&"ValidationError") => Err(from_code(OPERATION, "ValidationException")),
        Some(&"ItemCollectionSizeLimitExceeded") => {
            Err(from_code(OPERATION, "ItemCollectionSizeLimitExceededException"))
        }
        Some(code) => Err(from_code(OPERATION, code)),
        None => Ok(CommitOutcome::Outdated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_transaction_is_decided_again_only_when_something_changed() {
        assert_eq!(judge_codes(&["None", "ConditionalCheckFailed"]).unwrap(), CommitOutcome::Outdated);
        assert_eq!(judge_codes(&["TransactionConflict", "None"]).unwrap(), CommitOutcome::Outdated);
        assert!(judge_codes(&["None", "ThrottlingError"]).unwrap_err().is_retryable());
        assert!(!judge_codes(&["ValidationError"]).unwrap_err().is_retryable());
    }
}
