//! `comanda dev`: the whole platform in one process, and what to try with it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

use super::configuration;
use crate::cli::DevArgs;
use crate::failure::{Context, Failure};
use crate::platform::dev::{DevOptions, DevPlatform, Ready};
use crate::platform::dev_nodes::NODE_ROLES;
use crate::platform::signals;
use crate::telemetry::{logging, metrics};

/// Runs it until Ctrl-C.
pub async fn execute(mut arguments: DevArgs) -> Result<(), Failure> {
    if let Some(merchants) = arguments.merchants {
        arguments.settings.values.insert("dev_merchants".to_owned(), merchants.to_string());
    }
    let settings = configuration::settings(&arguments.settings)?;
    logging::start(&settings.log, settings.log_format).context("starting the log")?;
    let recorder = metrics::install().context("starting metrics")?;
    let shutdown = signals::shutdown_on_signal().context("installing signal handlers")?;
    let options = DevOptions {
        yardstick: arguments.yardstick_addr,
        nodes: arguments.nodes,
        config: arguments.settings.config.clone(),
        seeds_online: arguments.seed_online,
    };
    let platform = DevPlatform::build(settings, options, recorder).await?;
    let as_json = arguments.json;
    platform.run(shutdown, move |ready| if as_json { print_json(ready) } else { print_for_people(ready) }).await
}

fn print_json(ready: &Ready) {
    let applications: Vec<_> =
        ready.applications.iter().map(|(id, secret)| json!({"clientId": id, "clientSecret": secret})).collect();
    let mut line = json!({
        "http": ready.http.to_string(), "ops": ready.ops.to_string(), "aws": ready.aws.to_string(),
        "nodes": nodes(ready),
        "applications": applications, "merchants": ready.merchants,
    });
    if let Some(yardstick) = ready.yardstick {
        line["yardstick"] = json!(yardstick.to_string());
    }
    println!("{line}");
}

/// The grid's processes. A pid is absent while one is started again.
fn nodes(ready: &Ready) -> Vec<serde_json::Value> {
    let roles = NODE_ROLES.map(crate::cli::Role::name);
    let here = json!({"id": 1, "pid": std::process::id(), "roles": roles});
    let nodes =
        ready.nodes.iter().map(|node| json!({"id": node.id, "pid": node.pid(), "grid": node.address, "roles": roles}));
    let nodes: Vec<_> = nodes.collect();
    if nodes.is_empty() { vec![here] } else { nodes }
}

fn print_for_people(ready: &Ready) {
    let program = std::env::current_exe().unwrap_or_else(|_| "comanda".into());
    println!("{}", what_to_try(&program, ready));
}

/// The block that `dev` prints: every line of it works when pasted into another terminal.
fn what_to_try(program: &Path, ready: &Ready) -> String {
    let program = quoted(program);
    let Ready { http, ops, aws, .. } = ready;
    let merchant = ready.merchants.first().map_or("", String::as_str);
    let (client_id, secret) = ready.applications.first().copied().unwrap_or_default();
    let environment =
        format!("AWS_ENDPOINT_URL=http://{aws} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1");
    let scheme = if ready.tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", reachable(*http));
    format!(
        "\
Comanda is ready: {base} (partners)   http://{ops} (operations)   http://{aws} (SQS, SNS, DynamoDB)

Try it in another terminal:

  # a restaurant's POS: polls, prints, acknowledges, confirms and prepares
  {program} pos --url {base} --client-id {client_id} --client-secret {secret} --every 2s --confirm --serve

  # an internal app places an order; with any AWS client, the queue is `orders`
  {environment} {program} order place --merchant {merchant}

  # the same by hand: a token, then a poll
  TOKEN=$(curl -s {base}/authentication/v1.0/oauth/token -d grantType=client_credentials -d clientId={client_id} -d clientSecret={secret} | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')
  curl -i {base}/events/v1.0/events:polling -H \"Authorization: Bearer $TOKEN\" -H 'x-polling-merchants: {merchant}'

  # who is well, and how much is going on
  curl -s http://{ops}/readyz; curl -s http://{ops}/metrics

{nodes}An order that nobody confirms is cancelled {deadline} after it was placed. Ctrl-C drains and ends.",
        nodes = grid_nodes(ready),
        deadline = crate::settings::typed::print_duration(ready.confirm_deadline),
    )
}

/// A comment that names the grid's processes, where it has some of its own.
fn grid_nodes(ready: &Ready) -> String {
    let named = ready.nodes.iter().filter_map(|node| Some(format!("node {} is process {}", node.id, node.pid()?)));
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        return String::new();
    }
    format!("  # the grid: kill -9 one of them and keep polling; it is started again\n  # {}\n\n", named.join(", "))
}

/// A listener on every address is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
