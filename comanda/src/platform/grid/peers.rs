//! Keeps kitchen-api's feed connected to the members of the grid, as they come and go.

use std::sync::Arc;
use std::time::Duration;

use kitchen_api::feed::{FeedNode, LeaderMap, RemoteFeed, RoutedFeed, SharedRandom};
use proto::grid_admin::StatusRequest;
use tokio_util::sync::CancellationToken;

use super::admin_client::{ANSWER_TIMEOUT, Nodes, answer};
use super::link::GridLink;
use crate::settings::grid::GridSettings;

/// How often the members are asked for. A feed that has lost a member works on with the others.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How soon again while nobody answers.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The name of order-events' grid.
const GRID: &str = "order-events";

/// What the feed's peers are made of.
pub struct FeedPeers {
    /// The feed to connect.
    pub feed: Arc<RoutedFeed>,
    /// What its peers tell of leaders.
    pub leaders: LeaderMap,
    /// How to reach nodes.
    pub link: GridLink,
    /// The seeds.
    pub settings: GridSettings,
    /// Our own address as a node, which is no peer.
    pub own: Option<String>,
    /// For reconnecting.
    pub random: SharedRandom,
}

impl FeedPeers {
    /// Connects the seeds at once: they are mostly all there is.
    pub fn begin(&self) {
        self.connect(&self.settings.seeds);
    }

    /// Follows the membership until `shutdown`.
    pub async fn follow(self, shutdown: CancellationToken) {
        let following = async {
            loop {
                let members = self.members().await;
                let pause = if members.is_some() { ASK_EVERY } else { ASK_AGAIN_AFTER };
                if let Some(members) = members {
                    self.connect(&members);
                }
                tokio::time::sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(following).await;
    }

    async fn members(&self) -> Option<Vec<String>> {
        let nodes = Nodes::through(self.link.clone(), &self.settings).await;
        for (_, mut admin) in nodes.reached {
            let status = answer(admin.status(StatusRequest { grid: GRID.to_owned() }), ANSWER_TIMEOUT).await;
            if let Some(status) = status.ok().filter(|status| status.formed) {
                return Some(status.members.into_iter().map(|member| member.address).collect());
            }
        }
        None
    }

    fn connect(&self, addresses: &[String]) {
        let others = addresses.iter().filter(|address| self.own.as_ref() != Some(address));
        let node = |address: &String| {
            let transport = self.link.connect(address).ok()?;
            let feed = RemoteFeed::new(transport, Arc::clone(&self.random)).telling(self.leaders.clone());
            Some(FeedNode { name: address.clone(), feed: Arc::new(feed) })
        };
        self.feed.set_peers(others.filter_map(node).collect());
    }
}
