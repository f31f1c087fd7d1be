//! Webhooks as items: read, written and removed. Each change and the revision that announces it are one transaction.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use order_model::ApplicationId;
use secrecy::{ExposeSecret, SecretString};

use super::item::{
    FORMAT, Item, check_format, extend, instant, key, malformed, number, read_bool, read_counter, read_instant,
    read_optional_instant, read_parsed, read_text, text,
};
use super::{WebhookStore, WebhookStoreError};
use crate::store::requests::{send, send_or_unavailable, unavailable};
use crate::webhooks::dialect::Dialect;
use crate::webhooks::subscription::{PauseReason, PresenceMode, Subscription};

const SUBSCRIPTIONS_PK: &str = "subscriptions";
/// With a space, which no client id has.
const HEAD_SK: &str = "the head";
/// How often a transaction is sent again that met another one at the head.
const ATTEMPTS: u32 = 10;
/// The pause before another attempt, times the attempt's number.
const ATTEMPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

impl WebhookStore {
    /// The newest revision; 0 when nothing was ever stored.
    pub(crate) async fn revision(&self) -> Result<u64, WebhookStoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(SUBSCRIPTIONS_PK, HEAD_SK)));
        match send_or_unavailable("GetItem", get.consistent_read(true).send()).await?.item {
            Some(item) => read_counter(&item, "revision"),
            None => Ok(0),
        }
    }

    /// Every webhook there is.
    pub(crate) async fn subscriptions(&self) -> Result<Vec<Subscription>, WebhookStoreError> {
        let mut all = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(SUBSCRIPTIONS_PK))
                .set_exclusive_start_key(start)
                .consistent_read(true);
            let page = send_or_unavailable("Query", query.send()).await?;
            for item in page.items.unwrap_or_default() {
                if read_text(&item, "sk")? != HEAD_SK {
                    all.push(read(&item)?);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(all);
            }
        }
    }

    /// The webhook of one application.
    pub(crate) async fn subscription(&self, id: &ApplicationId) -> Result<Option<Subscription>, WebhookStoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key(SUBSCRIPTIONS_PK, id.as_str())));
        let item = send_or_unavailable("GetItem", get.consistent_read(true).send()).await?.item;
        item.map(|item| read(&item)).transpose()
    }

    /// Writes a webhook where the one there is has the version before; whether that was so.
    pub(crate) async fn put_subscription(&self, webhook: &Subscription) -> Result<bool, WebhookStoreError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(write(webhook)));
        let put = match webhook.version {
            1 => put.condition_expression("attribute_not_exists(pk)"),
            version => put
                .condition_expression("#version = :before")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":before", number(version - 1)),
        };
        let put = put.build().map_err(|error| unavailable("Put", error))?;
        self.change(&TransactWriteItem::builder().put(put).build()).await
    }

    /// Removes a webhook; whether there was one.
    pub(crate) async fn remove_subscription(&self, id: &ApplicationId) -> Result<bool, WebhookStoreError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(SUBSCRIPTIONS_PK, id.as_str())))
            .condition_expression("attribute_exists(pk)")
            .build()
            .map_err(|error| unavailable("Delete", error))?;
        self.change(&TransactWriteItem::builder().delete(delete).build()).await
    }

    /// Makes one change and announces it; whether its condition held.
    async fn change(&self, change: &TransactWriteItem) -> Result<bool, WebhookStoreError> {
        let head = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(SUBSCRIPTIONS_PK, HEAD_SK)))
            .update_expression("SET #format = :format ADD revision :one")
            .expression_attribute_names("#format", "format")
            .expression_attribute_values(":format", number(FORMAT))
            .expression_attribute_values(":one", number(1))
            .build()
            .map_err(|error| unavailable("Update", error))?;
        let head = TransactWriteItem::builder().update(head).build();
        for attempt in 1..=ATTEMPTS {
            let transaction = self.client.transact_write_items().transact_items(change.clone());
            match send("TransactWriteItems", transaction.transact_items(head.clone()).send()).await? {
                Ok(_) => return Ok(true),
                Err(TransactWriteItemsError::TransactionCanceledException(error)) => {
                    let reasons = error.cancellation_reasons();
                    if reasons.first().and_then(|reason| reason.code()) == Some("ConditionalCheckFailed") {
                        return Ok(false);
                    }
                    tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                }
                Err(TransactWriteItemsError::TransactionInProgressException(_)) => {
                    tokio::time::sleep(ATTEMPT_PAUSE * attempt).await;
                }
                Err(error) => return Err(unavailable("TransactWriteItems", error).into()),
            }
        }
        Err(WebhookStoreError::Contended)
    }
}

