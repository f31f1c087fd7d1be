//! The services of one machine: order-events on its grid node, and kitchen-api's router over all nodes.

use std::num::NonZeroU16;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use kitchen_api::feed::{
    FeedConfig, FeedDependencies, FeedNode, FeedRouter, LeaderMap, PrimaryFeed, RemoteFeed, RoutedFeed, SharedRandom,
};
use order_events::state::FeedPartition;
use order_events::{Config, Dependencies, Limits, Service};
use order_model::PartitionCount;
use parking_lot::Mutex;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::{self, BoxedConnection, Connector, Transport};
use replicated_grid::NodeId;
use replicated_grid::replicated::ReplicatedNode;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use turmoil::net::{TcpListener, TcpStream};

use super::core::CoreModel;
use super::fallback::FallbackModel;
use super::key;
use super::local::LocalFeed;
use super::queue::QueueModel;
use crate::feed_run::FeedWorld;
use crate::machine::{Machine, NotStarted};
use crate::network;

/// Polls that are compared with the fallback: more than in production, so that a run has some.
const SHADOW_RATIO: f64 = 0.05;

/// What runs on a machine.
pub struct Running {
    /// Its grid node.
    pub node: ReplicatedNode<FeedPartition>,
    /// Its way to all of them.
    pub router: FeedRouter,
    /// Serves its peers until it is cancelled.
    pub serving: CancellationToken,
}

/// How many partitions there are.
pub fn partition_count(partitions: u16) -> PartitionCount {
    PartitionCount(NonZeroU16::new(partitions).unwrap_or(NonZeroU16::MIN))
}

/// Starts all of it. Within the machine's host.
///
/// # Errors
/// When the grid's node does not start.
pub async fn start(world: &Arc<FeedWorld>, machine: &Arc<Machine>) -> Result<Running, NotStarted> {
    let partitions = partition_count(world.options.partitions);
    let mut config = replicated_grid::replicated::Config::new("simulated", partitions.0);
    (config.snapshot_after_entries, config.entries_kept) = (60, 10);
    let started = machine.start_node(config, || FeedPartition::new(Limits::default())).await?;
    let node = started.node.clone();
    let fallback = FallbackModel { cloud: Arc::clone(&world.cloud), machine: Arc::clone(machine), partitions };
    let fallback = fallback.transport();
    let service = order_events(world, machine, &node, fallback.clone(), partitions);
    let service = service.map_err(NotStarted::of("building order-events"))?;
    let handle = service.handle();
    let polls = TcpListener::bind(("0.0.0.0", network::FEED_PORT)).await.map_err(NotStarted::of("listening"))?;
    let serving = machine.serve(started, Routes::new(order_events::rpc::grpc(handle.clone()))).await?;
    let answering = order_events::connections::serve(handle.clone(), network::streams(polls), serving.clone());
    tokio::spawn(replicated_grid::spawn::seeded(machine.number_of("polls"), answering));
    let ending = serving.clone();
    tokio::spawn(replicated_grid::spawn::seeded(machine.number_of("order-events"), async move {
        if let Err(error) = service.run(ending).await {
            tracing::error!(%error, "order-events ended");
        }
    }));
    let leaders = LeaderMap::new(partitions);
    let local: Arc<dyn PrimaryFeed> = Arc::new(LocalFeed { handle, leaders: leaders.clone() });
    let random: SharedRandom = Arc::new(Mutex::new(machine.stream("router")));
    let others = (1..=world.options.machines()).filter(|other| *other != machine.number);
    let peers = others.map(|other| {
        let feed = RemoteFeed::new(peer(other), connector(other), random.clone()).telling(leaders.clone());
        FeedNode { name: network::address(other), feed: Arc::new(feed) }
    });
    let primary = Arc::new(RoutedFeed::new(partitions, leaders.clone(), Some(local), peers.collect()));
    let feed_config = FeedConfig { partitions, shadow_ratio: SHADOW_RATIO };
    let dependencies =
        FeedDependencies { primary, fallback, event_id_key: key(), clock: machine.clock.clone(), random };
    let router = FeedRouter::new(&feed_config, dependencies);
    let (routing, ending) = (router.clone(), serving.clone());
    tokio::spawn(async move { routing.run(ending).await });
    Ok(Running { node, router, serving })
}

fn order_events(
    world: &FeedWorld,
    machine: &Arc<Machine>,
    node: &ReplicatedNode<FeedPartition>,
    fallback: Transport,
    partitions: PartitionCount,
) -> Result<Service, order_events::Error> {
    let queue = |shared: &Arc<_>, name| QueueModel { shared: Arc::clone(shared), machine: Arc::clone(machine), name };
    let core = CoreModel { cloud: Arc::clone(&world.cloud), machine: Arc::clone(machine) };
    let dependencies = Dependencies {
        clock: machine.clock.clone(),
        grid: node.clone().into(),
        node: NodeId(machine.number),
        feed: Arc::new(queue(&world.feed, "order-events-feed")),
        dead_letters: Arc::new(queue(&world.dead_letters, "order-events-feed-dlq")),
        connection_polling: ConnectionPollingClient::new(fallback),
        gateway_core: GatewayCoreClient::new(core.transport()),
    };
    Service::build(Config { partitions, ..Config::new(key()) }, dependencies)
}

/// The way to the polls of machine `number`, which have a port of their own here.
pub fn connector(number: u64) -> Connector {
    Arc::new(move || {
        Box::pin(async move {
            let connection = TcpStream::connect((network::host_name(number), network::FEED_PORT)).await?;
            Ok(Box::new(connection) as BoxedConnection)
        })
    })
}

/// The way to the services of machine `number`, over the simulated network.
pub fn peer(number: u64) -> Transport {
    let connect = tower::service_fn(move |_: http::Uri| async move {
        TcpStream::connect(network::address(number)).await.map(TokioIo::new)
    });
    let address = format!("http://{}", network::address(number));
    transport::remote_through(&address, connect).expect("a host's name and port are an address")
}
