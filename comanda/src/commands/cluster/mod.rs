//! `comanda cluster init|add|remove|transfer|drain|status`: what an operator asks of the grid's nodes.
//!
//! Every command finds the cluster through `grid_seeds`; any node passes a change on to the one that decides it.

mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use proto::grid_admin::grid_admin_client::GridAdminClient;
use proto::grid_admin::{
    AddNodeRequest, DrainRequest, IdentifyReply, IdentifyRequest, InitRequest, Member, RemoveNodeRequest,
    StatusRequest, TransferRequest,
};
use proto::transport::Transport;
use serde_json::json;
use tonic::Status;

use super::configuration;
use crate::cli::{ClusterCommand, ClusterNode, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::grid::link;
use crate::settings::Settings;

/// How long a node may take to say who it is.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change may take: moving a partition takes as long as its snapshot.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

type Admin = GridAdminClient<Transport>;

/// Does it.
pub async fn execute(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Init(rest) => init(&rest).await,
        ClusterCommand::Add { address, rest } => add(&address, &rest).await,
        ClusterCommand::Remove(ClusterNode { node, rest }) => remove(node, &rest).await,
        ClusterCommand::Status(rest) => status::execute(&rest).await,
        ClusterCommand::Transfer { grid, partition, node, rest } => transfer(&grid, partition, node, &rest).await,
        ClusterCommand::Drain(ClusterNode { node, rest }) => drain(node, &rest).await,
        ClusterCommand::Certificates(_) => Err(Failure::Usage("certificates are not made yet".to_owned())),
    }
}

/// Some nodes of a cluster, reached through the seeds.
struct Nodes {
    settings: Settings,
    reached: Vec<(IdentifyReply, Admin)>,
}

impl Nodes {
    /// Asks every seed who it is.
    async fn of(rest: &SettingsOnly) -> Result<Self, Failure> {
        let settings = configuration::settings(&rest.settings)?;
        if settings.grid.seeds.is_empty() {
            return Err(Failure::Usage(
                "no node is known: name some with --grid-seeds, such as 127.0.0.1:7075".to_owned(),
            ));
        }
        let (mut reached, mut unreached) = (Vec::new(), Vec::new());
        for seed in &settings.grid.seeds {
            match identify(seed, &settings).await {
                Ok(node) => reached.push(node),
                Err(failure) => unreached.push(format!("{seed}: {failure}")),
            }
        }
        if reached.is_empty() {
            return Err(Failure::Failed(format!("no node answers:\n  {}", unreached.join("\n  "))));
        }
        unreached.iter().for_each(|line| eprintln!("comanda: {line}"));
        Ok(Self { settings, reached })
    }

    fn grids(&self) -> Vec<String> {
        let mut grids: Vec<String> = self.reached.iter().flat_map(|(node, _)| node.grids.clone()).collect();
        grids.sort_unstable();
        grids.dedup();
        grids
    }

    /// A node that runs `grid`.
    fn any(&self, grid: &str) -> Result<Admin, Failure> {
        let of_grid = self.reached.iter().find(|(node, _)| node.grids.iter().any(|name| name == grid));
        let known = self.grids().join(", ");
        of_grid
            .map(|(_, admin)| admin.clone())
            .ok_or_else(|| Failure::Usage(format!("no node runs grid {grid:?}; known: {known}")))
    }
}

async fn identify(address: &str, settings: &Settings) -> Result<(IdentifyReply, Admin), String> {
    let transport = link::connect(address, &settings.grid).map_err(|error| error.to_string())?;
    let mut admin = GridAdminClient::new(transport);
    let reply = answer(admin.identify(IdentifyRequest {}), ANSWER_TIMEOUT).await.map_err(|status| said(&status))?;
    if reply.cluster == settings.grid.cluster {
        Ok((reply, admin))
    } else {
        Err(format!("it belongs to cluster {:?}, not to {:?}", reply.cluster, settings.grid.cluster))
    }
}

async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    timeout: Duration,
) -> Result<T, Status> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answered) => answered.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {timeout:?}"))),
    }
}

