//! Talking to grid nodes as an operator does: who they are, what they know, and forming a cluster of them.
//!
//! Used by the `cluster` commands and by `dev`, which forms the cluster of its own nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::grid_admin::grid_admin_client::GridAdminClient;
use proto::grid_admin::{IdentifyReply, IdentifyRequest, InitRequest, Member, StatusRequest};
use proto::transport::Transport;
use tonic::Status;

use super::link::GridLink;
use crate::failure::Failure;
use crate::settings::grid::GridSettings;

/// How long a node may take to say who it is.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change may take: moving a partition takes as long as its snapshot.
pub const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// The client of one node.
pub type Admin = GridAdminClient<Transport>;

/// Some nodes of a cluster, reached through the seeds.
pub struct Nodes {
    settings: GridSettings,
    link: GridLink,
    /// Who answered, and how to ask on.
    pub reached: Vec<(IdentifyReply, Admin)>,
    /// Who did not, and why.
    pub unreached: Vec<String>,
}

impl Nodes {
    /// Asks every seed who it is.
    ///
    /// # Errors
    /// When the grid's certificates cannot be used.
    pub async fn of(settings: &GridSettings) -> Result<Self, Failure> {
        Ok(Self::through(GridLink::new(settings).await?, settings).await)
    }

    /// As [`Nodes::of`], with certificates that were read before.
    pub async fn through(link: GridLink, settings: &GridSettings) -> Self {
        let mut nodes = Self { settings: settings.clone(), link, reached: Vec::new(), unreached: Vec::new() };
        for seed in &settings.seeds {
            match nodes.identify(seed).await {
                Ok(node) => nodes.reached.push(node),
                Err(reason) => nodes.unreached.push(format!("{seed}: {reason}")),
            }
        }
        nodes
    }

    /// Asks the node at `address` who it is.
    ///
    /// # Errors
    /// With the reason, in words, why it is no node of this cluster or does not answer.
    pub async fn identify(&self, address: &str) -> Result<(IdentifyReply, Admin), String> {
        let transport = self.link.connect(address).map_err(|error| error.to_string())?;
        let mut admin = GridAdminClient::new(transport);
        let reply = answer(admin.identify(IdentifyRequest {}), ANSWER_TIMEOUT).await.map_err(|status| said(&status))?;
        let ours = &self.settings.cluster;
        if reply.cluster == *ours {
            Ok((reply, admin))
        } else {
            Err(format!("it belongs to cluster {:?}, not to {ours:?}", reply.cluster))
        }
    }

    /// The grids that these nodes run.
    pub fn grids(&self) -> Vec<String> {
        let mut grids: Vec<String> = self.reached.iter().flat_map(|(node, _)| node.grids.clone()).collect();
        grids.sort_unstable();
        grids.dedup();
        grids
    }

    /// A node that runs `grid`.
    ///
    /// # Errors
    /// When none does.
    pub fn any(&self, grid: &str) -> Result<Admin, Failure> {
        let of_grid = self.reached.iter().find(|(node, _)| node.grids.iter().any(|name| name == grid));
        let known = self.grids().join(", ");
        of_grid
            .map(|(_, admin)| admin.clone())
            .ok_or_else(|| Failure::Usage(format!("no node runs grid {grid:?}; known: {known}")))
    }

    /// Forms each grid that is not formed yet of the nodes that run it; answers each with its number of nodes.
    ///
    /// # Errors
    /// When a node did not answer or refuses, or every grid has been formed already.
    pub async fn form(&self) -> Result<Vec<(String, usize)>, Failure> {
        if let Some(unreached) = self.unreached.first() {
            return Err(Failure::Failed(format!("every node must answer before a cluster is formed: {unreached}")));
        }
        let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for (node, _) in &self.reached {
            for grid in &node.grids {
                members.entry(grid.clone()).or_default().extend(node.member.clone());
            }
        }
        let mut formed = Vec::new();
        for (grid, members) in members {
            // An earlier attempt may have formed one of two.
            if self.is_formed(&grid).await {
                continue;
            }
            let (mut admin, count) = (self.any(&grid)?, members.len());
            change(&format!("forming {grid}"), admin.init(InitRequest { grid: grid.clone(), members })).await?;
            formed.push((grid, count));
        }
        if formed.is_empty() {
            return Err(Failure::Failed("the cluster was formed already".to_owned()));
        }
        Ok(formed)
    }

    /// Whether `grid` has been formed, as far as any of these nodes knows.
    pub async fn is_formed(&self, grid: &str) -> bool {
        for (_, admin) in &self.reached {
            let status = answer(admin.clone().status(StatusRequest { grid: grid.to_owned() }), ANSWER_TIMEOUT).await;
            if status.is_ok_and(|status| status.formed) {
                return true;
            }
        }
        false
    }
}

/// The answer of a call, or that there was none in time.
pub async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    timeout: Duration,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answered) => answered.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {timeout:?}"))),
    }
}

/// What a refusal says.
pub fn said(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}

/// Waits for a change that `what` names.
///
/// # Errors
/// With what the node said.
pub async fn change<T>(
    what: &str,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<(), Failure> {
    let done = answer(call, CHANGE_TIMEOUT).await;
    done.map(|_| ()).map_err(|status| Failure::Failed(format!("{what}: {}", said(&status))))
}
