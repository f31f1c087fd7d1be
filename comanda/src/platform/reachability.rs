//! Whether every queue, topic and table that some roles need is there. For `check --online`.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};

use super::aws::{self, AwsClients, AwsNames};
use crate::cli::Role;

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What one role needs: queues, topics, tables.
struct Needs {
    queues: Vec<String>,
    topics: Vec<&'static str>,
    tables: Vec<&'static str>,
}

fn needs(role: Role, names: &AwsNames) -> Needs {
    let with_dead_letters = |queue: &str| vec![names.of(queue), names.dead_letters_of(queue)];
    let none = Vec::new;
    match role {
        Role::GatewayAgent => Needs { queues: with_dead_letters(aws::ORDERS), topics: none(), tables: none() },
        Role::GatewayCore => {
            Needs { queues: Vec::new(), topics: vec![aws::ORDER_EVENTS], tables: vec!["orders", "order-events"] }
        }
        Role::OrderEvents => {
            Needs { queues: with_dead_letters(aws::ORDER_EVENTS_FEED), topics: none(), tables: none() }
        }
        Role::MerchantConnection => {
            Needs { queues: Vec::new(), topics: vec![aws::MERCHANT_STATUS], tables: vec!["merchants"] }
        }
        Role::ConnectionPolling => Needs {
            queues: with_dead_letters(aws::CONNECTION_POLLING_FEED),
            topics: none(),
            tables: vec!["polling-index"],
        },
        Role::KitchenApi => Needs {
            queues: with_dead_letters(aws::WEBHOOKS_FEED),
            topics: none(),
            tables: vec!["catalog", "partner-apps", "requests", "webhooks"],
        },
    }
}

/// What cannot be reached, a line each; empty when everything can.
pub async fn unreachable(clients: &AwsClients, names: &AwsNames, roles: &[Role]) -> Vec<String> {
    let mut probes: Vec<BoxFuture<'_, Option<String>>> = Vec::new();
    for needs in roles.iter().map(|role| needs(*role, names)) {
        for queue in needs.queues {
            probes
                .push(Box::pin(probe(format!("queue {queue}"), clients.sqs.get_queue_url().queue_name(queue).send())));
        }
        for topic in needs.topics {
            probes.push(Box::pin(probe_topic(clients, names.of(topic))));
        }
        for table in needs.tables {
            let table = names.of(table);
            probes.push(Box::pin(probe(
                format!("table {table}"),
                clients.dynamodb.describe_table().table_name(table).send(),
            )));
        }
    }
    join_all(probes).await.into_iter().flatten().collect()
}

async fn probe<T, E: std::fmt::Debug>(what: String, call: impl Future<Output = Result<T, E>>) -> Option<String> {
    match tokio::time::timeout(PROBE_TIMEOUT, call).await {
        Ok(Ok(_)) => None,
        Ok(Err(_)) => Some(format!("{what}: missing, or not allowed; `comanda aws init` creates it")),
        Err(_) => Some(format!("{what}: no answer within {PROBE_TIMEOUT:?}")),
    }
}

async fn probe_topic(clients: &AwsClients, topic: String) -> Option<String> {
    let what = format!("topic {topic}");
    let mut pages = clients.sns.list_topics().into_paginator().send();
    let search = async {
        while let Some(page) = pages.next().await {
            let page = page.map_err(|_| ())?;
            if page.topics().iter().filter_map(|entry| entry.topic_arn()).any(|arn| arn.ends_with(&format!(":{topic}")))
            {
                return Ok(());
            }
        }
        Err(())
    };
    probe(what, search).await
}
