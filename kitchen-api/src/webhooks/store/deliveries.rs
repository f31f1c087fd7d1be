//! Deliveries: recorded once, taken and ended where nobody else did in between, listed by what they wait for.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::Select;
use futures::future::try_join_all;
use order_model::{ApplicationId, EventId, Timestamp};

use super::delivery_item::{delivery_pk, read, write};
use super::item::{AT_MS, DUE_INDEX, Item, LANE, instant, key, number, read_instant, read_parsed, text};
use super::{WebhookStore, WebhookStoreError};
use crate::store::requests::{send, send_or_unavailable, unavailable};
use crate::webhooks::delivery::Delivery;

/// What is counted at most: beyond it "at least so many" is enough to know.
pub(crate) const COUNTED_MAX: i32 = 1_000;

/// Which deliveries of an application the index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// By when they are due.
    Waiting,
    /// By when they died.
    Dead,
}

impl Lane {
    /// The index's key.
    pub(super) fn key(self, application: &ApplicationId) -> String {
        match self {
            Self::Waiting => format!("waiting#{application}"),
            Self::Dead => format!("dead#{application}"),
        }
    }
}

/// Whether a delivery was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    New,
    Known,
}

/// How many deliveries wait or are dead, and since when the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// At most [`COUNTED_MAX`].
    pub(crate) count: usize,
    pub(crate) first_at: Option<Timestamp>,
}

/// Some deliveries, newest event first, and where the next page begins.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryPage {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) next: Option<EventId>,
}

impl WebhookStore {
    /// Records a delivery unless it was recorded before.
    pub(crate) async fn record(&self, delivery: &Delivery, now: Timestamp) -> Result<Recorded, WebhookStoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(write(delivery, now)));
        match send("PutItem", put.condition_expression("attribute_not_exists(pk)").send()).await? {
            Ok(_) => Ok(Recorded::New),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(Recorded::Known),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }

    /// Writes a delivery where the one there is has the version `before`; whether that was so.
    pub(crate) async fn replace(
        &self,
        delivery: &Delivery,
        before: u64,
        now: Timestamp,
    ) -> Result<bool, WebhookStoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(write(delivery, now)))
            .condition_expression("#version = :before")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":before", number(before));
        match send("PutItem", put.send()).await? {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable("PutItem", error).into()),
        }
    }

    /// One delivery.
    pub(crate) async fn delivery(
        &self,
        application: &ApplicationId,
        event: EventId,
    ) -> Result<Option<Delivery>, WebhookStoreError> {
        let key = key(delivery_pk(application), event.to_string());
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        send_or_unavailable("GetItem", get.send()).await?.item.map(|item| read(&item)).transpose()
    }

    /// The events of a lane up to `until`, those first that are there longest, at most `most`.
    pub(crate) async fn in_lane(
        &self,
        application: &ApplicationId,
        lane: Lane,
        until: Timestamp,
        most: i32,
    ) -> Result<Vec<(EventId, Timestamp)>, WebhookStoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#lane = :lane AND #at <= :until")
            .expression_attribute_names("#lane", LANE)
            .expression_attribute_names("#at", AT_MS)
            .expression_attribute_values(":lane", text(lane.key(application)))
            .expression_attribute_values(":until", instant(until))
            .limit(most);
        let page = send_or_unavailable("Query", query.send()).await?;
        let read = |item: &Item| Ok((read_parsed(item, "sk", |text| text.parse().ok())?, read_instant(item, AT_MS)?));
        page.items().iter().map(read).collect()
    }

    /// How many are in a lane, up to [`COUNTED_MAX`].
    pub(crate) async fn count_lane(&self, id: &ApplicationId, lane: Lane) -> Result<Waiting, WebhookStoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(DUE_INDEX)
            .key_condition_expression("#lane = :lane")
            .expression_attribute_names("#lane", LANE)
            .expression_attribute_values(":lane", text(lane.key(id)))
            .select(Select::Count)
            .limit(COUNTED_MAX);
        let counting = async { Ok(send_or_unavailable("Query", query.send()).await?) };
        let (counted, first) = tokio::try_join!(counting, self.in_lane(id, lane, Timestamp::MAX, 1))?;
        let count = usize::try_from(counted.count).unwrap_or_default();
        Ok(Waiting { count, first_at: first.first().map(|(_, at)| *at) })
    }

    /// A page of the deliveries of an application, newest event first, from below `before` on.
    pub(crate) async fn deliveries(
        &self,
        application: &ApplicationId,
        before: Option<EventId>,
        most: i32,
    ) -> Result<DeliveryPage, WebhookStoreError> {
        let start = before.map(|event| key(delivery_pk(application), event.to_string()));
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(delivery_pk(application)))
            .scan_index_forward(false)
            .set_exclusive_start_key(start)
            .limit(most);
        let page = send_or_unavailable("Query", query.send()).await?;
        let deliveries: Vec<Delivery> = page.items().iter().map(read).collect::<Result<_, _>>()?;
        let next = page.last_evaluated_key.as_ref().and(deliveries.last().map(|delivery| delivery.event));
        Ok(DeliveryPage { deliveries, next })
    }

    /// The dead letters that died first, at most `most`.
    pub(crate) async fn dead_letters(
        &self,
        application: &ApplicationId,
        most: i32,
    ) -> Result<Vec<Delivery>, WebhookStoreError> {
        let events = self.in_lane(application, Lane::Dead, Timestamp::MAX, most).await?;
        let found = try_join_all(events.into_iter().map(|(event, _)| self.delivery(application, event))).await?;
        Ok(found.into_iter().flatten().collect())
    }
}
