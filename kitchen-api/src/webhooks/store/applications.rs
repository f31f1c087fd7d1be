//! What is kept of each receiver beside its webhook: whether it fails, and which instance looks after it.
//!
//! Neither announces anything: health is written while requests fail, a lease several times a minute.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use order_model::{ApplicationId, Timestamp};

use super::item::{FORMAT, application_pk, instant, key, number, read_instant, read_optional_instant, read_text, text};
use super::{WebhookStore, WebhookStoreError};
use crate::store::requests::{send, send_or_unavailable, unavailable};

/// How a receiver does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Nothing has succeeded since.
    pub(crate) failing_since: Option<Timestamp>,
    /// The code of what failed last.
    pub(crate) last_failure: Option<String>,
    /// When something succeeded last, to a minute.
    pub(crate) succeeded_at: Option<Timestamp>,
}

impl WebhookStore {
    /// Notes a failure, and answers since when nothing has succeeded.
    pub(crate) async fn note_failure(
        &self,
        application: &ApplicationId,
        result: &str,
        now: Timestamp,
    ) -> Result<Timestamp, WebhookStoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(application_pk(application), "health")))
            .update_expression(
                "SET #format = :format, last_failure = :result, \
                 failing_since_ms = if_not_exists(failing_since_ms, :now)",
            )
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":result", text(result))
            .expression_attribute_values(":now", instant(now))
            .return_values(ReturnValue::AllNew);
        let updated = send_or_unavailable("UpdateItem", update.send()).await?;
        read_instant(&updated.attributes.unwrap_or_default(), "failing_since_ms")
    }

    /// Notes a success.
    pub(crate) async fn note_success(&self, id: &ApplicationId, now: Timestamp) -> Result<(), WebhookStoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(application_pk(id), "health")))
            .update_expression("SET #format = :format, succeeded_at_ms = :now REMOVE failing_since_ms")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":now", instant(now));
        send_or_unavailable("UpdateItem", update.send()).await?;
        Ok(())
    }

    /// How a receiver does.
    pub(crate) async fn health(&self, id: &ApplicationId) -> Result<Health, WebhookStoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(application_pk(id), "health")));
        let Some(item) = send_or_unavailable("GetItem", get.consistent_read(true).send()).await?.item else {
            return Ok(Health::default());
        };
        Ok(Health {
            failing_since: read_optional_instant(&item, "failing_since_ms")?,
            last_failure: read_text(&item, "last_failure").ok().map(str::to_owned),
            succeeded_at: read_optional_instant(&item, "succeeded_at_ms")?,
        })
    }

    /// Makes `holder` look after an application until `until`, unless somebody else does; whether it does now.
    pub(crate) async fn take_lease(
        &self,
        application: &ApplicationId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, WebhookStoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(application_pk(application), "lease")))
            .update_expression("SET #format = :format, holder = :holder, until_ms = :until")
            .condition_expression("attribute_not_exists(pk) OR holder = :holder OR until_ms <= :now")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":now", instant(now))
            .expression_attribute_values(":until", instant(until));
        match send("UpdateItem", update.send()).await? {
            Ok(_) => Ok(true),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }

    /// Claims the keep-alive that is due at `now` and says when the next is; whether one was due, and `holder` looks after the application.
    pub(crate) async fn claim_keepalive(
        &self,
        application: &ApplicationId,
        holder: &str,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<bool, WebhookStoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(application_pk(application), "lease")))
            .update_expression("SET next_keepalive_ms = :next")
            .condition_expression(
                "holder = :holder AND (attribute_not_exists(next_keepalive_ms) OR next_keepalive_ms <= :now)",
            )
            .expression_attribute_values(":holder", text(holder))
            .expression_attribute_values(":now", instant(now))
            .expression_attribute_values(":next", instant(next));
        match send("UpdateItem", update.send()).await? {
            Ok(_) => Ok(true),
            Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("UpdateItem", error).into()),
        }
    }
}
