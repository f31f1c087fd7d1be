//! `comanda order place|update|show|erase`: an internal app's side.
//!
//! Placing and updating go through the queue, as every internal app's messages do. Showing and erasing call the core's
//! own code over its tables, so that they work beside any deployment.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use order_model::OrderId;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::gateway_core::{EraseOrderRequest, EventsOfOrderRequest, GetOrderRequest};
use proto::transport::Transport;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{configuration, sample_order};
use crate::cli::{OrderCommand, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::aws::{AwsClients, AwsNames, ORDERS};
use crate::platform::beside;
use crate::settings::Settings;
use crate::system_clock::SystemClock;

/// The largest message an internal app may send (CONTRACT).
const MESSAGE_BYTES_MAX: usize = 192 * 1024;
/// Messages of one batch; ten of the largest would not fit, the samples do.
const BATCH_MAX: usize = 10;
/// How often `show --follow` looks.
const FOLLOW_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Places, updates, shows or erases.
pub async fn execute(command: OrderCommand) -> Result<(), Failure> {
    match command {
        OrderCommand::Place { file: Some(path), rest, .. } => {
            let message = std::fs::read_to_string(&path).context(&format!("reading {}", path.display()))?;
            send(&rest, vec![message]).await?;
            print(&rest, &json!({"sent": 1}), "sent 1 message");
            Ok(())
        }
        OrderCommand::Place { merchant, order_type, count, file: None, rest } => {
            place(&merchant, &order_type, count, &rest).await
        }
        OrderCommand::Update { order, code, metadata, rest } => update(&order, &code, metadata.as_deref(), &rest).await,
        OrderCommand::Show { order, follow, rest } => show(parse(&order)?, follow, &rest).await,
        OrderCommand::Erase { order, rest } => erase(parse(&order)?, &rest).await,
    }
}

fn parse(text: &str) -> Result<OrderId, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("ORDER: {error}")))
}

async fn place(merchant: &str, order_type: &str, count: u32, rest: &SettingsOnly) -> Result<(), Failure> {
    let order_type = order_type.to_ascii_uppercase();
    if !["DELIVERY", "TAKEOUT", "DINE_IN"].contains(&order_type.as_str()) {
        return Err(Failure::Usage(format!("--type: expected DELIVERY, TAKEOUT or DINE_IN, not {order_type:?}")));
    }
    if merchant.parse::<order_model::MerchantId>().is_err() {
        return Err(Failure::Usage("--merchant: expected a UUID of 36 characters".to_owned()));
    }
    let clock = SystemClock::shared();
    let orders: Vec<Uuid> = (0..count).map(|_| Uuid::new_v4()).collect();
    let message = |order: &Uuid| sample_order::message(*order, merchant, &order_type, clock.now()).to_string();
    send(rest, orders.iter().map(message).collect()).await?;
    for order in &orders {
        print(rest, &json!({"orderId": order.to_string(), "merchantId": merchant}), &format!("placed order {order}"));
    }
    Ok(())
}

async fn update(order: &str, code: &str, metadata: Option<&str>, rest: &SettingsOnly) -> Result<(), Failure> {
    let order = parse(order)?;
    let metadata: Option<Value> = match metadata.map(serde_json::from_str) {
        None => None,
        Some(Ok(value @ Value::Object(_))) => Some(value),
        Some(Ok(_) | Err(_)) => return Err(Failure::Usage("--metadata: expected a JSON object".to_owned())),
    };
    let mut message = json!({
        "id": Uuid::new_v4().to_string(), "type": code, "source": "comanda-cli",
        "occurredAt": SystemClock::shared().now().to_string(), "orderId": order.to_string(),
    });
    if let Some(metadata) = metadata {
        message["metadata"] = metadata;
    }
    send(rest, vec![message.to_string()]).await?;
    print(rest, &json!({"orderId": order.to_string(), "sent": code}), &format!("sent {code} for order {order}"));
    Ok(())
}

