//! `comanda app webhook …`: the webhooks of applications, straight in the table of kitchen-api.

use kitchen_api::Entropy;
use kitchen_api::store::{ApplicationStore, Applications, Kind};
use kitchen_api::webhooks::{DialRules, Dialect, PresenceMode, Redelivered, Wanted, WebhookAdmin, is_in_trouble};
use order_model::{ApplicationId, EventId};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::configuration;
use crate::cli::{SettingsOnly, WebhookApplication, WebhookCommand, WebhookList, WebhookPage, WebhookSet};
use crate::failure::{Context, Failure};
use crate::platform::aws::AwsClients;
use crate::system_clock::SystemClock;

/// Where a secret stands that is in no file.
const SECRET_VARIABLE: &str = "COMANDA_WEBHOOK_SECRET";

/// Does what was typed.
pub async fn execute(command: WebhookCommand) -> Result<(), Failure> {
    match command {
        WebhookCommand::Set(arguments) => set(&arguments).await,
        WebhookCommand::Show(arguments) => show(&arguments).await,
        WebhookCommand::List(arguments) => list(&arguments).await,
        WebhookCommand::Remove(arguments) => remove(&arguments).await,
        WebhookCommand::Deliveries(arguments) => deliveries(&arguments).await,
        WebhookCommand::Redeliver { client_id, events, rest } => redeliver(&client_id, &events, &rest).await,
        WebhookCommand::Resume(arguments) => resume(&arguments).await,
    }
}

async fn set(arguments: &WebhookSet) -> Result<(), Failure> {
    let application = parse(&arguments.client_id)?;
    let usage = |flag: &str, expected: &str| Failure::Usage(format!("--{flag}: expected {expected}"));
    let wanted = Wanted {
        url: arguments.url.clone(),
        dialect: Dialect::parse(&arguments.dialect)
            .ok_or_else(|| usage("dialect", "IFOOD, STANDARD or OPEN_DELIVERY"))?,
        presence: PresenceMode::parse(&arguments.presence)
            .ok_or_else(|| usage("presence", "NONE, ALL or PER_MERCHANT"))?,
        acknowledges: arguments.acknowledges.then_some(true),
        secret: secret(arguments)?,
    };
    let means = Means::of(&arguments.rest).await?;
    let found = means.applications.load(&application).await.context("looking up the application")?;
    match found.map(|found| found.record.kind) {
        Some(Kind::Centralised) => {}
        Some(Kind::Distributed) => {
            return Err(Failure::Failed(format!("{application} is distributed: webhooks are for centralized ones")));
        }
        None => return Err(Failure::Failed(format!("there is no application {application}"))),
    }
    let shown = means.webhooks.set(&application, &wanted).await.context("setting the webhook")?;
    print(&arguments.rest, &shown, || {
        let note = if shown.get("secret").is_some() { "\nThe secret is not shown again." } else { "" };
        format!("{}{note}", lines(&shown))
    });
    Ok(())
}

/// From a file or the environment, never from a flag: what runs can be listed, and shells remember what was typed.
fn secret(arguments: &WebhookSet) -> Result<Option<SecretString>, Failure> {
    let text = match &arguments.secret_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).context(&format!("reading {}", path.display()))?;
            Some(text.trim().to_owned())
        }
        None => configuration::environment().remove(SECRET_VARIABLE).filter(|text| !text.is_empty()),
    };
    Ok(text.map(SecretString::from))
}

async fn show(arguments: &WebhookApplication) -> Result<(), Failure> {
    let application = parse(&arguments.client_id)?;
    let shown = Means::of(&arguments.rest).await?.webhooks.show(&application).await.context("reading the webhook")?;
    let shown = shown.ok_or_else(|| no_webhook(&application))?;
    print(&arguments.rest, &shown, || lines(&shown));
    Ok(())
}

async fn list(arguments: &WebhookList) -> Result<(), Failure> {
    let mut webhooks = Means::of(&arguments.rest).await?.webhooks.list().await.context("reading the webhooks")?;
    webhooks.retain(|webhook| !arguments.failing || is_in_trouble(webhook));
    print(&arguments.rest, &json!({ "webhooks": webhooks }), || {
        let rows: Vec<String> = webhooks.iter().map(receiver).collect();
        match (rows.is_empty(), arguments.failing) {
            (false, _) => rows.join("\n"),
            (true, true) => "no receiver fails".to_owned(),
            (true, false) => "no webhooks".to_owned(),
        }
    });
    Ok(())
}

/// One webhook in a line, with what is wrong with its receiver.
fn receiver(webhook: &Value) -> String {
    let text = |name: &str| webhook[name].as_str().unwrap_or_default();
    let trouble =
        [("paused", text("pauseReason")), ("failing since", text("failingSince")), ("last", text("lastFailure"))];
    let trouble = trouble.iter().filter(|(_, what)| !what.is_empty()).map(|(how, what)| format!(", {how} {what}"));
    format!(
        "{:<24} {:<6} {} waiting, {} dead{}  {}",
        text("application"),
        text("status"),
        webhook["waiting"],
        webhook["deadLetters"],
        trouble.collect::<String>(),
        text("url"),
    )
}

