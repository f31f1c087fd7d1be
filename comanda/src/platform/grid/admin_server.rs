//! The operator's side of a grid node over gRPC: forms, changes and shows the grids that run here.

use std::sync::Arc;
use std::time::Duration;

use proto::grid_admin::grid_admin_server::{GridAdmin, GridAdminServer};
use proto::grid_admin::{
    AddNodeRequest, ChangeReply, DrainRequest, IdentifyReply, IdentifyRequest, InitRequest, Member as WireMember,
    Partition, RemoveNodeRequest, StatusReply, StatusRequest, TransferRequest,
};
use replicated_grid::replicated::{AdminError, GridStatus, PartitionStatus};
use replicated_grid::{Member, NodeId};
use tonic::{Request, Response, Status};

use super::control::GridControl;

/// How long electing the first leaders, or one leader more, may take.
const ELECTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How long moving everything off a node may take before the caller is told that it goes on.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(540);

/// Most members that a request may name.
const MEMBERS_MAX: usize = 256;

/// One grid of this node.
pub type NamedGrid = (&'static str, Arc<dyn GridControl>);

/// The server.
#[derive(Clone)]
pub struct AdminServer {
    member: Member,
    cluster: String,
    is_durable: bool,
    grids: Arc<[NamedGrid]>,
}

impl AdminServer {
    /// For the node `member` of `cluster`.
    pub fn new(member: Member, cluster: String, is_durable: bool, grids: Arc<[NamedGrid]>) -> GridAdminServer<Self> {
        GridAdminServer::new(Self { member, cluster, is_durable, grids })
    }

    fn grid(&self, name: &str) -> Result<&Arc<dyn GridControl>, Status> {
        let found = self.grids.iter().find(|(known, _)| *known == name).map(|(_, grid)| grid);
        found.ok_or_else(|| Status::not_found(format!("this node does not run the grid {name:?}")))
    }
}

#[tonic::async_trait]
impl GridAdmin for AdminServer {
    async fn identify(&self, _: Request<IdentifyRequest>) -> Result<Response<IdentifyReply>, Status> {
        Ok(Response::new(IdentifyReply {
            member: Some(to_wire(&self.member)),
            cluster: self.cluster.clone(),
            grids: self.grids.iter().map(|(name, _)| (*name).to_owned()).collect(),
            durable: self.is_durable,
        }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<ChangeReply>, Status> {
        let InitRequest { grid, members } = request.into_inner();
        if members.is_empty() || members.len() > MEMBERS_MAX {
            return Err(Status::invalid_argument(format!("members: expected 1 to {MEMBERS_MAX}")));
        }
        let members = members.into_iter().map(from_wire).collect::<Result<Vec<Member>, Status>>()?;
        done(self.grid(&grid)?.init(members, ELECTION_TIMEOUT).await)
    }

    async fn add_node(&self, request: Request<AddNodeRequest>) -> Result<Response<ChangeReply>, Status> {
        let AddNodeRequest { grid, member } = request.into_inner();
        let member = from_wire(member.ok_or_else(|| Status::invalid_argument("member: is missing"))?)?;
        done(self.grid(&grid)?.add_node(member).await)
    }

    async fn remove_node(&self, request: Request<RemoveNodeRequest>) -> Result<Response<ChangeReply>, Status> {
        let RemoveNodeRequest { grid, node } = request.into_inner();
        done(self.grid(&grid)?.remove_node(NodeId(node), REMOVE_TIMEOUT).await)
    }

    async fn transfer(&self, request: Request<TransferRequest>) -> Result<Response<ChangeReply>, Status> {
        let TransferRequest { grid, partition, to } = request.into_inner();
        let partition = u16::try_from(partition)
            .map_err(|_| Status::invalid_argument("partition: expected a number below 65536"))?;
        done(self.grid(&grid)?.transfer(partition, NodeId(to), ELECTION_TIMEOUT).await)
    }

    async fn drain(&self, request: Request<DrainRequest>) -> Result<Response<ChangeReply>, Status> {
        done(self.grid(&request.into_inner().grid)?.drain(ELECTION_TIMEOUT).await)
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        Ok(Response::new(status_to_wire(&self.grid(&request.into_inner().grid)?.status())))
    }
}

fn done(outcome: Result<(), AdminError>) -> Result<Response<ChangeReply>, Status> {
    let Err(error) = outcome else { return Ok(Response::new(ChangeReply {})) };
    let text = crate::failure::chain(&error);
    Err(match error {
        AdminError::AlreadyFormed { .. } => Status::already_exists(text),
        AdminError::NotAMember | AdminError::UnknownPartition { .. } => Status::invalid_argument(text),
        AdminError::Refused { .. } => Status::failed_precondition(text),
        AdminError::Unreachable { .. } | AdminError::NotDecided(_) => Status::unavailable(text),
        AdminError::NotYet { .. } => Status::deadline_exceeded(text),
    })
}

fn to_wire(member: &Member) -> WireMember {
    WireMember { id: member.id.0, address: member.address.clone() }
}

fn from_wire(member: WireMember) -> Result<Member, Status> {
    if member.id == 0 || member.address.is_empty() {
        return Err(Status::invalid_argument("member: expected an id from 1 and an address host:port"));
    }
    Ok(Member { id: NodeId(member.id), address: member.address })
}

fn status_to_wire(status: &GridStatus) -> StatusReply {
    let number = |node: Option<NodeId>| node.map_or(0, |node| node.0);
    let partition = |partition: &PartitionStatus| Partition {
        partition: u32::from(partition.partition),
        leader: number(partition.leader),
        term: partition.term,
        replicas: partition.replicas.iter().map(|node| node.0).collect(),
        log_index: partition.last_index,
        applied_index: partition.applied_index,
        serving: partition.is_serving,
    };
    StatusReply {
        formed: status.is_formed,
        replication_factor: u32::from(status.replication_factor),
        control_leader: number(status.control_leader),
        members: status.members.iter().map(|member| to_wire(&member.member)).collect(),
        partitions: status.partitions.iter().map(partition).collect(),
    }
}
