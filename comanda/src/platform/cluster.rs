//! Builds the services of one process and tells each how to reach the others.
//!
//! A role of the same process is called directly; any other at its address. Called by `dev` (all roles) and `run`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use message_bus::sns::SnsTopic;
use message_bus::sqs::SqsQueue;
use message_bus::{SharedQueue, SharedTopic};
use order_model::{EventIdKey, SharedClock};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::failover::first_reachable;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::{self, Connector, Transport};
use secrecy::SecretString;
use tokio::runtime::Handle;
use tonic::service::Routes;

use super::admission::Admission;
use super::aws::AwsClients;
use super::grid::link::GridLink;
use super::grid::node::GridNode;
use super::grid::on_runtime::OnRuntime;
use super::grid::peers::GridPeers;
use super::internal_rpc::{InternalListener, listening};
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
    grid_node: Option<GridNode>,
    grid_peers: Option<GridPeers>,
    /// How to reach other processes; a command that has within itself all that it calls has none.
    link: Option<GridLink>,
    internal: Vec<(Role, InternalListener)>,
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
        let listening = listening(roles, settings.grid.is_cluster());
        builder.cluster.link = Some(GridLink::answering_as(&settings.grid, &listening).await?);
        if settings.grid.is_cluster() && (has(Role::OrderEvents) || has(Role::MerchantConnection)) {
            builder.cluster.grid_node = Some(roles::grid_node(&builder, roles).await?);
        }
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
            let (service, grid_peers) = roles::kitchen_api(&builder).await?;
            builder.cluster.kitchen_api = Some(service);
            builder.cluster.grid_peers = grid_peers;
        }
        if has(Role::GatewayAgent) {
            builder.cluster.gateway_agent = Some(roles::gateway_agent(&builder)?);
        }
        for role in listening {
            builder.cluster.internal.extend(builder.bind_internal(role).await?);
        }
        Ok(builder.cluster)
    }

    /// Where the public API listens, if this process has it.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.kitchen_api.as_ref().map(|service| service.handle().address())
    }

    /// Where `role` listens for the other roles, if it does.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn internal_address(&self, role: Role) -> std::io::Result<Option<SocketAddr>> {
        let listener = self.internal.iter().find(|(of, _)| *of == role);
        listener.map(|(_, listener)| listener.address()).transpose()
    }

    /// Asks each service whether it is ready.
    pub fn readiness_checks(&self) -> Vec<(&'static str, ReadinessCheck)> {
        let mut checks: Vec<(&'static str, ReadinessCheck)> = Vec::new();
        if let Some(node) = &self.grid_node {
            checks.push(("grid", Arc::new(node.readiness())));
        }
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
    pub fn add_to(self, members: &mut Members, drain_timeout: Duration) {
        let admission = self.admission();
        if let Some(node) = self.grid_node {
            let mut routes = Routes::default();
            if let Some(service) = &self.order_events {
                let server = order_events::rpc::grpc(service.handle());
                routes = routes.add_service(OnRuntime::new(server, Handle::current()));
            }
            if let Some(service) = &self.merchant_connection {
                let server = merchant_connection::grpc(service.handle());
                routes = routes.add_service(OnRuntime::new(server, Handle::current()));
            }
            let polls = self.order_events.as_ref().map(order_events::Service::handle);
            node.add_to(members, routes, polls, drain_timeout);
        }
        if let Some(link) = self.link {
            members.add("grid-certificates", Stage::Foundation, move |token| async move {
                link.follow(token).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        if let Some(peers) = self.grid_peers {
            members.add("grid-peers", Stage::Feeds, move |token| async move {
                peers.follow(token).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
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
        if let Some(admission) = admission {
            self.internal.into_iter().for_each(|(_, listener)| listener.add_to(members, admission.clone()));
        }
    }

    /// Who may connect: a node knows who is a member.
    fn admission(&self) -> Option<Admission> {
        let of_node = self.grid_node.as_ref().map(GridNode::admission);
        of_node.or_else(|| self.link.as_ref().map(GridLink::admission))
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
            None => self.remote(Role::GatewayCore, self.settings.internal.gateway_core),
        }
    }

    /// A client of gateway-core.
    pub(super) fn core_client(&self) -> Result<GatewayCoreClient<Transport>, Failure> {
        self.core().map(GatewayCoreClient::new)
    }

    /// merchant-connection of this process, if it has it.
    pub(super) fn own_merchant_connection(&self) -> Option<Transport> {
        let service = self.cluster.merchant_connection.as_ref();
        service.map(|service| transport::local(merchant_connection::grpc(service.handle())))
    }

    /// How to reach merchant-connection for what any node of it answers. In a cluster that is whichever seed can be reached.
    pub(super) fn merchant_connection(&self) -> Result<Transport, Failure> {
        if let Some(own) = self.own_merchant_connection() {
            return Ok(own);
        }
        let Some(link) = self.grid_link() else {
            return self.remote(Role::MerchantConnection, self.settings.internal.merchant_connection);
        };
        let seeds = self.settings.grid.seeds.iter().map(|seed| link.connect(seed));
        let seeds = seeds.collect::<Result<Vec<Transport>, _>>().context("reading grid_seeds")?;
        Ok(first_reachable(seeds))
    }

    /// A client of merchant-connection.
    pub(super) fn merchant_connection_client(&self) -> Result<MerchantConnectionClient<Transport>, Failure> {
        self.merchant_connection().map(MerchantConnectionClient::new)
    }

    /// How to reach connection-polling.
    pub(super) fn connection_polling(&self) -> Result<Transport, Failure> {
        match &self.cluster.connection_polling {
            Some(service) => Ok(transport::local(connection_polling::grpc(service.handle()))),
            None => self.remote(Role::ConnectionPolling, self.settings.internal.connection_polling),
        }
    }

    /// A client of connection-polling.
    pub(super) fn connection_polling_client(&self) -> Result<ConnectionPollingClient<Transport>, Failure> {
        let most = connection_polling::MESSAGE_BYTES_MAX;
        let client = ConnectionPollingClient::new(self.connection_polling()?);
        Ok(client.max_decoding_message_size(most).max_encoding_message_size(most))
    }

    /// How to reach grid nodes, when there is a cluster.
    pub(super) fn grid_link(&self) -> Option<&GridLink> {
        self.link().ok().filter(|_| self.settings.grid.is_cluster())
    }

    /// order-events of another process, where it is one alone: its gRPC, and connections for polls.
    pub(super) fn remote_order_events(&self) -> Result<(Transport, Connector), Failure> {
        let (role, address) = (Role::OrderEvents, self.settings.internal.order_events);
        Ok((self.remote(role, address)?, self.link()?.role_feed_connector(role, address)))
    }

    /// The transport of `role` in another process.
    fn remote(&self, role: Role, address: SocketAddr) -> Result<Transport, Failure> {
        self.link()?.connect_role(role, address).context("reading an internal address")
    }

    fn link(&self) -> Result<&GridLink, Failure> {
        let link = self.cluster.link.as_ref();
        link.ok_or_else(|| Failure::Failed("a command without certificates called another process".to_owned()))
    }

    /// This process as a node of the grid, if it is one.
    pub(super) fn grid_node(&self) -> Option<&GridNode> {
        self.cluster.grid_node.as_ref()
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

    /// The listener of `role`, if the process has it.
    async fn bind_internal(&self, role: Role) -> Result<Option<(Role, InternalListener)>, Failure> {
        let (addresses, cluster) = (self.settings.internal, &self.cluster);
        macro_rules! bound {
            ($service:ident, $key:literal, $grpc:path) => {
                match &cluster.$service {
                    Some(service) => {
                        let server = $grpc(service.handle());
                        Some(InternalListener::bind($key, addresses.$service, server).await?)
                    }
                    None => None,
                }
            };
        }
        let listener = match role {
            Role::GatewayCore => bound!(gateway_core, "gateway_core_addr", gateway_core::grpc),
            Role::MerchantConnection => {
                bound!(merchant_connection, "merchant_connection_addr", merchant_connection::grpc)
            }
            Role::ConnectionPolling => bound!(connection_polling, "connection_polling_addr", connection_polling::grpc),
            Role::OrderEvents => {
                let bound = bound!(order_events, "order_events_addr", order_events::rpc::grpc);
                bound.zip(self.order_events_handle()).map(|(listener, polls)| listener.with_polls(polls))
            }
            Role::GatewayAgent | Role::KitchenApi => None,
        };
        Ok(listener.map(|listener| (role, listener)))
    }
}
