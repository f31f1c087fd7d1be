//! The services of one machine: merchant-connection on its grid node, and kitchen-api's keeper of beats before all nodes.

use std::sync::Arc;

use kitchen_api::presence::{BeatKeeper, PresenceNode, PresenceNodes};
use merchant_connection::{Config, Dependencies, PresencePartition, Service};
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::{self, Transport};
use replicated_grid::NodeId;
use replicated_grid::replicated::ReplicatedNode;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::topic::TopicModel;
use super::{OFFLINE_AFTER, SWEEP_INTERVAL, dynamodb};
use crate::feed::node::{partition_count, peer};
use crate::machine::{Machine, NotStarted};
use crate::network;
use crate::presence_run::PresenceWorld;

/// What runs on a machine.
pub struct Running {
    /// Its grid node.
    pub node: ReplicatedNode<PresencePartition>,
    /// merchant-connection on it.
    pub presence: MerchantConnectionClient<Transport>,
    /// Its kitchen-api, as far as beats go.
    pub keeper: BeatKeeper,
    /// Serves its peers until it is cancelled.
    pub serving: CancellationToken,
}

/// Starts all of it. Within the machine's host.
///
/// # Errors
/// When the grid's node does not start.
pub async fn start(world: &PresenceWorld, machine: &Arc<Machine>) -> Result<Running, NotStarted> {
    let partitions = partition_count(world.options.partitions);
    let mut config = replicated_grid::replicated::Config::new("simulated", partitions.0);
    (config.snapshot_after_entries, config.entries_kept) = (60, 10);
    let started = machine.start_node(config, PresencePartition::default).await?;
    let node = started.node.clone();
    let config = Config {
        offline_after: OFFLINE_AFTER,
        sweep_interval: SWEEP_INTERVAL,
        partitions: partitions.0,
        ..Config::default()
    };
    let topic = TopicModel {
        recorder: world.recorder.clone(),
        machine: Arc::clone(machine),
        is_down: Arc::clone(&world.topic_is_down),
    };
    let dependencies = Dependencies {
        clock: machine.clock.clone(),
        grid: node.clone().into(),
        node: NodeId(machine.number),
        dynamodb: dynamodb::client(&world.cloud, machine),
        table_prefix: String::new(),
        merchant_status: Arc::new(topic),
    };
    let service = Service::build(config, dependencies).map_err(NotStarted::of("building merchant-connection"))?;
    let handle = service.handle();
    let serving = machine.serve(started, Routes::new(merchant_connection::grpc(handle.clone()))).await?;
    let ending = serving.clone();
    tokio::spawn(replicated_grid::spawn::seeded(machine.number_of("merchant-connection"), async move {
        if let Err(error) = service.run(ending).await {
            tracing::error!(%error, "merchant-connection ended");
        }
    }));
    let local = transport::local(merchant_connection::grpc(handle));
    let others = (1..=world.options.machines()).filter(|other| *other != machine.number);
    let peers = others.map(|other| PresenceNode { name: network::address(other), transport: peer(other) });
    let own = PresenceNode { name: network::address(machine.number), transport: local.clone() };
    let nodes = PresenceNodes::new(partitions, std::iter::once(own).chain(peers).collect());
    let keeper = BeatKeeper::new(nodes, machine.clock.clone());
    let (keeping, ending) = (keeper.clone(), serving.clone());
    tokio::spawn(replicated_grid::spawn::seeded(machine.number_of("keeper"), async move {
        keeping.run(ending).await;
    }));
    Ok(Running { node, presence: MerchantConnectionClient::new(local), keeper, serving })
}
