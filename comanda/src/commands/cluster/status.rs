//! `comanda cluster status`: members, and for each partition its replicas, its leader and how far each replica is.
//!
//! Every member is asked; each knows exactly only about itself.

use std::collections::BTreeMap;

use proto::grid_admin::{Member, Partition, StatusReply, StatusRequest};
use serde_json::{Value, json};

use crate::cli::SettingsOnly;
use crate::failure::Failure;
use crate::platform::grid::admin_client::{ANSWER_TIMEOUT, Nodes, answer};

/// One grid, as its members see it.
struct GridView {
    grid: String,
    /// Of the node with the newest terms.
    seen: StatusReply,
    /// What each reachable member says of itself.
    by_node: BTreeMap<u64, StatusReply>,
}

/// Asks and prints.
pub(super) async fn execute(rest: &SettingsOnly) -> Result<(), Failure> {
    let nodes = super::nodes(rest).await?;
    let mut views = Vec::new();
    for grid in nodes.grids() {
        views.push(view(&nodes, grid).await?);
    }
    if rest.output.json {
        println!("{}", json!({"grids": views.iter().map(as_json).collect::<Vec<Value>>()}));
    } else {
        println!("{}", views.iter().map(as_text).collect::<Vec<String>>().join("\n\n"));
    }
    Ok(())
}

async fn view(nodes: &Nodes, grid: String) -> Result<GridView, Failure> {
    let request = || StatusRequest { grid: grid.clone() };
    let mut by_node = BTreeMap::new();
    let mut members: Vec<Member> = nodes.reached.iter().filter_map(|(node, _)| node.member.clone()).collect();
    let mut asked: Vec<String> = Vec::new();
    while let Some(member) = members.pop() {
        if asked.contains(&member.address) {
            continue;
        }
        asked.push(member.address.clone());
        let Ok((_, mut admin)) = nodes.identify(&member.address).await else { continue };
        let Ok(status) = answer(admin.status(request()), ANSWER_TIMEOUT).await else { continue };
        members.extend(status.members.iter().cloned());
        by_node.insert(member.id, status);
    }
    let terms = |status: &StatusReply| status.partitions.iter().map(|partition| partition.term).sum::<u64>();
    let newest = by_node.values().max_by_key(|status| (status.formed, terms(status))).cloned();
    let seen = newest.ok_or_else(|| Failure::Failed(format!("no node tells the status of {grid}")))?;
    Ok(GridView { grid, seen, by_node })
}

impl GridView {
    fn own(&self, node: u64, partition: u32) -> Option<&Partition> {
        self.by_node.get(&node)?.partitions.iter().find(|own| own.partition == partition)
    }
}

fn as_json(view: &GridView) -> Value {
    let member = |member: &Member| json!({"id": member.id, "address": member.address, "reachable": view.by_node.contains_key(&member.id)});
    let partition = |partition: &Partition| {
        let replica = |node: &u64| {
            let own = view.own(*node, partition.partition);
            json!({
                "node": node, "appliedIndex": own.map(|own| own.applied_index), "logIndex": own.map(|own| own.log_index),
                "serving": own.is_some_and(|own| own.serving),
            })
        };
        json!({
            "partition": partition.partition, "term": partition.term,
            "leader": (partition.leader > 0).then_some(partition.leader),
            "replicas": partition.replicas.iter().map(replica).collect::<Vec<Value>>(),
        })
    };
    json!({
        "grid": view.grid, "formed": view.seen.formed, "replicationFactor": view.seen.replication_factor,
        "members": view.seen.members.iter().map(member).collect::<Vec<Value>>(),
        "partitions": view.seen.partitions.iter().map(partition).collect::<Vec<Value>>(),
    })
}

fn as_text(view: &GridView) -> String {
    let mut lines = vec![format!(
        "{}: {}, {} members, replication factor {}",
        view.grid,
        if view.seen.formed { "formed" } else { "not formed yet: comanda cluster init" },
        view.seen.members.len(),
        view.seen.replication_factor,
    )];
    for member in &view.seen.members {
        let leads = view.seen.partitions.iter().filter(|partition| partition.leader == member.id).count();
        let reached = if view.by_node.contains_key(&member.id) { "" } else { "   UNREACHABLE" };
        lines.push(format!("  node {:<20} {:<24} leads {leads}{reached}", member.id, member.address));
    }
    for partition in &view.seen.partitions {
        let replica = |node: &u64| match view.own(*node, partition.partition) {
            Some(own) => format!("{node} at {}", own.applied_index),
            None => format!("{node} ?"),
        };
        let replicas: Vec<String> = partition.replicas.iter().map(replica).collect();
        let leader = if partition.leader > 0 { partition.leader.to_string() } else { "NONE".to_owned() };
        let serving = view.own(partition.leader, partition.partition).is_some_and(|own| own.serving);
        lines.push(format!(
            "  partition {:<3} leader {leader} in term {}{}   replicas {}",
            partition.partition,
            partition.term,
            if serving { "" } else { ", NOT SERVING" },
            replicas.join(", "),
        ));
    }
    lines.join("\n")
}
