//! Beats are kept until they are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use event_feed::{AuthorisedMerchants, GrantedMerchant};
use order_model::{Clock, MerchantId, PartitionCount, RoutingHash, Timestamp};
use parking_lot::Mutex;
use proto::conversions;
use proto::merchant_connection as wire;
use proto::merchant_connection::merchant_connection_server::{MerchantConnection, MerchantConnectionServer};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{BeatKeeper, PresenceNode, PresenceNodes};

const PARTITIONS: PartitionCount = PartitionCount(std::num::NonZeroU16::new(4).unwrap());

struct RuntimeClock {
    start: Instant,
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        unreachable!("beats are measured on the monotonic clock alone")
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[derive(Default)]
struct Taken {
    is_down: bool,
    hangs: bool,
    /// Who it says it is.
    node: u64,
    /// Whom it says to lead each partition, and in which term; it takes what it leads itself. Empty: it takes everything.
    leaders: Vec<(u64, u64)>,
    /// To whom it passes on what it does not lead, when it is asked to.
    passes_on_to: Option<FakeConnection>,
    /// How often each partition's sender said that this is everything.
    told_all: BTreeMap<u32, usize>,
    /// The instant of each merchant's latest beat, as reconstructed from its age.
    latest: BTreeMap<MerchantId, Instant>,
    batches: Vec<usize>,
}

#[derive(Clone, Default)]
struct FakeConnection {
    taken: Arc<Mutex<Taken>>,
}

#[tonic::async_trait]
impl MerchantConnection for FakeConnection {
    async fn beat(&self, request: Request<wire::BeatRequest>) -> Result<Response<wire::BeatReply>, Status> {
        if self.taken.lock().hangs {
            std::future::pending::<()>().await;
        }
        if self.taken.lock().is_down {
            return Err(Status::unavailable("down"));
        }
        let request = request.into_inner();
        let leader = self.taken.lock().passes_on_to.clone();
        if let Some(leader) = leader.filter(|_| request.pass_on) {
            return leader.beat(Request::new(wire::BeatRequest { pass_on: false, ..request })).await;
        }
        let mut taken = self.taken.lock();
        let wire::BeatRequest { beats, partitions, .. } = request;
        taken.batches.push(beats.len());
        let partition_of = |merchant| u32::from(RoutingHash::of(merchant).partition(PARTITIONS).0);
        let leads = |taken: &Taken, partition: u32| {
            taken.leaders.get(partition as usize).is_none_or(|(leader, _)| *leader == taken.node)
        };
        let mut asked: BTreeSet<u32> = partitions.iter().copied().collect();
        for beat in beats {
            let merchant = conversions::merchant_id(&beat.merchant_id).unwrap();
            asked.insert(partition_of(merchant));
            if leads(&taken, partition_of(merchant)) {
                taken.latest.insert(merchant, Instant::now() - Duration::from_millis(beat.age_ms.into()));
            }
        }
        let led: Vec<u32> = partitions.into_iter().filter(|partition| leads(&taken, *partition)).collect();
        for partition in led {
            *taken.told_all.entry(partition).or_default() += 1;
        }
        let to_wire = |(partition, (leader, term)): (u32, &(u64, u64))| wire::PartitionLeader {
            partition,
            leader: *leader,
            term: *term,
        };
        Ok(Response::new(wire::BeatReply {
            refused_partitions: asked.into_iter().filter(|partition| !leads(&taken, *partition)).collect(),
            leaders: (0..).zip(&taken.leaders).map(to_wire).collect(),
            node: taken.node,
        }))
    }

    async fn presence(&self, _: Request<wire::PresenceRequest>) -> Result<Response<wire::PresenceReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn history(&self, _: Request<wire::HistoryRequest>) -> Result<Response<wire::HistoryReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn lookup(&self, _: Request<wire::LookupRequest>) -> Result<Response<wire::Merchant>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_merchants(
        &self,
        _: Request<wire::GetMerchantsRequest>,
    ) -> Result<Response<wire::GetMerchantsReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put_merchant(&self, _: Request<wire::Merchant>) -> Result<Response<wire::PutMerchantReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn totals(&self, _: Request<wire::TotalsRequest>) -> Result<Response<wire::TotalsReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn merchant(number: u32) -> MerchantId {
    MerchantId::from_bytes(u128::from(number).to_be_bytes())
}

fn merchants(numbers: std::ops::Range<u32>) -> AuthorisedMerchants {
    let granted = |number| GrantedMerchant { merchant: merchant(number), visible_from: Timestamp::from_unix_ms(0) };
    AuthorisedMerchants::vouched_for_by_peer("dev-pos".parse().unwrap(), numbers.map(granted).collect())
}

fn keeper(connection: &FakeConnection, beats_max: usize) -> BeatKeeper {
    keeper_of(&[connection], beats_max)
}

fn keeper_of(connections: &[&FakeConnection], beats_max: usize) -> BeatKeeper {
    let node = |(number, connection): (usize, &&FakeConnection)| PresenceNode {
        name: format!("node {number}"),
        transport: proto::transport::local(MerchantConnectionServer::new(FakeConnection::clone(connection))),
    };
    let nodes = PresenceNodes::new(PARTITIONS, connections.iter().enumerate().map(node).collect());
    BeatKeeper::with_limit(nodes, Arc::new(RuntimeClock { start: Instant::now() }), beats_max)
}

fn run(keeper: &BeatKeeper) -> (CancellationToken, JoinHandle<()>) {
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (keeper, shutdown) = (keeper.clone(), shutdown.clone());
        async move { keeper.run(shutdown).await }
    });
    (shutdown, running)
}

