//! Builds the services of one process and tells each how to reach the others.
//!
//! A role of the same process is called directly; any other at its address. Called by `dev` (all roles) and `run`.

use std::net::SocketAddr;
use std::sync::Arc;

use message_bus::sns::SnsTopic;
use message_bus::sqs::SqsQueue;
use message_bus::{SharedQueue, SharedTopic};
use order_model::{EventIdKey, SharedClock};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::{self, Transport};
use secrecy::SecretString;

use super::aws::AwsClients;
use super::internal_rpc::InternalListener;
use super::members::{Members, Stage};
use super::roles;
use crate::cli::Role;
use crate::failure::{Context, Failure};
use crate::settings::Settings;
use crate::telemetry::operations::ReadinessCheck;

/// The secrets the services share.
pub struct Secrets {
    /// Event ids.
    pub event_id_key: EventIdKey,
    /// Signs tokens; needed by kitchen-api only.
    pub token_signing_key: Option<SecretString>,
    /// Whether the development applications are refused.
    pub refuses_dev_applications: bool,
}

/// The services of one process, built and bound, not yet running.
#[derive(Default)]
pub struct Cluster {
    merchant_connection: Option<merchant_connection::Service>,
    gateway_core: Option<gateway_core::Service>,
    connection_polling: Option<connection_polling::Service>,
    order_events: Option<order_events::Service>,
    kitchen_api: Option<kitchen_api::Service>,
    gateway_agent: Option<gateway_agent::Service>,
    internal: Vec<InternalListener>,
}

/// What the building of services needs.
pub struct Builder<'a> {
    pub(super) settings: &'a Settings,
    pub(super) aws: &'a AwsClients,
    pub(super) secrets: &'a Secrets,
    pub(super) clock: SharedClock,
    cluster: Cluster,
}

impl Cluster {
    /// Builds `roles`, those that others of the process lean on first.
    ///
    /// # Errors
    /// When a service cannot be built or its address cannot be bound.
    pub async fn build(
        settings: &Settings,
        roles: &[Role],
        aws: &AwsClients,
        secrets: &Secrets,
        clock: SharedClock,
    ) -> Result<Self, Failure> {
        let mut builder = Builder::new(settings, aws, secrets, clock);
        let has = |role| roles.contains(&role);
        if has(Role::MerchantConnection) {
            builder.cluster.merchant_connection = Some(roles::merchant_connection(&builder)?);
        }
        if has(Role::GatewayCore) {
            builder.cluster.gateway_core = Some(roles::gateway_core(&builder)?);
        }
        if has(Role::ConnectionPolling) {
            builder.cluster.connection_polling = Some(roles::connection_polling(&builder)?);
        }
        if has(Role::OrderEvents) {
            builder.cluster.order_events = Some(roles::order_events(&builder)?);
        }
        if has(Role::KitchenApi) {
            builder.cluster.kitchen_api = Some(roles::kitchen_api(&builder).await?);
        }
        if has(Role::GatewayAgent) {
            builder.cluster.gateway_agent = Some(roles::gateway_agent(&builder)?);
        }
        // A process with every role has nobody to serve over the network.
        if roles.len() < Role::ALL.len() {
            builder.cluster.internal = builder.bind_internal().await?;
        }
        Ok(builder.cluster)
    }

    /// Where the public API listens, if this process has it.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.kitchen_api.as_ref().map(|service| service.handle().address())
    }

    /// Asks each service whether it is ready.
    pub fn readiness_checks(&self) -> Vec<(&'static str, ReadinessCheck)> {
        let mut checks: Vec<(&'static str, ReadinessCheck)> = Vec::new();
        macro_rules! check {
            ($($service:ident => $name:literal),*) => {$(
                if let Some(service) = &self.$service {
                    let handle = service.handle();
                    checks.push(($name, Arc::new(move || handle.readiness())));
                }
            )*};
        }
        check!(
            gateway_agent => "gateway-agent", gateway_core => "gateway-core", order_events => "order-events",
            merchant_connection => "merchant-connection", connection_polling => "connection-polling",
            kitchen_api => "kitchen-api"
        );
        checks
    }

    /// Hands every service to those that run together.
    pub fn add_to(self, members: &mut Members) {
        macro_rules! add {
            ($($service:ident, $name:literal, $stage:ident);*) => {$(
                if let Some(service) = self.$service {
                    members.add($name, Stage::$stage, move |token| async move { service.run(token).await });
                }
            )*};
        }
        add!(
            kitchen_api, "kitchen-api", Edge; gateway_agent, "gateway-agent", Edge; gateway_core, "gateway-core", Core;
            order_events, "order-events", Feeds; connection_polling, "connection-polling", Feeds;
            merchant_connection, "merchant-connection", Feeds
        );
        for listener in self.internal {
            listener.add_to(members);
        }
    }
}

