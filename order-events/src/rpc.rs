//! The gRPC server over a [`Handle`], for kitchen-api in another process.
//!
//! One bidirectional stream per node pair: what gathered while the last message was written goes out as one message,
//! which costs a fraction of one call per poll. A request that cannot be read is answered by itself, with an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use event_feed::PAGE_BYTES_MAX;
use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use order_model::{EventId, PartitionId};
use proto::feed::{AcknowledgeRequest, PollReply, PollRequest, RefusedPartition};
use proto::order_events::order_events_server::{OrderEvents, OrderEventsServer};
use proto::order_events::reply::Outcome;
use proto::order_events::request::Call;
use proto::order_events::{
    AcknowledgeReply, ExchangeReply, ExchangeRequest, GetCachedOrderReply, GetCachedOrderRequest, PartitionLeader,
    PartitionStatus, Reply, Request as ExchangeCall, StatusReply, StatusRequest,
};
use proto::{conversions, feed};
use replicated_grid::{Leadership, NodeId};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::poll::{PollFlags, PollOutcome, RefusalReason};
use crate::service::Handle;

/// The largest message either way: a page of 4 MiB of bodies with its headers, or 10,000 ids.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most replies sent as one message, and the most that may wait.
const REPLIES_PER_MESSAGE_MAX: usize = 256;
const REPLIES_WAITING_MAX: usize = 1_024;

/// The most acknowledgments of one stream under way at once; further ones are refused, so that polls never wait for them.
/// A quorum takes milliseconds, a partition that has lost its leader up to a second.
const ACKNOWLEDGMENTS_MAX: usize = 512;

/// The most messages that wait for the transport.
const MESSAGES_WAITING_MAX: usize = 4;

/// The generated server with its limits set.
pub fn grpc(handle: Handle) -> OrderEventsServer<Handle> {
    OrderEventsServer::new(handle)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

#[tonic::async_trait]
impl OrderEvents for Handle {
    type ExchangeStream = ReceiverStream<Result<ExchangeReply, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (replies, waiting) = mpsc::channel(REPLIES_WAITING_MAX);
        let (messages, outgoing) = mpsc::channel(MESSAGES_WAITING_MAX);
        // Both end with the stream: the reader when it does, the writer when the last reply was handed over.
        tokio::spawn(read_requests(self.clone(), request.into_inner(), replies));
        tokio::spawn(write_replies(waiting, messages));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn get_cached_order(
        &self,
        request: Request<GetCachedOrderRequest>,
    ) -> Result<Response<GetCachedOrderReply>, Status> {
        let order = conversions::order_id(&request.into_inner().order_id)?;
        let cached = self.cached_order(order).ok_or_else(|| Status::not_found("the order is not cached"))?;
        let merchant_id = conversions::to_bytes(cached.merchant.as_bytes());
        Ok(Response::new(GetCachedOrderReply { merchant_id, body: cached.body }))
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

async fn read_requests(handle: Handle, mut requests: Streaming<ExchangeRequest>, replies: mpsc::Sender<Reply>) {
    let acknowledging = Arc::new(Semaphore::new(ACKNOWLEDGMENTS_MAX));
    while let Ok(Some(message)) = requests.message().await {
        for ExchangeCall { correlation, call } in message.requests {
            let outcome = match call {
                Some(Call::Poll(request)) => {
                    poll(&handle, &request).map_or_else(|status| refuse(&status), Outcome::Poll)
                }
                Some(Call::Acknowledge(request)) => {
                    let Ok(permit) = Arc::clone(&acknowledging).try_acquire_owned() else {
                        let refused = refuse_all(&handle, &request);
                        let outcome = refused.map_or_else(|status| refuse(&status), Outcome::Acknowledge);
                        if replies.send(Reply { correlation, outcome: Some(outcome) }).await.is_err() {
                            return;
                        }
                        continue;
                    };
                    let (handle, replies) = (handle.clone(), replies.clone());
                    tokio::spawn(async move {
                        let outcome = acknowledge(&handle, &request).await;
                        let outcome = outcome.map_or_else(|status| refuse(&status), Outcome::Acknowledge);
                        // Whoever asked may have gone away; what was applied stays so.
                        let _ = replies.send(Reply { correlation, outcome: Some(outcome) }).await;
                        drop(permit);
                    });
                    continue;
                }
                None => Outcome::Error("call is absent".to_owned()),
            };
            if replies.send(Reply { correlation, outcome: Some(outcome) }).await.is_err() {
                return;
            }
        }
    }
}

/// Sends whatever has gathered as one message, split where it would grow beyond what a message may hold.
async fn write_replies(mut waiting: mpsc::Receiver<Reply>, messages: mpsc::Sender<Result<ExchangeReply, Status>>) {
    let mut gathered = Vec::with_capacity(REPLIES_PER_MESSAGE_MAX);
    while waiting.recv_many(&mut gathered, REPLIES_PER_MESSAGE_MAX).await > 0 {
        let (mut replies, mut bytes) = (Vec::with_capacity(gathered.len()), 0);
        for reply in gathered.drain(..) {
            let size = body_bytes(&reply);
            if bytes + size > PAGE_BYTES_MAX && !replies.is_empty() {
                let full = ExchangeReply { replies: std::mem::take(&mut replies) };
                if messages.send(Ok(full)).await.is_err() {
                    return;
                }
                bytes = 0;
            }
            bytes += size;
            replies.push(reply);
        }
        if messages.send(Ok(ExchangeReply { replies })).await.is_err() {
            return;
        }
    }
}

/// About how large a reply is: bodies, and what each event and hidden id takes beside.
fn body_bytes(reply: &Reply) -> usize {
    match &reply.outcome {
        Some(Outcome::Poll(poll)) => {
            poll.events.iter().map(|event| event.body.len() + 128).sum::<usize>() + poll.hidden_ids.len() * 18
        }
        Some(Outcome::Acknowledge(_) | Outcome::Error(_)) | None => 0,
    }
}

fn refuse(status: &Status) -> Outcome {
    Outcome::Error(status.message().to_owned())
}

fn poll(handle: &Handle, request: &PollRequest) -> Result<PollReply, Status> {
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
    }
}

async fn acknowledge(handle: &Handle, request: &AcknowledgeRequest) -> Result<AcknowledgeReply, Status> {
    let application = conversions::application_id(&request.application_id)?;
    let ids = ids_of(request)?;
    let refused = handle.acknowledge(&application, &ids).await;
    Ok(AcknowledgeReply {
        refused_partitions: refused.into_iter().map(|PartitionId(number)| u32::from(number)).collect(),
        leaders: leaders_elsewhere(handle, &ids),
    })
}

/// The answer where there is no room for another acknowledgment.
fn refuse_all(handle: &Handle, request: &AcknowledgeRequest) -> Result<AcknowledgeReply, Status> {
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
