//! A node must not come back under its id without its log: it would have forgotten whom it voted for and what it
//! acknowledged, and two leaders could be elected. The other members know whether it was one.

use std::path::Path;

use futures::future::join_all;
use proto::grid_admin::grid_admin_client::GridAdminClient;
use proto::grid_admin::{Member, StatusRequest};
use replicated_grid::NodeId;

use super::admin_client::{ANSWER_TIMEOUT, answer};
use super::link::GridLink;
use crate::failure::Failure;

/// Refuses to go on when a member of `grid` that answers at one of `seeds` knows `id` as a member, too. Nobody answers
/// when a whole cluster starts, and then nothing is known.
///
/// # Errors
/// With what an operator has to do.
pub async fn refuse_a_member(
    grid: &str,
    id: NodeId,
    directory: &Path,
    seeds: &[String],
    link: &GridLink,
) -> Result<(), Failure> {
    let asked = seeds.iter().map(|seed| members(grid, seed, link));
    let is_member = join_all(asked).await.iter().flatten().any(|member| member.id == id.0);
    if !is_member {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "node {id} is a member of {grid}, but {} holds no log of it: its disk was lost. It has forgotten its votes and must \
         not come back under this id. Take it out (comanda cluster remove {id}), start it with a node_id that was never \
         used, and add it (comanda cluster add <its address>)",
        directory.display()
    )))
}

/// The members as the node at `address` knows them; none when it does not answer or is in no cluster.
async fn members(grid: &str, address: &str, link: &GridLink) -> Vec<Member> {
    let Ok(transport) = link.connect(address) else { return Vec::new() };
    let mut admin = GridAdminClient::new(transport);
    let status = answer(admin.status(StatusRequest { grid: grid.to_owned() }), ANSWER_TIMEOUT).await;
    status.ok().filter(|status| status.formed).map(|status| status.members).unwrap_or_default()
}
