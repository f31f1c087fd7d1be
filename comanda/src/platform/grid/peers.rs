//! Keeps kitchen-api connected to the members of both grids, as they come and go.

use std::sync::Arc;
use std::time::Duration;

use kitchen_api::feed::{FeedNode, LeaderMap, RemoteFeed, RoutedFeed, SharedRandom};
use kitchen_api::presence::{PresenceNode, PresenceNodes};
use proto::grid_admin::StatusRequest;
use proto::transport::Transport;
use tokio_util::sync::CancellationToken;

use super::admin_client::{ANSWER_TIMEOUT, Nodes, answer};
use super::link::GridLink;
use super::node::{MERCHANT_CONNECTION, ORDER_EVENTS};
use crate::settings::grid::GridSettings;

/// How often the members are asked for. A feed that has lost a member works on with the others.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How soon again while nobody answers.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What is connected to the grids' nodes.
pub struct GridPeers {
    /// The feed to connect.
    pub feed: Arc<RoutedFeed>,
    /// What its peers tell of leaders.
    pub leaders: LeaderMap,
    /// merchant-connection's nodes.
    pub presence: PresenceNodes,
    /// merchant-connection of this process, if it has it.
    pub own_presence: Option<Transport>,
    /// How to reach nodes.
    pub link: GridLink,
    /// The seeds.
    pub settings: GridSettings,
    /// Our own address as a node, which is no peer.
    pub own: Option<String>,
    /// For reconnecting.
    pub random: SharedRandom,
}

impl GridPeers {
    /// Connects the seeds at once: they are mostly all there is.
    pub fn begin(&self) {
        self.connect_feed(&self.settings.seeds);
        self.connect_presence(&self.settings.seeds);
    }

    /// Follows the membership until `shutdown`.
    pub async fn follow(self, shutdown: CancellationToken) {
        let following = async {
            loop {
                let nodes = Nodes::through(self.link.clone(), &self.settings).await;
                let feed = members(&nodes, ORDER_EVENTS).await;
                let presence = members(&nodes, MERCHANT_CONNECTION).await;
                let pause = if feed.is_some() && presence.is_some() { ASK_EVERY } else { ASK_AGAIN_AFTER };
                feed.iter().for_each(|members| self.connect_feed(members));
                presence.iter().for_each(|members| self.connect_presence(members));
                tokio::time::sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    fn others<'a>(&'a self, addresses: &'a [String]) -> impl Iterator<Item = (&'a String, Transport)> {
        let others = addresses.iter().filter(|address| self.own.as_ref() != Some(address));
        others.filter_map(|address| Some((address, self.link.connect(address).ok()?)))
    }

    fn connect_feed(&self, addresses: &[String]) {
        let node = |(address, transport): (&String, Transport)| {
            let connector = self.link.feed_connector(address);
            let feed = RemoteFeed::new(transport, connector, Arc::clone(&self.random)).telling(self.leaders.clone());
            FeedNode { name: address.clone(), feed: Arc::new(feed) }
        };
        self.feed.set_peers(self.others(addresses).map(node).collect());
    }

    fn connect_presence(&self, addresses: &[String]) {
        let own = self
            .own_presence
            .iter()
            .map(|transport| PresenceNode { name: "this process".to_owned(), transport: transport.clone() });
        let node = |(address, transport): (&String, Transport)| PresenceNode { name: address.clone(), transport };
        self.presence.set_nodes(own.chain(self.others(addresses).map(node)).collect());
    }
}

/// Where the members of `grid` are, as the first node says that knows it.
async fn members(nodes: &Nodes, grid: &str) -> Option<Vec<String>> {
    for (_, admin) in &nodes.reached {
        let status = answer(admin.clone().status(StatusRequest { grid: grid.to_owned() }), ANSWER_TIMEOUT).await;
        if let Some(status) = status.ok().filter(|status| status.formed) {
            return Some(status.members.into_iter().map(|member| member.address).collect());
        }
    }
    None
}
