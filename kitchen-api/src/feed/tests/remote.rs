//! The connection to a peer: its calls, its end, and what it tells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use order_model::{OrderId, PartitionCount, PartitionId};
use proto::conversions;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fakes::{application, authorised, event, merchant_in, random};
use super::peer::{Peer, connect, eventually, loopback, poll, serve};
use crate::feed::{
    Heard, LeaderHint, LeaderMap, News, NodeId, PrimaryError, PrimaryFeed, Refusal, Refused, RemoteFeed,
};

#[tokio::test]
async fn calls_share_one_connection_and_answers_find_their_callers() {
    let peer = Peer::default();
    let serving = serve(&peer, loopback(), loopback()).await;
    let connected = serving.connect();
    let feed = &connected.feed;
    assert!(matches!(poll(feed, 0, 1_000).await, Err(PrimaryError::Disconnected)), "nothing is connected yet");
    eventually("connected", || feed.is_connected()).await;
    let merchants = [0, 1, 2, 3];
    let answers = futures::future::join_all((0..400).map(|call| poll(feed, merchants[call % 4], 1_000))).await;
    for (call, answer) in answers.into_iter().enumerate() {
        let outcome = answer.unwrap();
        let merchant = merchant_in(3, merchants[call % 4]);
        assert_eq!(outcome.events, [event(merchant, 1, 5_000)], "an event that cannot be read costs no other");
        assert_eq!(outcome.hidden, [event(merchant, 2, 5_000).id]);
        assert_eq!((outcome.struck.as_slice(), outcome.strikes), (&[event(merchant, 1, 5_000).id][..], Some(7)));
        let elsewhere = Refusal::NotLeader { leader: NodeId::from_number(3), term: 8 };
        let refusals = [(9, Refusal::FenceUnreadable), (10, elsewhere)];
        let refused = refusals.map(|(number, refusal)| Refused { partition: PartitionId(number), refusal });
        assert_eq!(outcome.refused, refused);
    }
    assert_eq!(peer.streams.load(Ordering::SeqCst), 1);
    let id = event(merchant_in(3, 0), 1, 5_000).id;
    assert_eq!(feed.acknowledge(&application(), &[id]).await.unwrap(), [PartitionId(4)]);
    assert_eq!(peer.acknowledged.lock().as_slice(), [conversions::to_bytes(id.as_bytes())]);
    assert!(matches!(poll(feed, 0, 13).await, Err(PrimaryError::Misunderstood)));
    assert_eq!(feed.cached_order(OrderId::from_bytes([0; 16])).await.unwrap(), None);
    assert_eq!(feed.cached_order(OrderId::from_bytes([1; 16])).await.unwrap().unwrap().merchant, merchant_in(3, 0));
    let standing = feed.standing().await.unwrap();
    assert_eq!((standing.node, standing.unserved), (NodeId::from_number(6), vec![PartitionId(5)]));
    let sixth = LeaderHint { partition: PartitionId(15), leader: NodeId::from_number(6), term: 3 };
    assert_eq!(standing.leaders.last(), Some(&sixth));
    assert_eq!(connected.leaders.leader_of(PartitionId(4)), None, "who said so was not known yet");
    feed.acknowledge(&application(), &[id]).await.unwrap();
    assert_eq!(connected.leaders.leader_of(PartitionId(4)), NodeId::from_number(2));
    connected.stop().await;
    serving.kill();
}

/// The stream breaks in the middle of calls: all of them fail at once, and a new stream serves the next.
#[tokio::test]
async fn a_stream_that_breaks_fails_its_callers_at_once_and_comes_back() {
    let peer = Peer::default();
    let serving = serve(&peer, loopback(), loopback()).await;
    let connected = serving.connect();
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    peer.holds_back.store(true, Ordering::SeqCst);
    let started = Instant::now();
    let calls = tokio::spawn({
        let feed = feed.clone();
        async move { futures::future::join_all((0..50).map(|_| poll(&feed, 0, 1_000))).await }
    });
    eventually("the peer has the calls", || peer.calls.load(Ordering::SeqCst) == 50).await;
    peer.breaks.notify_waiters();
    let answers = calls.await.unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(PrimaryError::Disconnected))), "{answers:?}");
    assert!(started.elapsed() < Duration::from_millis(1_900), "before any call's deadline");
    peer.holds_back.store(false, Ordering::SeqCst);
    eventually("connected again", || feed.is_connected() && peer.streams.load(Ordering::SeqCst) == 2).await;
    poll(&feed, 0, 1_000).await.unwrap();

    // The whole peer goes away, with its sockets, and comes back at the same address.
    let (rpc, polls) = (serving.rpc, serving.polls);
    serving.kill();
    eventually("noticed", || !feed.is_connected()).await;
    let started = Instant::now();
    assert!(matches!(poll(&feed, 0, 1_000).await, Err(PrimaryError::Disconnected)));
    assert!(started.elapsed() < Duration::from_millis(100), "without a stream a call fails at once");
    let serving = serve(&Peer::default(), rpc, polls).await;
    eventually("connected to the next one", || feed.is_connected()).await;
    poll(&feed, 0, 1_000).await.unwrap();
    connected.stop().await;
    serving.kill();
}

