//! How often leaders were elected, for benchmarks that must not cause it.

use proto::grid_admin::StatusRequest;
use proto::grid_admin::grid_admin_client::GridAdminClient;
use proto::transport;

use crate::failure::{Context, Failure};

/// The grids of a node of `dev`.
const GRIDS: [&str; 2] = ["order-events", "merchant-connection"];

/// The terms of all partitions of all grids, added up, as the first of `nodes` knows them: grows with every election. 0
/// without nodes.
pub async fn terms(nodes: &[String]) -> Result<u64, Failure> {
    let Some(node) = nodes.first() else { return Ok(0) };
    let transport = transport::remote(&format!("http://{node}")).context("naming a node of the grid")?;
    let mut admin = GridAdminClient::new(transport);
    let mut sum = 0;
    for grid in GRIDS {
        let status =
            admin.status(StatusRequest { grid: grid.to_owned() }).await.context("asking for the grid's state")?;
        sum += status.into_inner().partitions.iter().map(|partition| partition.term).sum::<u64>();
    }
    Ok(sum)
}