async fn send(rest: &SettingsOnly, messages: Vec<String>) -> Result<(), Failure> {
    if let Some(large) = messages.iter().map(String::len).find(|bytes| *bytes > MESSAGE_BYTES_MAX) {
        return Err(Failure::Usage(format!("the message has {large} bytes; at most {MESSAGE_BYTES_MAX} are accepted")));
    }
    let settings = configuration::settings(&rest.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    let name = AwsNames::new(&settings.aws_prefix).of(ORDERS);
    let queue = aws.sqs.get_queue_url().queue_name(&name).send().await.context(&format!("finding queue {name}"))?;
    let url = queue.queue_url().unwrap_or_default();
    let mut next = messages.into_iter().peekable();
    while next.peek().is_some() {
        let batch = next.by_ref().take(BATCH_MAX).enumerate().map(|(number, body)| {
            SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body).build()
        });
        let batch: Result<Vec<_>, _> = batch.collect();
        let sent = aws.sqs.send_message_batch().queue_url(url).set_entries(Some(batch.context("making a batch")?));
        let answer = sent.send().await.context("sending to the queue")?;
        if let Some(failed) = answer.failed().first() {
            return Err(Failure::Failed(format!("the queue refused a message: {}", failed.code())));
        }
    }
    Ok(())
}

async fn core(rest: &SettingsOnly) -> Result<GatewayCoreClient<Transport>, Failure> {
    let settings: Settings = configuration::settings(&rest.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    beside::core(&settings, &aws).await
}

async fn show(order: OrderId, follow: bool, rest: &SettingsOnly) -> Result<(), Failure> {
    let mut core = core(rest).await?;
    let order_id = proto::conversions::to_bytes(order.as_bytes());
    let mut shown = 0;
    loop {
        let found = core.get_order(GetOrderRequest { order_id: order_id.clone(), ..GetOrderRequest::default() }).await;
        let found = match found {
            Ok(found) => found.into_inner(),
            Err(status) if status.code() == tonic::Code::NotFound => {
                return Err(Failure::Failed(format!("order {order} does not exist, or not yet")));
            }
            Err(status) => return Err(Failure::Failed(format!("reading the order: {}", status.message()))),
        };
        if shown == 0 && !rest.output.json {
            println!("order {order}");
        }
        shown = show_events(&mut core, &order_id, shown, rest).await?;
        let is_final = ["CONCLUDED", "CANCELLED"].contains(&found.state.as_str());
        if !follow || is_final {
            print(
                rest,
                &json!({"orderId": order.to_string(), "state": found.state}),
                &format!("  state {}", found.state),
            );
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

/// Prints the events after sequence `shown`, page by page; a reply holds only so many, the last one none. Returns the
/// last sequence printed.
async fn show_events(
    core: &mut GatewayCoreClient<Transport>,
    order_id: &bytes::Bytes,
    mut shown: u32,
    rest: &SettingsOnly,
) -> Result<u32, Failure> {
    loop {
        let request =
            EventsOfOrderRequest { order_id: order_id.clone(), from_sequence: shown + 1, to_sequence: u32::MAX };
        let reply = core.events_of_order(request).await.context("reading the order's events")?;
        let events = reply.into_inner().events;
        if events.is_empty() {
            return Ok(shown);
        }
        for event in &events {
            shown = shown.max(event.sequence);
            let body: Value = serde_json::from_slice(&event.body).unwrap_or(Value::Null);
            let text = |key: &str| body[key].as_str().unwrap_or("-").to_owned();
            let (created_at, code, full_code) = (text("createdAt"), text("code"), text("fullCode"));
            print(rest, &body, &format!("  {:>3}  {created_at}  {code:<4} {full_code}", event.sequence));
        }
    }
}

async fn erase(order: OrderId, rest: &SettingsOnly) -> Result<(), Failure> {
    let request = EraseOrderRequest { order_id: proto::conversions::to_bytes(order.as_bytes()) };
    let erased = core(rest).await?.erase_order(request).await;
    let already = match erased {
        Ok(reply) => reply.into_inner().already_erased,
        Err(status) => return Err(Failure::Failed(format!("erasing order {order}: {}", status.message()))),
    };
    let text = if already { "had no personal data left" } else { "has no personal data any more; its events stay" };
    print(rest, &json!({"orderId": order.to_string(), "alreadyErased": already}), &format!("order {order} {text}"));
    Ok(())
}

fn print(rest: &SettingsOnly, row: &Value, text: &str) {
    if rest.output.json { println!("{row}") } else { println!("{text}") }
}
