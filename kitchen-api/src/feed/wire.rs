//! A poll and its answer between [`PollQuery`] and the messages both feeds speak.
//!
//! Used by [`super::remote`] and [`super::fallback`]. An event that cannot be read (of a newer version, say) is left
//! out and counted: it stays pending, and one of them must not cost a merchant all others.

use bytes::Bytes;
use event_feed::FeedEvent;
use order_model::{EventId, PartitionId};
use proto::{conversions, feed, order_events};
use tonic::Status;

use super::leaders::{LeaderHint, NodeId};
use super::primary::{PollOutcome, PollQuery, Refusal, Refused, Standing};

/// The request of a poll.
pub(super) fn poll_request(query: &PollQuery<'_>) -> feed::PollRequest {
    feed::PollRequest {
        application_id: query.authorised.application().as_str().to_owned(),
        merchants: conversions::merchants_to_wire(query.authorised),
        filter: Some(conversions::filter_to_wire(query.filter)),
        limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
        fallback_unreachable: query.fallback_unreachable,
        shadow: query.shadow,
    }
}

/// The request of an acknowledgment.
pub(super) fn acknowledge_request(
    application: &order_model::ApplicationId,
    ids: &[EventId],
) -> feed::AcknowledgeRequest {
    feed::AcknowledgeRequest {
        application_id: application.as_str().to_owned(),
        event_ids: ids.iter().map(|id| conversions::to_bytes(id.as_bytes())).collect(),
    }
}

/// The answer of a poll. Bodies are copied: a slice would pin the whole message.
///
/// # Errors
/// When a hidden or struck id or a partition is not one: the answer as a whole cannot be trusted then.
pub(super) fn outcome(reply: &feed::PollReply) -> Result<PollOutcome, Status> {
    outcome_with(reply, readable(reply.events.iter().map(conversions::event_from_wire), reply.events.len()))
}

/// The same out of an answer whose parts stand alone, so that bodies need no copy.
///
/// # Errors
/// As [`outcome`].
pub(super) fn outcome_taken(mut reply: feed::PollReply) -> Result<PollOutcome, Status> {
    let events = std::mem::take(&mut reply.events);
    let count = events.len();
    outcome_with(&reply, readable(events.into_iter().map(conversions::event_taken_from_wire), count))
}

fn outcome_with(reply: &feed::PollReply, events: Vec<FeedEvent>) -> Result<PollOutcome, Status> {
    let ids =
        |wire: &[Bytes]| wire.iter().map(|id| conversions::event_id(id)).collect::<Result<Vec<EventId>, Status>>();
    let refused: Result<Vec<Refused>, Status> = reply.refused.iter().map(refused).collect();
    Ok(PollOutcome {
        events,
        hidden: ids(&reply.hidden_ids)?,
        refused: refused?,
        is_cut: false,
        struck: ids(&reply.struck_ids)?,
        strikes: reply.strikes,
    })
}

fn readable(wire: impl Iterator<Item = Result<FeedEvent, Status>>, count: usize) -> Vec<FeedEvent> {
    let events: Vec<FeedEvent> = wire.filter_map(Result::ok).collect();
    let unreadable = count - events.len();
    if unreadable > 0 {
        metrics::counter!("comanda_kitchen_api_unreadable_events_total").increment(unreadable as u64);
        tracing::error!(unreadable, "a feed answered events that cannot be read; they stay pending");
    }
    events
}

fn refused(wire: &feed::RefusedPartition) -> Result<Refused, Status> {
    let refusal = match wire.reason() {
        feed::RefusalReason::FenceUnreadable => Refusal::FenceUnreadable,
        feed::RefusalReason::Overloaded => Refusal::Overloaded,
        feed::RefusalReason::NotLeader => {
            Refusal::NotLeader { leader: NodeId::from_number(wire.leader), term: wire.term }
        }
        feed::RefusalReason::NotServing | feed::RefusalReason::Unspecified => Refusal::NotServing,
    };
    Ok(Refused { partition: partition(wire.partition)?, refusal })
}

/// A partition's number.
pub(super) fn partition(number: u32) -> Result<PartitionId, Status> {
    let number = u16::try_from(number).map_err(|_| Status::invalid_argument("partition is malformed"))?;
    Ok(PartitionId(number))
}

/// How partitions stand, out of a node's status.
///
/// # Errors
/// When a partition is not one.
pub(super) fn standing(reply: &order_events::StatusReply) -> Result<Standing, Status> {
    let mut standing = Standing { node: NodeId::from_number(reply.node), ..Standing::default() };
    for status in &reply.partitions {
        let partition = partition(status.partition)?;
        standing.leaders.push(LeaderHint { partition, leader: NodeId::from_number(status.leader), term: status.term });
        if !status.serving {
            standing.unserved.push(partition);
        }
    }
    Ok(standing)
}

/// Who leads what, out of the answer of an acknowledgment.
///
/// # Errors
/// When a partition is not one.
pub(super) fn leaders(reply: &order_events::AcknowledgeReply) -> Result<Vec<LeaderHint>, Status> {
    let hint = |wire: &order_events::PartitionLeader| {
        let leader = NodeId::from_number(wire.leader);
        Ok(LeaderHint { partition: partition(wire.partition)?, leader, term: wire.term })
    };
    reply.leaders.iter().map(hint).collect()
}
