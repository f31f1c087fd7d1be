//! `comanda cluster init|add|remove|transfer|drain|status`: what an operator asks of the grid's nodes.
//!
//! Every command finds the cluster through `grid_seeds`; any node passes a change on to the one that decides it.

mod status;

use proto::grid_admin::{AddNodeRequest, DrainRequest, RemoveNodeRequest, StatusRequest, TransferRequest};
use serde_json::json;

use super::configuration;
use crate::cli::{ClusterCommand, ClusterNode, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::grid::admin_client::{ANSWER_TIMEOUT, Nodes, answer, change};

/// Does it.
pub async fn execute(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Init(rest) => init(&rest).await,
        ClusterCommand::Add { address, rest } => add(&address, &rest).await,
        ClusterCommand::Remove(ClusterNode { node, rest }) => remove(node, &rest).await,
        ClusterCommand::Status(rest) => status::execute(&rest).await,
        ClusterCommand::Transfer { grid, partition, node, rest } => transfer(&grid, partition, node, &rest).await,
        ClusterCommand::Drain(ClusterNode { node, rest }) => drain(node, &rest).await,
        ClusterCommand::Certificates(arguments) => super::certificates::execute(&arguments),
    }
}

/// The nodes that the seeds name; at least one of them answers.
async fn nodes(rest: &SettingsOnly) -> Result<Nodes, Failure> {
    let settings = configuration::settings(&rest.settings)?.grid;
    if settings.seeds.is_empty() {
        return Err(Failure::Usage("no node is known: name some with --grid-seeds, such as 127.0.0.1:7075".to_owned()));
    }
    let nodes = Nodes::of(&settings).await?;
    if nodes.reached.is_empty() {
        return Err(Failure::Failed(format!("no node answers:\n  {}", nodes.unreached.join("\n  "))));
    }
    nodes.unreached.iter().for_each(|line| eprintln!("comanda: {line}"));
    Ok(nodes)
}

fn done(rest: &SettingsOnly, text: &str) {
    if rest.output.json { println!("{}", json!({"ok": true})) } else { println!("{text}") }
}

async fn init(rest: &SettingsOnly) -> Result<(), Failure> {
    for (grid, count) in nodes(rest).await?.form().await? {
        eprintln!("comanda: {grid} is formed of {count} nodes");
    }
    done(rest, "the cluster is formed");
    Ok(())
}

async fn add(address: &str, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = nodes(rest).await?;
    let (node, _) = nodes.identify(address).await.map_err(|reason| Failure::Failed(format!("{address}: {reason}")))?;
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
    let nodes = nodes(rest).await?;
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
    let nodes = nodes(rest).await?;
    let request = TransferRequest { grid: grid.to_owned(), partition: u32::from(partition), to: node };
    change(&format!("transferring partition {partition} of {grid}"), nodes.any(grid)?.transfer(request)).await?;
    done(rest, &format!("node {node} leads partition {partition} of {grid}"));
    Ok(())
}

async fn drain(node: u64, rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = nodes(rest).await?;
    for grid in nodes.grids() {
        let mut any = nodes.any(&grid)?;
        let seen = answer(any.status(StatusRequest { grid: grid.clone() }), ANSWER_TIMEOUT).await;
        let seen = seen.context(&format!("asking for the members of {grid}"))?;
        let Some(member) = seen.members.into_iter().find(|member| member.id == node) else {
            return Err(Failure::Usage(format!("node {node} is not a member of {grid}")));
        };
        let (_, mut admin) = nodes
            .identify(&member.address)
            .await
            .map_err(|reason| Failure::Failed(format!("node {node} at {}: {reason}", member.address)))?;
        change(&format!("draining node {node} of {grid}"), admin.drain(DrainRequest { grid: grid.clone() })).await?;
    }
    done(rest, &format!("node {node} leads nothing"));
    Ok(())
}
