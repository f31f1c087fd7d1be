//! Creates everything at AWS that the platform uses: queues with dead letters, topics, subscriptions, tables.
//!
//! Called by `aws init` and `dev`; each owner creates its own tables. Running it again changes nothing.

use std::error::Error;

use message_bus::admin::{self, QueueSettings};

use super::aws::{
    AwsClients, AwsNames, CONNECTION_POLLING_FEED, MERCHANT_STATUS, ORDER_EVENTS, ORDER_EVENTS_FEED, ORDERS,
    WEBHOOKS_FEED,
};
use crate::failure::{Context, Failure};

/// Creates what is missing.
///
/// # Errors
/// With the step that failed; running it again continues there.
pub async fn initialise(aws: &AwsClients, names: &AwsNames) -> Result<(), Failure> {
    let ((), ()) = tokio::try_join!(create_bus(aws, names), create_tables(aws, names))?;
    Ok(())
}

async fn create_bus(aws: &AwsClients, names: &AwsNames) -> Result<(), Failure> {
    let (prefix, settings) = (names.prefix(), QueueSettings::default());
    admin::create_queue(&aws.sqs, prefix, ORDERS, &settings).await.context("creating queues")?;
    let topic = admin::create_topic(&aws.sns, prefix, ORDER_EVENTS).await.context("creating topics")?;
    admin::create_topic(&aws.sns, prefix, MERCHANT_STATUS).await.context("creating topics")?;
    for feed in [ORDER_EVENTS_FEED, CONNECTION_POLLING_FEED, WEBHOOKS_FEED] {
        let (queue, _) = admin::create_queue(&aws.sqs, prefix, feed, &settings).await.context("creating queues")?;
        admin::subscribe(&aws.sns, &aws.sqs, &topic, &queue).await.context("subscribing queues")?;
    }
    Ok(())
}

async fn create_tables(aws: &AwsClients, names: &AwsNames) -> Result<(), Failure> {
    let (client, prefix) = (&aws.dynamodb, names.prefix());
    let of = |error: &(dyn Error + 'static)| Failure::of("creating tables", error);
    let ((), (), (), (), ()) = tokio::try_join!(
        async { gateway_core::create_tables(client, prefix).await.map_err(|error| of(&error)) },
        async { merchant_connection::create_tables(client, prefix).await.map_err(|error| of(&error)) },
        async { connection_polling::create_tables(client, prefix).await.map_err(|error| of(&error)) },
        async { kitchen_api::store::create_tables(client, prefix).await.map_err(|error| of(&error)) },
        async { kitchen_api::webhooks::create_tables(client, prefix).await.map_err(|error| of(&error)) },
    )?;
    Ok(())
}