pub(super) fn write(webhook: &Subscription) -> Item {
    let mut item = key(SUBSCRIPTIONS_PK, webhook.application.as_str());
    extend(
        &mut item,
        [
            ("format", number(FORMAT)),
            ("url", text(webhook.url.as_str())),
            ("dialect", text(webhook.dialect.name())),
            ("presence", text(webhook.presence.name())),
            ("acknowledges", AttributeValue::Bool(webhook.acknowledges)),
            ("secret", text(webhook.secret.expose_secret())),
            ("version", number(webhook.version)),
            ("created_at_ms", instant(webhook.created_at)),
            ("updated_at_ms", instant(webhook.updated_at)),
        ],
    );
    if let Some((secret, until)) = &webhook.previous_secret {
        extend(&mut item, [("previous_secret", text(secret.expose_secret())), ("previous_until_ms", instant(*until))]);
    }
    if let Some((reason, at)) = webhook.paused {
        extend(&mut item, [("paused_reason", text(reason.name())), ("paused_at_ms", instant(at))]);
    }
    if let Some(at) = webhook.resumed_at {
        extend(&mut item, [("resumed_at_ms", instant(at))]);
    }
    item
}

pub(super) fn read(item: &Item) -> Result<Subscription, WebhookStoreError> {
    check_format(item)?;
    let secret = |field| read_text(item, field).map(|text| SecretString::from(text.to_owned()));
    let previous_secret = match read_optional_instant(item, "previous_until_ms")? {
        Some(until) => Some((secret("previous_secret")?, until)),
        None => None,
    };
    let paused = match read_optional_instant(item, "paused_at_ms")? {
        Some(at) => Some((read_parsed(item, "paused_reason", PauseReason::parse)?, at)),
        None => None,
    };
    Ok(Subscription {
        application: read_text(item, "sk")?.parse().map_err(|_| malformed("sk"))?,
        url: read_text(item, "url")?.to_owned(),
        dialect: read_parsed(item, "dialect", Dialect::parse)?,
        presence: read_parsed(item, "presence", PresenceMode::parse)?,
        acknowledges: read_bool(item, "acknowledges")?,
        secret: secret("secret")?,
        previous_secret,
        paused,
        resumed_at: read_optional_instant(item, "resumed_at_ms")?,
        version: read_counter(item, "version")?,
        created_at: read_instant(item, "created_at_ms")?,
        updated_at: read_instant(item, "updated_at_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use order_model::Timestamp;

    use super::*;
    use crate::webhooks::subscription::tests::subscription;

    #[test]
    fn a_webhook_survives_its_item() {
        let at = Timestamp::from_unix_ms(7);
        let mut webhook = subscription(Dialect::Standard);
        assert_eq!(format!("{:?}", read(&write(&webhook)).unwrap()), format!("{webhook:?}"));
        webhook.previous_secret = Some((SecretString::from("old".to_owned()), at));
        webhook.paused = Some((PauseReason::Failing, at));
        webhook.resumed_at = Some(at);
        let read = read(&write(&webhook)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{webhook:?}"));
        assert_eq!(read.secret.expose_secret(), webhook.secret.expose_secret());
        assert_eq!(read.previous_secret.unwrap().0.expose_secret(), "old");
    }
}