impl<'a> Builder<'a> {
    /// Nothing built yet.
    pub fn new(settings: &'a Settings, aws: &'a AwsClients, secrets: &'a Secrets, clock: SharedClock) -> Self {
        Self { settings, aws, secrets, clock, cluster: Cluster::default() }
    }

    /// A core that lives in a command, over the same tables, with nothing running in the background.
    ///
    /// # Errors
    /// When it cannot be built from the settings.
    pub async fn core_beside(mut self) -> Result<GatewayCoreClient<Transport>, Failure> {
        self.cluster.merchant_connection = Some(roles::merchant_connection(&self)?);
        let core = roles::gateway_core(&self)?;
        Ok(GatewayCoreClient::new(transport::local(gateway_core::grpc(core.handle()))))
    }

    /// How to reach gateway-core.
    pub(super) fn core(&self) -> Result<Transport, Failure> {
        match &self.cluster.gateway_core {
            Some(service) => Ok(transport::local(gateway_core::grpc(service.handle()))),
            None => remote(self.settings.internal.gateway_core),
        }
    }

    /// A client of gateway-core.
    pub(super) fn core_client(&self) -> Result<GatewayCoreClient<Transport>, Failure> {
        self.core().map(GatewayCoreClient::new)
    }

    /// How to reach merchant-connection.
    pub(super) fn merchant_connection(&self) -> Result<Transport, Failure> {
        match &self.cluster.merchant_connection {
            Some(service) => Ok(transport::local(merchant_connection::grpc(service.handle()))),
            None => remote(self.settings.internal.merchant_connection),
        }
    }

    /// A client of merchant-connection.
    pub(super) fn merchant_connection_client(&self) -> Result<MerchantConnectionClient<Transport>, Failure> {
        self.merchant_connection().map(MerchantConnectionClient::new)
    }

    /// How to reach connection-polling.
    pub(super) fn connection_polling(&self) -> Result<Transport, Failure> {
        match &self.cluster.connection_polling {
            Some(service) => Ok(transport::local(connection_polling::grpc(service.handle()))),
            None => remote(self.settings.internal.connection_polling),
        }
    }

    /// A client of connection-polling.
    pub(super) fn connection_polling_client(&self) -> Result<ConnectionPollingClient<Transport>, Failure> {
        let most = connection_polling::MESSAGE_BYTES_MAX;
        let client = ConnectionPollingClient::new(self.connection_polling()?);
        Ok(client.max_decoding_message_size(most).max_encoding_message_size(most))
    }

    /// order-events of this process, if it has it.
    pub(super) fn order_events_handle(&self) -> Option<order_events::Handle> {
        self.cluster.order_events.as_ref().map(order_events::Service::handle)
    }

    /// The queue `name`.
    pub(super) fn queue(&self, name: &str) -> SharedQueue {
        Arc::new(SqsQueue::new(self.aws.sqs.clone(), &self.settings.aws_prefix, name))
    }

    /// The dead-letter queue of `name`.
    pub(super) fn dead_letters(&self, name: &str) -> SharedQueue {
        self.queue(&format!("{name}-dlq"))
    }

    /// The topic `name`.
    pub(super) fn topic(&self, name: &str) -> SharedTopic {
        Arc::new(SnsTopic::new(self.aws.sns.clone(), &self.settings.aws_prefix, name))
    }

    async fn bind_internal(&self) -> Result<Vec<InternalListener>, Failure> {
        let (addresses, cluster) = (self.settings.internal, &self.cluster);
        let mut bound = Vec::new();
        if let Some(service) = &cluster.gateway_core {
            let server = gateway_core::grpc(service.handle());
            bound.push(InternalListener::bind("gateway_core_addr", addresses.gateway_core, server).await?);
        }
        if let Some(service) = &cluster.order_events {
            let server = order_events::rpc::grpc(service.handle());
            bound.push(InternalListener::bind("order_events_addr", addresses.order_events, server).await?);
        }
        if let Some(service) = &cluster.merchant_connection {
            let server = merchant_connection::grpc(service.handle());
            bound
                .push(InternalListener::bind("merchant_connection_addr", addresses.merchant_connection, server).await?);
        }
        if let Some(service) = &cluster.connection_polling {
            let server = connection_polling::grpc(service.handle());
            bound.push(InternalListener::bind("connection_polling_addr", addresses.connection_polling, server).await?);
        }
        Ok(bound)
    }
}

/// A peer's transport at `address`.
pub(super) fn remote(address: SocketAddr) -> Result<Transport, Failure> {
    transport::remote(&format!("http://{address}")).context("reading an internal address")
}
