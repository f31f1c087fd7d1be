//! The same answers over a connection: many requests, answers by correlation; and what gRPC is left for.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures::stream;
use order_events::{Handle, Leadership, NodeId, connections, rpc};
use proto::conversions;
use proto::feed::{AcknowledgeRequest, PollRequest, RefusalReason, RefusedPartition};
use proto::frames::{Incoming, Outgoing};
use proto::order_events::order_events_client::OrderEventsClient;
use proto::order_events::reply::Outcome;
use proto::order_events::request::Call;
use proto::order_events::{GetCachedOrderRequest, PartitionLeader, Reply, Request, StatusRequest, Watch, Watching};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use crate::platform::{Platform, application, authorised, event, merchant, order, partition_of};

fn poll(correlation: u64) -> Request {
    let merchants = conversions::merchants_to_wire(&authorised(&application(), &[1]));
    let poll =
        PollRequest { application_id: application().to_string(), merchants, limit: 1_000, ..PollRequest::default() };
    Request { correlation, call: Some(Call::Poll(poll)) }
}

/// The near end of a connection that is served.
struct Client {
    io: DuplexStream,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Client {
    async fn send(&mut self, requests: &[Request]) {
        assert!(requests.iter().all(|request| self.outgoing.add(request)));
        poll_fn(|context| self.outgoing.poll_write(Pin::new(&mut self.io), context)).await.unwrap();
    }

    /// The next `count` answers by correlation.
    async fn receive(&mut self, count: usize) -> BTreeMap<u64, Outcome> {
        let mut outcomes = BTreeMap::new();
        while outcomes.len() < count {
            match self.incoming.take::<Reply>().unwrap() {
                Some(reply) => assert_eq!(outcomes.insert(reply.correlation, reply.outcome.unwrap()), None),
                None => assert_ne!(self.read().await, 0, "it ended after {} of {count} answers", outcomes.len()),
            }
        }
        outcomes
    }

    async fn read(&mut self) -> usize {
        poll_fn(|context| self.incoming.poll_read(Pin::new(&mut self.io), context)).await.unwrap()
    }
}

/// Serves so many connections of 64 KiB until the token is cancelled.
fn connect<const COUNT: usize>(handle: &Handle) -> ([Client; COUNT], CancellationToken) {
    let (clients, served): (Vec<_>, Vec<_>) = (0..COUNT)
        .map(|_| {
            let (io, far) = tokio::io::duplex(64 * 1024);
            (Client { io, incoming: Incoming::default(), outgoing: Outgoing::default() }, Ok(far))
        })
        .unzip();
    let shutdown = CancellationToken::new();
    tokio::spawn(connections::serve(handle.clone(), stream::iter(served), shutdown.clone()));
    (clients.try_into().ok().unwrap(), shutdown)
}

#[tokio::test(start_paused = true)]
async fn polls_and_acknowledgments_share_one_connection() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    let ([mut client], shutdown) = connect(&platform.handle);
    let unreadable = PollRequest { application_id: "a b".to_owned(), ..PollRequest::default() };
    let unreadable = Request { correlation: 9, call: Some(Call::Poll(unreadable)) };
    client.send(&[poll(7), unreadable, poll(8), Request { correlation: 10, call: None }]).await;
    let outcomes = client.receive(4).await;
    for correlation in [7, 8] {
        let Outcome::Poll(reply) = &outcomes[&correlation] else { panic!("{:?}", outcomes[&correlation]) };
        assert_eq!(conversions::event_from_wire(&reply.events[0]).unwrap(), one);
    }
    assert_eq!(outcomes[&9], Outcome::Error("application_id is malformed".to_owned()));
    assert_eq!(outcomes[&10], Outcome::Error("call is absent".to_owned()));

    let event_ids = vec![conversions::to_bytes(one.id.as_bytes())];
    let acknowledge = AcknowledgeRequest { application_id: application().to_string(), event_ids };
    let acknowledge = Request { correlation: 11, call: Some(Call::Acknowledge(acknowledge)) };
    client.send(&[acknowledge]).await;
    let answered = client.receive(1).await;
    let Outcome::Acknowledge(reply) = &answered[&11] else { panic!("no acknowledgment") };
    assert!(reply.refused_partitions.is_empty());
    assert!(platform.shown(&[1]).is_empty());
    shutdown.cancel();
    assert_eq!(client.read().await, 0, "it is cut in the end");
    platform.stop().await;
}

/// Who waits at kitchen-api hears of an event as soon as a poll shows it; who does not watch hears nothing.
#[tokio::test(start_paused = true)]
async fn a_peer_that_watches_is_told_of_news_and_another_is_not() {
    let platform = Platform::start().await;
    let ([mut watching, mut other], shutdown) = connect(&platform.handle);
    watching.send(&[Request { correlation: 5, call: Some(Call::Watch(Watch {})) }]).await;
    assert_eq!(watching.receive(1).await[&5], Outcome::Watching(Watching {}));
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    let told = watching.receive(1).await;
    let Outcome::News(news) = &told[&0] else { panic!("{told:?}") };
    assert_eq!(
        (news.merchant_ids.as_slice(), news.is_cut),
        (&[conversions::to_bytes(merchant(1).as_bytes())][..], false)
    );
    watching.send(&[poll(6)]).await;
    let shown = watching.receive(1).await;
    assert!(matches!(&shown[&6], Outcome::Poll(reply) if reply.events.len() == 1), "it shows already: {shown:?}");
    other.send(&[poll(7)]).await;
    assert_eq!(other.receive(1).await.keys().collect::<Vec<_>>(), [&7]);
    shutdown.cancel();
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
    let ([mut connection], _shutdown) = connect(&platform.handle);
    connection.send(&[poll(7), acknowledge]).await;
    let outcomes = connection.receive(2).await;
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

/// A peer that does not read its answers is not read either, holds bounded memory, and keeps nobody else waiting.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_waits_for_itself_alone() {
    let platform = Platform::start().await;
    let one = event(1, 1, 1);
    platform.publish(std::slice::from_ref(&one)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&one)).await;
    let ([mut slow, mut quick], _shutdown) = connect(&platform.handle);
    let mut asked = 0;
    while let Ok(()) = tokio::time::timeout(Duration::from_secs(1), slow.send(&[poll(asked)])).await {
        asked += 1;
        assert!(asked < 200_000, "it takes as many as there are");
    }
    assert!(asked > 10_000, "there is room for 4 MiB of answers: {asked}");
    quick.send(&[poll(7)]).await;
    assert!(matches!(quick.receive(1).await[&7], Outcome::Poll(_)));
    let answers = slow.receive(usize::try_from(asked).unwrap()).await;
    assert!(answers.values().all(|outcome| matches!(outcome, Outcome::Poll(reply) if reply.events.len() == 1)));
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_speak_the_protocol_or_says_nothing_is_left() {
    let platform = Platform::start().await;
    let ([mut other, mut silent, mut alive], _shutdown) = connect(&platform.handle);
    other.io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    assert_eq!(other.io.read(&mut [0; 1]).await.unwrap(), 0);
    for sign_of_life in 0..10 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        alive.send(&[Request { correlation: sign_of_life, call: None }]).await;
        alive.receive(1).await;
    }
    assert_eq!(silent.read().await, 0);
    platform.stop().await;
}
