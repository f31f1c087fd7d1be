//! The gRPC server over a [`Handle`], for kitchen-api in another process, and what the wire's messages mean to it.
//!
//! Polls and acknowledgments come over [`crate::connections`]: here are their answers, and the calls that are rare. A
//! request that cannot be read is answered by itself, with an error.

use std::collections::BTreeSet;

use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use order_model::{EventId, PartitionId};
use proto::feed::{AcknowledgeRequest, PollReply, PollRequest, RefusedPartition};
use proto::order_events::order_events_server::{OrderEvents, OrderEventsServer};
use proto::order_events::{
    AcknowledgeReply, GetCachedOrderReply, GetCachedOrderRequest, PartitionLeader, PartitionStatus, StatusReply,
    StatusRequest,
};
use proto::transport::BoxedServer;
use proto::{conversions, feed};
use replicated_grid::{Leadership, NodeId};
use tonic::{Request, Response, Status};

use crate::poll::{PollFlags, PollOutcome, RefusalReason};
use crate::service::Handle;

/// The generated server.
pub fn grpc(handle: Handle) -> BoxedServer<OrderEventsServer<Handle>> {
    BoxedServer::new(OrderEventsServer::new(handle))
}

#[tonic::async_trait]
impl OrderEvents for Handle {
    async fn get_cached_order(
        &self,
        request: Request<GetCachedOrderRequest>,
    ) -> Result<Response<GetCachedOrderReply>, Status> {
        let order = conversions::order_id(&request.into_inner().order_id)?;
        let cached = self.cached_order(order).ok_or_else(|| Status::not_found("the order is not cached"))?;
        let merchant_id = conversions::to_bytes(cached.merchant.as_bytes());
        Ok(Response::new(GetCachedOrderReply { merchant_id, body: cached.body, sequence: cached.sequence }))
    }

    async fn status(&self, _request: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let partitions = Handle::status(self).into_iter().map(|status| PartitionStatus {
            partition: u32::from(status.partition.0),
            serving: status.why_not.is_none(),
            why_not: status.why_not.map(reason_text).unwrap_or_default().to_owned(),
            events: status.events,
            acknowledgments: status.acknowledgments,
            fence_epoch: status.fence_epoch,
            leader: number_of(status.leader),
            term: status.term,
            rebuilt: status.rebuilt,
        });
        let rebuilding = self.rebuilding();
        Ok(Response::new(StatusReply {
            partitions: partitions.collect(),
            node: self.node().0,
            rebuild_items_done: rebuilding.items_done,
            rebuild_items_estimate: rebuilding.items_estimate,
        }))
    }
}

/// Answers a poll.
///
/// # Errors
/// When the request cannot be read.
pub(crate) fn poll(handle: &Handle, request: &PollRequest) -> Result<PollReply, Status> {
    let authorised = conversions::authorised_from_wire(request)?;
    let filter = conversions::filter_from_wire(request.filter.as_ref())?;
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let flags = PollFlags { fallback_unreachable: request.fallback_unreachable, shadow: request.shadow };
    Ok(to_wire(&handle.poll(&authorised, &filter, limit, flags)))
}

fn to_wire(outcome: &PollOutcome) -> PollReply {
    let refused = outcome.refused.iter().map(|refused| {
        let (leader, term) = match refused.reason {
            RefusalReason::NotLeader { leader, term } => (number_of(leader), term),
            RefusalReason::NotServing | RefusalReason::FenceUnreadable | RefusalReason::Overloaded => (0, 0),
        };
        let (partition, reason) = (u32::from(refused.partition.0), i32::from(reason_to_wire(refused.reason)));
        RefusedPartition { partition, reason, leader, term }
    });
    PollReply {
        events: outcome.events.iter().map(conversions::event_to_wire).collect(),
        hidden_ids: outcome.hidden.iter().map(|id| conversions::to_bytes(id.as_bytes())).collect(),
        refused: refused.collect(),
        struck_ids: outcome.struck.iter().map(|id| conversions::to_bytes(id.as_bytes())).collect(),
        strikes: outcome.strikes,
    }
}

/// Applies an acknowledgment, here or where it is led.
///
/// # Errors
/// When the request cannot be read.
pub(crate) async fn acknowledge(handle: &Handle, request: &AcknowledgeRequest) -> Result<AcknowledgeReply, Status> {
    let application = conversions::application_id(&request.application_id)?;
    let ids = ids_of(request)?;
    let refused = handle.acknowledge(&application, &ids).await;
    Ok(AcknowledgeReply {
        refused_partitions: refused.into_iter().map(|PartitionId(number)| u32::from(number)).collect(),
        leaders: leaders_elsewhere(handle, &ids),
    })
}

/// The answer where there is no room for another acknowledgment.
///
/// # Errors
/// When the request cannot be read.
pub(crate) fn refuse_all(handle: &Handle, request: &AcknowledgeRequest) -> Result<AcknowledgeReply, Status> {
    let partitions = partitions_of(handle, &ids_of(request)?);
    let refused_partitions = partitions.into_iter().map(|PartitionId(number)| u32::from(number)).collect();
    Ok(AcknowledgeReply { refused_partitions, leaders: Vec::new() })
}

fn ids_of(request: &AcknowledgeRequest) -> Result<Vec<EventId>, Status> {
    if request.event_ids.len() > ACKNOWLEDGMENT_IDS_MAX {
        return Err(Status::invalid_argument("event_ids are too many"));
    }
    request.event_ids.iter().map(|id| conversions::event_id(id)).collect()
}

fn partitions_of(handle: &Handle, ids: &[EventId]) -> BTreeSet<PartitionId> {
    ids.iter().map(|id| handle.shared.partition_of(id.routing_hash())).collect()
}

/// Who leads those partitions of `ids` that are not led here.
fn leaders_elsewhere(handle: &Handle, ids: &[EventId]) -> Vec<PartitionLeader> {
    let concerned = partitions_of(handle, ids).into_iter();
    let known = concerned.map(|partition| (partition, handle.shared.leadership_of(partition)));
    let elsewhere = known.filter(|(_, leadership)| !leadership.is_ours);
    let to_wire = |(partition, leadership): (PartitionId, Leadership)| PartitionLeader {
        partition: u32::from(partition.0),
        leader: number_of(leadership.leader),
        term: leadership.term,
    };
    elsewhere.map(to_wire).collect()
}

fn number_of(node: Option<NodeId>) -> u64 {
    node.unwrap_or_default().0
}

const fn reason_to_wire(reason: RefusalReason) -> feed::RefusalReason {
    match reason {
        RefusalReason::NotServing => feed::RefusalReason::NotServing,
        RefusalReason::NotLeader { .. } => feed::RefusalReason::NotLeader,
        RefusalReason::FenceUnreadable => feed::RefusalReason::FenceUnreadable,
        RefusalReason::Overloaded => feed::RefusalReason::Overloaded,
    }
}

const fn reason_text(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::NotLeader { .. } => "not led here",
        RefusalReason::NotServing => "starting, rebuilding or fenced out",
        RefusalReason::FenceUnreadable => "the fence cannot be read",
        RefusalReason::Overloaded => "overloaded",
    }
}