/// A peer that takes a call and never answers: the call ends by its deadline, the connection by the silence.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left() {
    let peer = Peer::default();
    peer.holds_back.store(true, Ordering::SeqCst);
    let connected = connect(peer.transport(), peer.in_process(64 * 1024));
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    tokio::time::sleep(Duration::from_secs(17)).await;
    assert_eq!(peer.streams.load(Ordering::SeqCst), 1, "signs of life were answered");
    let started = Instant::now();
    let acknowledging = feed.acknowledge(&application(), &[]).await;
    assert!(matches!(acknowledging, Err(PrimaryError::Deadline { deadline_ms: 2_000 })));
    assert_eq!(started.elapsed().as_millis(), 2_000);
    let silent_by = started + Duration::from_secs(6);
    eventually("a new connection", || peer.streams.load(Ordering::SeqCst) == 2).await;
    assert!(Instant::now() < silent_by);

    peer.is_dead.store(true, Ordering::SeqCst);
    let silent_by = Instant::now() + Duration::from_secs(6);
    eventually("left although nobody asked anything", || !feed.is_connected()).await;
    assert!(Instant::now() < silent_by);
    eventually("tried again", || peer.streams.load(Ordering::SeqCst) > 3).await;
    assert!(!feed.is_connected(), "a peer that answers nothing is none");
    connected.stop().await;
}

/// Both sides have more to say than the pipe holds, and the peer does not read while it writes.
#[tokio::test(start_paused = true)]
async fn it_reads_while_it_writes() {
    let peer = Peer::default();
    let connected = connect(peer.transport(), peer.in_process(256));
    let feed = connected.feed.clone();
    eventually("connected", || feed.is_connected()).await;
    let answers = futures::future::join_all((0..1_000).map(|_| poll(&feed, 0, 1_000))).await;
    assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|answer| answer.is_err()));
    connected.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_watched_from_the_first_who_waits_and_everybody_doubts_when_its_connection_ends() {
    let peer = Peer::default();
    let news = News::default();
    let leaders = LeaderMap::new(PartitionCount::DEFAULT);
    let feed = Arc::new(RemoteFeed::new(peer.transport(), peer.in_process(4_096), random()).telling(leaders));
    feed.bring_news(&news);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    eventually("connected", || feed.is_connected()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!feed.brings_all_news(), "nobody waits");
    let mut first = news.listen(&authorised(&[merchant_in(3, 0)])).unwrap();
    let mut second = news.listen(&authorised(&[merchant_in(3, 1)])).unwrap();
    assert_eq!(second.heard().await, Heard::Doubt, "what came before it was watched is found by looking");
    assert!(feed.brings_all_news());
    assert_eq!(first.heard().await, Heard::News);
    peer.breaks.notify_waiters();
    assert_eq!(second.heard().await, Heard::Doubt, "its connection has ended");
    eventually("it is watched again", || feed.brings_all_news()).await;
    assert_eq!(poll(&feed, 0, 1_000).await.unwrap().events.len(), 1, "and answers as ever");
    shutdown.cancel();
    running.await.unwrap();
    assert!(!feed.brings_all_news());
}

#[tokio::test(start_paused = true)]
async fn an_older_peer_that_cannot_be_watched_answers_polls_as_ever() {
    let peer = Peer::default();
    peer.is_old.store(true, Ordering::SeqCst);
    let news = News::default();
    let feed = Arc::new(RemoteFeed::new(peer.transport(), peer.in_process(4_096), random()));
    feed.bring_news(&news);
    let _waiting = news.listen(&authorised(&[merchant_in(3, 0)])).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (feed, shutdown) = (feed.clone(), shutdown.clone());
        async move { feed.run(shutdown).await }
    });
    eventually("it was asked", || peer.calls.load(Ordering::SeqCst) > 0).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!feed.brings_all_news() && feed.is_connected());
    assert_eq!(poll(&feed, 0, 1_000).await.unwrap().events.len(), 1);
    shutdown.cancel();
    running.await.unwrap();
}
