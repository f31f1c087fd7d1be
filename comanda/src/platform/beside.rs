//! The core's own code for administrative commands, run beside a deployment over the same tables.
//!
//! Nothing of it runs in the background: what a command commits is published at once, and what it could not publish the
//! running core repairs.

use std::sync::Arc;

use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;

use super::aws::AwsClients;
use super::cluster::{Builder, Secrets};
use super::production;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::system_clock::SystemClock;

/// A client of a core that lives in this command.
///
/// # Errors
/// When the core cannot be built from the settings.
pub async fn core(settings: &Settings, aws: &AwsClients) -> Result<GatewayCoreClient<Transport>, Failure> {
    let secrets = Secrets {
        event_id_key: settings.event_id_key.unwrap_or_else(production::dev_event_id_key),
        token_signing_key: None,
        refuses_dev_applications: false,
    };
    Builder::new(settings, aws, &secrets, Arc::clone(&SystemClock::shared())).core_beside().await
}