async fn remove(arguments: &WebhookApplication) -> Result<(), Failure> {
    let application = parse(&arguments.client_id)?;
    let removed = Means::of(&arguments.rest).await?.webhooks.remove(&application).await;
    if !removed.context("removing the webhook")? {
        return Err(no_webhook(&application));
    }
    print(&arguments.rest, &json!({ "removed": true }), || format!("{application} has no webhook any more"));
    Ok(())
}

async fn resume(arguments: &WebhookApplication) -> Result<(), Failure> {
    let application = parse(&arguments.client_id)?;
    let resumed = Means::of(&arguments.rest).await?.webhooks.resume(&application).await;
    let was_paused = resumed.context("resuming the webhook")?.ok_or_else(|| no_webhook(&application))?;
    print(&arguments.rest, &json!({ "wasPaused": was_paused }), || {
        let how = if was_paused { "goes on within 5 s" } else { "was not paused" };
        format!("the webhook of {application} {how}")
    });
    Ok(())
}

async fn deliveries(arguments: &WebhookPage) -> Result<(), Failure> {
    let application = parse(&arguments.client_id)?;
    let before = arguments.before.as_deref().map(parse_event).transpose()?;
    let webhooks = Means::of(&arguments.rest).await?.webhooks;
    let page = if arguments.dead {
        webhooks.dead_letters(&application, arguments.limit).await
    } else {
        webhooks.deliveries(&application, before, arguments.limit).await
    };
    let page = page.context("reading deliveries")?;
    print(&arguments.rest, &page, || {
        let rows: Vec<String> = page["deliveries"].as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() { "no deliveries".to_owned() } else { rows.join("\n") }
    });
    Ok(())
}

/// One delivery in a line, with how its last attempt ended.
fn row(delivery: &Value) -> String {
    let text = |name: &str| delivery[name].as_str().unwrap_or_default().to_owned();
    let attempts = delivery["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let last = attempts.last().and_then(|attempt| attempt["result"].as_str()).unwrap_or("-");
    let (id, code, status) = (text("eventId"), text("code"), text("status"));
    format!("{id} {code:<5} {status:<13} {} attempts, last {last} {}", attempts.len(), text("reason"))
}

async fn redeliver(client_id: &str, events: &[String], rest: &SettingsOnly) -> Result<(), Failure> {
    let application = parse(client_id)?;
    let events: Vec<EventId> = events.iter().map(|event| parse_event(event)).collect::<Result<_, _>>()?;
    let webhooks = Means::of(rest).await?.webhooks;
    let mut redelivered = 0;
    for event in &events {
        match webhooks.redeliver(&application, *event).await.context("sending a dead letter again")? {
            Redelivered::Yes => redelivered += 1,
            Redelivered::Unknown => return Err(Failure::Failed(format!("{application} has no delivery of {event}"))),
            Redelivered::NotDead => return Err(Failure::Failed(format!("the delivery of {event} is no dead letter"))),
        }
    }
    while events.is_empty() {
        let (some, is_more) = webhooks.redeliver_all(&application).await.context("sending dead letters again")?;
        redelivered += some;
        // The index lags a little: one that shows nothing new has shown everything.
        if !is_more || some == 0 {
            break;
        }
    }
    print(rest, &json!({ "redelivered": redelivered }), || format!("{redelivered} dead letters are sent again"));
    Ok(())
}

/// What the commands work with.
struct Means {
    webhooks: WebhookAdmin,
    applications: Applications,
}

impl Means {
    async fn of(rest: &SettingsOnly) -> Result<Self, Failure> {
        let settings = configuration::settings(&rest.settings)?;
        let client = AwsClients::from_environment(&settings).await.dynamodb;
        let (clock, prefix) = (SystemClock::shared(), &settings.aws_prefix);
        let rules = DialRules { allow_loopback: settings.webhooks_allow_loopback };
        let applications = Applications::new(client.clone(), prefix, clock.clone(), Entropy::system());
        Ok(Self { webhooks: WebhookAdmin::new(client, prefix, rules, clock, Entropy::system()), applications })
    }
}

fn no_webhook(application: &ApplicationId) -> Failure {
    Failure::Failed(format!("{application} has no webhook"))
}

fn parse(client_id: &str) -> Result<ApplicationId, Failure> {
    client_id.parse().map_err(|error| Failure::Usage(format!("CLIENT_ID: {error}")))
}

fn parse_event(text: &str) -> Result<EventId, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("EVENT: {error}")))
}

/// An object as a line for each of its fields.
fn lines(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let line = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    };
    fields.map(line).collect::<Vec<_>>().join("\n")
}

fn print(rest: &SettingsOnly, row: &Value, text: impl FnOnce() -> String) {
    if rest.output.json { println!("{row}") } else { println!("{}", text()) }
}