#[tokio::test(start_paused = true)]
async fn beats_arrive_within_a_second_in_batches() {
    let connection = FakeConnection::default();
    let keeper = keeper(&connection, 100_000);
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(10)).await;
    keeper.beat(&merchants(0..12_000));
    assert_eq!(keeper.untaken(), 12_000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.untaken(), 0);
    let batches = connection.taken.lock().batches.clone();
    assert_eq!(batches.iter().sum::<usize>(), 12_000);
    assert!(batches.iter().all(|beats| *beats < 2_000), "{batches:?}");
    shutdown.cancel();
    running.await.unwrap();
}

/// merchant-connection judges nobody while it is not called, so it is called when nobody polls as well.
#[tokio::test(start_paused = true)]
async fn without_beats_it_calls_all_the_same() {
    let connection = FakeConnection::default();
    let keeper = keeper(&connection, 100);
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(9_900)).await;
    assert_eq!(connection.taken.lock().batches, [0; 20]);
    shutdown.cancel();
    running.await.unwrap();
}

/// An outage of merchant-connection, by errors and by silence, loses no beat; each arrives with the time it was made.
#[tokio::test(start_paused = true)]
async fn an_outage_loses_no_beat_and_no_beats_time() {
    let connection = FakeConnection::default();
    let keeper = keeper(&connection, 100_000);
    let (shutdown, running) = run(&keeper);
    let mut expected = BTreeMap::new();
    for second in 0..120 {
        {
            let mut taken = connection.taken.lock();
            taken.is_down = (20..60).contains(&second);
            taken.hangs = (60..100).contains(&second);
        }
        let of = second % 30 * 10..second % 30 * 10 + 10;
        keeper.beat(&merchants(of.clone()));
        expected.extend(of.map(|number| (merchant(number), Instant::now())));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(keeper.untaken() <= 300);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(keeper.untaken(), 0);
    let taken = connection.taken.lock().latest.clone();
    assert_eq!(taken.len(), 300);
    for (merchant, at) in expected {
        let apart = taken[&merchant].max(at) - taken[&merchant].min(at);
        assert!(apart <= Duration::from_millis(2), "{merchant}: {apart:?}");
    }
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_beat_during_a_flush_is_not_forgotten_with_the_older_one() {
    let connection = FakeConnection::default();
    connection.taken.lock().hangs = true;
    let keeper = keeper(&connection, 100);
    keeper.beat(&merchants(0..1));
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(900)).await;
    let beaten_at = Instant::now();
    keeper.beat(&merchants(0..1));
    connection.taken.lock().hangs = false;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(keeper.untaken(), 0);
    assert_eq!(connection.taken.lock().latest[&merchant(0)], beaten_at);
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded_and_known_merchants_still_beat() {
    let connection = FakeConnection::default();
    let keeper = keeper(&connection, 100);
    keeper.beat(&merchants(0..150));
    assert_eq!(keeper.untaken(), 100);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let beaten_at = Instant::now();
    keeper.beat(&merchants(0..100));
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(connection.taken.lock().latest.values().all(|at| *at == beaten_at));
    shutdown.cancel();
    running.await.unwrap();
}

/// At shutdown what was beaten since the last flush still goes out, and a merchant-connection that hangs holds nothing up.
#[tokio::test(start_paused = true)]
async fn the_last_beats_go_out_at_shutdown() {
    let connection = FakeConnection::default();
    let keeper = keeper(&connection, 100);
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(100)).await;
    keeper.beat(&merchants(0..5));
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(connection.taken.lock().latest.len(), 5);
    connection.taken.lock().hangs = true;
    keeper.beat(&merchants(0..5));
    let started = Instant::now();
    keeper.run(shutdown).await;
    assert!(started.elapsed() <= Duration::from_secs(3));
}

fn node(number: u64, leaders: &[(u64, u64)]) -> FakeConnection {
    let connection = FakeConnection::default();
    connection.taken.lock().node = number;
    connection.taken.lock().leaders = leaders.to_vec();
    connection
}

/// Merchants of a partition, among the first hundred.
fn merchants_of(partition: u16) -> BTreeSet<MerchantId> {
    (0..100).map(merchant).filter(|merchant| RoutingHash::of(*merchant).partition(PARTITIONS).0 == partition).collect()
}

fn taken_by(connection: &FakeConnection) -> BTreeSet<MerchantId> {
    connection.taken.lock().latest.keys().copied().collect()
}

#[tokio::test(start_paused = true)]
async fn beats_go_to_the_leader_of_their_partition_and_follow_it() {
    let led = [(1, 5), (2, 5), (1, 5), (2, 5)];
    let (one, two) = (node(1, &led), node(2, &led));
    let keeper = keeper_of(&[&one, &two], 1_000);
    let (shutdown, running) = run(&keeper);
    keeper.beat(&merchants(0..100));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.untaken(), 0, "a hint is followed at once");
    assert_eq!(taken_by(&one), &merchants_of(0) | &merchants_of(2));
    assert_eq!(taken_by(&two), &merchants_of(1) | &merchants_of(3));

    // Partition 0 moves; the former leader knows.
    for connection in [&one, &two] {
        connection.taken.lock().latest.clear();
        connection.taken.lock().leaders[0] = (2, 6);
    }
    keeper.beat(&merchants(0..100));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.untaken(), 0);
    assert_eq!(taken_by(&one), merchants_of(2));

    // Its leader dies; the other one takes over after a while.
    two.taken.lock().is_down = true;
    keeper.beat(&merchants(0..100));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        keeper.untaken(),
        100 - merchants_of(2).len(),
        "what nobody leads is kept, what somebody leads is taken"
    );
    one.taken.lock().leaders = vec![(1, 9); 4];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.untaken(), 0);
    assert_eq!(taken_by(&one).len(), 100);
    shutdown.cancel();
    running.await.unwrap();
}

