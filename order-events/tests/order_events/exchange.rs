//! The same answers over gRPC: one stream, many requests, answers by correlation.

use std::collections::BTreeMap;

use order_events::{Leadership, NodeId, rpc};
use proto::conversions;
use proto::feed::{AcknowledgeRequest, PollRequest, RefusalReason, RefusedPartition};
use proto::order_events::order_events_client::OrderEventsClient;
use proto::order_events::reply::Outcome;
use proto::order_events::request::Call;
use proto::order_events::{ExchangeRequest, GetCachedOrderRequest, PartitionLeader, Request, StatusRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::platform::{Platform, application, authorised, event, merchant, order, partition_of};

fn poll(correlation: u64) -> Request {
    let merchants = conversions::merchants_to_wire(&authorised(&application(), &[1]));
    let poll =
        PollRequest { application_id: application().to_string(), merchants, limit: 1_000, ..PollRequest::default() };
    Request { correlation, call: Some(Call::Poll(poll)) }
}

#[tokio::test(start_paused = true)]
async fn polls_and_acknowledgments_share_one_stream() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    let mut client = OrderEventsClient::new(proto::transport::local(rpc::grpc(platform.handle.clone())));
    let (requests, outgoing) = mpsc::channel(4);
    let unreadable = PollRequest { application_id: "a b".to_owned(), ..PollRequest::default() };
    let unreadable = Request { correlation: 9, call: Some(Call::Poll(unreadable)) };
    let first =
        ExchangeRequest { requests: vec![poll(7), unreadable, poll(8), Request { correlation: 10, call: None }] };
    requests.send(first).await.unwrap();
    let mut replies = client.exchange(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    let mut outcomes = BTreeMap::new();
    while outcomes.len() < 4 {
        let message = replies.message().await.unwrap().unwrap();
        outcomes.extend(message.replies.into_iter().map(|reply| (reply.correlation, reply.outcome.unwrap())));
    }
    for correlation in [7, 8] {
        let Outcome::Poll(reply) = &outcomes[&correlation] else { panic!("{:?}", outcomes[&correlation]) };
        assert_eq!(conversions::event_from_wire(&reply.events[0]).unwrap(), one);
    }
    assert_eq!(outcomes[&9], Outcome::Error("application_id is malformed".to_owned()));
    assert_eq!(outcomes[&10], Outcome::Error("call is absent".to_owned()));

    let event_ids = vec![conversions::to_bytes(one.id.as_bytes())];
    let acknowledge = AcknowledgeRequest { application_id: application().to_string(), event_ids };
    let acknowledge = Request { correlation: 11, call: Some(Call::Acknowledge(acknowledge)) };
    requests.send(ExchangeRequest { requests: vec![acknowledge] }).await.unwrap();
    let message = replies.message().await.unwrap().unwrap();
    let Some(Outcome::Acknowledge(reply)) = &message.replies[0].outcome else { panic!("{message:?}") };
    assert!(reply.refused_partitions.is_empty());
    assert!(platform.shown(&[1]).is_empty());
    drop(requests);
    assert_eq!(replies.message().await.unwrap(), None, "the stream ends when the requests do");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn status_and_cached_orders_are_served() {
    let platform = Platform::start().await;
    let mut client = OrderEventsClient::new(proto::transport::local(rpc::grpc(platform.handle.clone())));
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.partitions.len(), 16);
    assert!(status.partitions.iter().all(|partition| partition.serving && partition.rebuilt));
    assert!(status.partitions.iter().all(|partition| (partition.leader, partition.term) == (1, 1)));
    assert_eq!(status.node, 1);
    let order_id = conversions::to_bytes(order(1).as_bytes());
    let missing = client.get_cached_order(GetCachedOrderRequest { order_id }).await.unwrap_err();
    assert_eq!(missing.code(), tonic::Code::NotFound);
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_node_leads_is_named_with_its_leader() {
    let platform = Platform::start().await;
    let elsewhere = Leadership { leader: Some(NodeId(4)), term: 6, is_ours: false };
    let partition = partition_of(merchant(1));
    platform.grid.hand_over(u16::try_from(partition).unwrap(), elsewhere);
    let mut client = OrderEventsClient::new(proto::transport::local(rpc::grpc(platform.handle.clone())));
    let event_ids = vec![conversions::to_bytes(event(1, 1, 1).id.as_bytes())];
    let acknowledge = AcknowledgeRequest { application_id: application().to_string(), event_ids };
    let acknowledge = Request { correlation: 8, call: Some(Call::Acknowledge(acknowledge)) };
    let requests = ReceiverStream::new({
        let (requests, outgoing) = mpsc::channel(1);
        requests.send(ExchangeRequest { requests: vec![poll(7), acknowledge] }).await.unwrap();
        outgoing
    });
    let mut replies = client.exchange(requests).await.unwrap().into_inner();
    let mut outcomes = BTreeMap::new();
    while let Some(message) = replies.message().await.unwrap() {
        outcomes.extend(message.replies.into_iter().map(|reply| (reply.correlation, reply.outcome.unwrap())));
    }
    let Outcome::Poll(polled) = &outcomes[&7] else { panic!("{outcomes:?}") };
    let refused = RefusedPartition { partition, reason: i32::from(RefusalReason::NotLeader), leader: 4, term: 6 };
    assert_eq!(polled.refused, [refused]);
    let Outcome::Acknowledge(acknowledged) = &outcomes[&8] else { panic!("{outcomes:?}") };
    assert!(acknowledged.refused_partitions.is_empty(), "it was passed on");
    assert_eq!(acknowledged.leaders, [PartitionLeader { partition, leader: 4, term: 6 }]);
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    let status = &status.partitions[usize::try_from(partition).unwrap()];
    assert_eq!((status.serving, status.leader, status.term), (false, 4, 6));
    platform.stop().await;
}
