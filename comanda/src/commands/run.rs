//! `comanda run <role>…`: production roles in one process.

use serde_json::json;

use super::configuration;
use crate::cli::{Role, RunArgs};
use crate::failure::{Context, Failure};
use crate::platform::aws::AwsClients;
use crate::platform::children::end_with_standard_input;
use crate::platform::cluster::{Cluster, Secrets};
use crate::platform::members::Members;
use crate::platform::production::{ProductionSecrets, dev_event_id_key};
use crate::platform::{foundation, listeners, signals};
use crate::system_clock::SystemClock;
use crate::telemetry::operations::{self, Operations};
use crate::telemetry::{logging, metrics};

/// Runs the roles until they are told to stop.
pub async fn execute(arguments: RunArgs) -> Result<(), Failure> {
    let mut roles = arguments.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    let settings = configuration::settings(&arguments.settings)?;
    let secrets = if arguments.child {
        let event_id_key = settings.event_id_key.unwrap_or_else(dev_event_id_key);
        ProductionSecrets { event_id_key, token_signing_key: settings.token_signing_key.clone() }
    } else {
        let secrets = ProductionSecrets::for_roles(&settings, &roles, &configuration::environment());
        secrets.map_err(Failure::Configuration)?
    };
    let ProductionSecrets { event_id_key, token_signing_key } = secrets;
    logging::start(&settings.log, settings.log_format).context("starting the log")?;
    let recorder = metrics::install().context("starting metrics")?;
    let shutdown = signals::shutdown_on_signal().context("installing signal handlers")?;
    if arguments.child {
        end_with_standard_input(shutdown.clone());
    }

    let ops = listeners::bind("ops_addr", settings.ops_addr).await?;
    let ops_address = ops.local_addr().context("reading the operations address")?;
    let aws = AwsClients::from_environment(&settings).await;
    let secrets = Secrets { event_id_key, token_signing_key, refuses_dev_applications: true };
    let cluster = Cluster::build(&settings, &roles, &aws, &secrets, SystemClock::shared()).await?;
    let http = cluster.http_address().map(|address| address.to_string());
    let mut members = Members::default();
    let operations =
        Operations { metrics: recorder.clone(), components: std::sync::Arc::new(cluster.readiness_checks()) };
    let checks = std::sync::Arc::clone(&operations.components);
    foundation::add_operations(&mut members, ops, operations::router(operations), recorder);
    cluster.add_to(&mut members, settings.drain_timeout);
    let names: Vec<&str> = roles.iter().map(|role: &Role| role.name()).collect();
    tracing::info!(roles = names.join(","), ops = %ops_address, "started");
    let running = tokio::spawn(members.run(shutdown.clone()));
    foundation::wait_until_ready(&checks, &shutdown, &running).await;
    if !shutdown.is_cancelled() && !running.is_finished() {
        tracing::info!("ready");
        if arguments.json {
            println!(
                "{}",
                json!({"http": http, "ops": ops_address.to_string(), "roles": names, "pid": std::process::id()})
            );
        }
    }
    running.await.context("running the roles")?
}