fn said(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}

async fn change<T>(what: &str, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<(), Failure> {
    let done = answer(call, CHANGE_TIMEOUT).await;
    done.map(|_| ()).map_err(|status| Failure::Failed(format!("{what}: {}", said(&status))))
}

fn done(rest: &SettingsOnly, text: &str) {
    if rest.output.json { println!("{}", json!({"ok": true})) } else { println!("{text}") }
}

async fn init(rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = Nodes::of(rest).await?;
    if nodes.reached.len() < nodes.settings.grid.seeds.len() {
        return Err(Failure::Failed("every node named must answer before a cluster is formed of them".to_owned()));
    }
    let mut members: BTreeMap<String, Vec<Member>> = BTreeMap::new();
    for (node, _) in &nodes.reached {
        for grid in &node.grids {
            members.entry(grid.clone()).or_default().extend(node.member.clone());
        }
    }
    for (grid, members) in members {
        let mut admin = nodes.any(&grid)?;
        let count = members.len();
        change(&format!("forming {grid}"), admin.init(InitRequest { grid: grid.clone(), members })).await?;
        eprintln!("comanda: {grid} is formed of {count} nodes");
    }
    done(rest, "the cluster is formed");
    Ok(())
}

async fn add(address: &str, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = Nodes::of(rest).await?;
    let (node, _) = identify(address, &nodes.settings)
        .await
        .map_err(|reason| Failure::Failed(format!("{address}: {reason}")))?;
    let id = node.member.as_ref().map_or(0, |member| member.id);
    for grid in node.grids {
        let mut admin = nodes.any(&grid)?;
        let request = AddNodeRequest { grid: grid.clone(), member: node.member.clone() };
        change(&format!("adding node {id} to {grid}"), admin.add_node(request)).await?;
    }
    done(rest, &format!("node {id} is a member; partitions move to it"));
    Ok(())
}

async fn remove(node: u64, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = Nodes::of(rest).await?;
    for grid in nodes.grids() {
        // The node that goes may be the one that was asked: it cannot see its own end.
        let others = nodes.reached.iter().filter(|(reached, _)| reached.member.as_ref().is_none_or(|m| m.id != node));
        let stays = others.filter(|(reached, _)| reached.grids.contains(&grid)).map(|(_, admin)| admin.clone()).next();
        let mut admin = stays.map_or_else(|| nodes.any(&grid), Ok)?;
        let request = RemoveNodeRequest { grid: grid.clone(), node };
        change(&format!("removing node {node} from {grid}"), admin.remove_node(request)).await?;
    }
    done(rest, &format!("node {node} is no longer a member"));
    Ok(())
}

async fn transfer(grid: &str, partition: u16, node: u64, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = Nodes::of(rest).await?;
    let request = TransferRequest { grid: grid.to_owned(), partition: u32::from(partition), to: node };
    change(&format!("transferring partition {partition} of {grid}"), nodes.any(grid)?.transfer(request)).await?;
    done(rest, &format!("node {node} leads partition {partition} of {grid}"));
    Ok(())
}

async fn drain(node: u64, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = Nodes::of(rest).await?;
    for grid in nodes.grids() {
        let mut any = nodes.any(&grid)?;
        let seen = answer(any.status(StatusRequest { grid: grid.clone() }), ANSWER_TIMEOUT).await;
        let seen = seen.context(&format!("asking for the members of {grid}"))?;
        let Some(member) = seen.members.into_iter().find(|member| member.id == node) else {
            return Err(Failure::Usage(format!("node {node} is not a member of {grid}")));
        };
        let (_, mut admin) = identify(&member.address, &nodes.settings)
            .await
            .map_err(|reason| Failure::Failed(format!("node {node} at {}: {reason}", member.address)))?;
        change(&format!("draining node {node} of {grid}"), admin.drain(DrainRequest { grid: grid.clone() })).await?;
    }
    done(rest, &format!("node {node} leads nothing"));
    Ok(())
}