/// A kitchen-api that is cut off from a leader, of which others say that it leads, reaches it through them.
#[tokio::test(start_paused = true)]
async fn beats_for_a_leader_that_cannot_be_reached_are_passed_on_by_another_node() {
    let led = [(1, 5), (2, 5), (1, 5), (2, 5)];
    let (one, two, beyond) = (node(1, &led), node(2, &led), node(2, &led));
    two.taken.lock().hangs = true;
    one.taken.lock().passes_on_to = Some(beyond.clone());
    let keeper = keeper_of(&[&one, &two], 1_000);
    let (shutdown, running) = run(&keeper);
    keeper.beat(&merchants(0..100));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(keeper.untaken(), 0);
    assert_eq!(taken_by(&one), &merchants_of(0) | &merchants_of(2));
    assert_eq!(taken_by(&beyond), &merchants_of(1) | &merchants_of(3));
    assert!(beyond.taken.lock().told_all.contains_key(&1), "what is passed on is everything too");
    shutdown.cancel();
    running.await.unwrap();
}

/// While a partition has no leader its beats are kept, with their time; others do not notice.
#[tokio::test(start_paused = true)]
async fn beats_during_no_leader_are_not_lost() {
    let connection = node(1, &[(0, 7), (1, 5), (1, 5), (1, 5)]);
    let keeper = keeper_of(&[&connection], 1_000);
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let beaten_at = Instant::now();
    keeper.beat(&merchants(0..100));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(keeper.untaken(), merchants_of(0).len());
    assert!(taken_by(&connection).is_disjoint(&merchants_of(0)));
    {
        let mut taken = connection.taken.lock();
        assert_eq!(taken.told_all.get(&0), None, "a leader that knows of no beat must not judge");
        assert!(taken.told_all[&1] > 100);
        taken.leaders[0] = (1, 8);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(keeper.untaken(), 0);
    for merchant in merchants_of(0) {
        let at = connection.taken.lock().latest[&merchant];
        assert!(at.max(beaten_at) - at.min(beaten_at) <= Duration::from_millis(2));
    }
    shutdown.cancel();
    running.await.unwrap();
}

/// The leader may judge only once it knows everything: it is told with the last batch.
#[tokio::test(start_paused = true)]
async fn a_leader_is_told_that_this_is_everything_with_the_last_batch() {
    let connection = node(1, &[(1, 5); 4]);
    let keeper = keeper(&connection, 100_000);
    let (shutdown, running) = run(&keeper);
    tokio::time::sleep(Duration::from_millis(10)).await;
    connection.taken.lock().told_all.clear();
    keeper.beat(&merchants(0..12_000));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(keeper.untaken(), 0);
    shutdown.cancel();
    let taken = std::mem::take(&mut *connection.taken.lock());
    running.await.unwrap();
    assert!(taken.batches.iter().filter(|beats| **beats > 0).count() > 4, "{:?}", taken.batches);
    assert!(taken.told_all.values().all(|count| *count == 1), "{:?}", taken.told_all);
}
