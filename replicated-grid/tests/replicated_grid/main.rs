//! The single-node runner: order, batching, leases, snapshots and time, over a machine that logs what it is told.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod replicated_cluster;
mod replicated_failover;
mod replicated_full_disk;
mod replicated_membership;
mod served;
mod transport_calls;
mod transport_certificates;
mod transport_faults;
mod transport_nodes;
mod transport_proxy;
mod transport_tls;
mod two_grids;
mod volatile_restart;
mod wal_damage;
mod wal_failures;
mod wal_model;
mod wal_node;
mod wal_real_disk;
mod wal_snapshots;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use order_model::{ManualClock, Timestamp};
use proptest::prelude::*;
use replicated_grid::{
    Config, ProposeError, ReadError, ReplicatedTime, RestoreError, SingleNode, SnapshotError, StateMachine, conformance,
};

const START_MS: i64 = 1_795_000_000_000;

/// Remembers every command with its time, and answers how many came before.
#[derive(Default, PartialEq, Debug)]
struct Journal(Vec<(i64, Vec<u8>)>);

impl StateMachine for Journal {
    fn apply(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        let before = self.0.len() as u64;
        self.0.push((at.unix_ms, command.to_vec()));
        before.to_be_bytes().to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        let entry = |(at, command): &(i64, Vec<u8>)| [&at.to_be_bytes()[..], &[command.len() as u8], command].concat();
        self.0.iter().flat_map(entry).collect()
    }

    fn restore(mut snapshot: &[u8]) -> Result<Self, RestoreError> {
        let mut journal = Self::default();
        while let Some((at, rest)) = snapshot.split_first_chunk::<8>() {
            let torn = || RestoreError { reason: "torn".to_owned() };
            let (length, rest) = rest.split_first().ok_or_else(torn)?;
            let (command, rest) = rest.split_at_checked(usize::from(*length)).ok_or_else(torn)?;
            journal.0.push((i64::from_be_bytes(*at), command.to_vec()));
            snapshot = rest;
        }
        Ok(journal)
    }
}

fn grid() -> (SingleNode<Journal>, Arc<ManualClock>) {
    let clock = ManualClock::new(Timestamp::from_unix_ms(START_MS));
    let config = Config { name: "test", partitions: NonZeroU16::new(2).unwrap() };
    (SingleNode::new(&config, clock.clone(), Journal::default), clock)
}

fn command(text: String) -> Bytes {
    Bytes::from(text.into_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_proposals_are_applied_once_each_and_in_their_own_order() {
    let (grid, _clock) = grid();
    let proposers = (0..50).map(|proposer| {
        let grid = grid.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                let commands = (0..3).map(|part| command(format!("{proposer}/{round}/{part}"))).collect();
                let replies = grid.propose(0, commands).await.unwrap();
                let places: Vec<u64> =
                    replies.iter().map(|reply| u64::from_be_bytes(reply[..].try_into().unwrap())).collect();
                assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "nothing came in between");
            }
        })
    });
    for proposer in proposers.collect::<Vec<_>>() {
        proposer.await.unwrap();
    }
    let commands = grid.read_without_lease(0, |journal| journal.0.clone()).unwrap();
    assert_eq!(commands.len(), 50 * 20 * 3);
    for proposer in 0..50 {
        let prefix = format!("{proposer}/");
        let own: Vec<String> = commands
            .iter()
            .map(|(_, command)| String::from_utf8(command.clone()).unwrap())
            .filter(|text| text.starts_with(&prefix))
            .collect();
        let expected: Vec<String> = (0..60).map(|number| format!("{proposer}/{}/{}", number / 3, number % 3)).collect();
        assert_eq!(own, expected);
    }
}

#[tokio::test]
async fn a_read_needs_a_lease_before_and_after() {
    let (grid, clock) = grid();
    let expired = Err(ReadError::LeaseExpired { partition: 1 });
    assert_eq!(grid.read(1, |_| ()), expired);
    grid.serve_until(1, 1, Duration::from_secs(3));
    assert_eq!(grid.read(1, |_| 7), Ok(7));
    assert_eq!(grid.read(1, |_| clock.advance(Duration::from_secs(3))), expired, "it ended during the read");
    grid.serve_until(1, 1, Duration::from_secs(9));
    assert_eq!(grid.read(1, |_| grid.stop_serving(1)), expired);
    assert!(!grid.is_serving(0) && !grid.is_serving(1));
    assert_eq!(grid.read(2, |_| ()), Err(ReadError::UnknownPartition { partition: 2 }));
    assert_eq!(grid.propose(2, vec![]).await, Err(ProposeError::UnknownPartition { partition: 2 }));
}

#[tokio::test]
async fn a_snapshot_brings_back_state_and_time() {
    let (grid, clock) = grid();
    grid.propose(0, vec![command("a".to_owned())]).await.unwrap();
    clock.advance(Duration::from_secs(5));
    let snapshot = grid.snapshot(0).unwrap();
    grid.propose(0, vec![command("b".to_owned())]).await.unwrap();
    clock.jump(-60_000);
    grid.serve_until(0, 1, Duration::from_secs(60));
    grid.restore(0, &snapshot).unwrap();
    assert!(!grid.is_serving(0), "what was restored has to earn its lease");
    grid.propose(0, vec![command("c".to_owned())]).await.unwrap();
    let journal = grid.read_without_lease(0, |journal| journal.0.clone()).unwrap();
    assert_eq!(journal, [(START_MS, b"a".to_vec()), (START_MS + 5_000, b"c".to_vec())], "time did not go back");
    assert!(matches!(grid.restore(0, &[9]), Err(SnapshotError::Restore { partition: 0, .. })));
}

#[tokio::test]
async fn a_jump_of_the_wall_clock_is_refused_and_counted() {
    let (grid, clock) = grid();
    clock.jump(2 * 24 * 60 * 60 * 1_000);
    clock.advance(Duration::from_millis(250));
    grid.propose(0, vec![command("a".to_owned())]).await.unwrap();
    assert_eq!(grid.read_without_lease(0, |journal| journal.0[0].0).unwrap(), START_MS + 250);
    assert_eq!((grid.clock_steps_refused(), grid.time(0).unix_ms), (1, START_MS + 250));
}

proptest! {
    #[test]
    fn a_deterministic_machine_passes_the_conformance_check(commands in prop::collection::vec((0i64..1_000, prop::collection::vec(any::<u8>(), 0..5)), 0..20)) {
        let commands: Vec<_> = commands.into_iter().map(|(at, command)| (ReplicatedTime { unix_ms: at }, command)).collect();
        prop_assert_eq!(conformance::check(Journal::default, &commands), Ok(()));
    }
}

/// Answers from what it kept out of its snapshot.
#[derive(Default)]
struct Forgetful(u8);

impl StateMachine for Forgetful {
    fn apply(&mut self, _at: ReplicatedTime, _command: &[u8]) -> Vec<u8> {
        self.0 += 1;
        vec![self.0]
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(_snapshot: &[u8]) -> Result<Self, RestoreError> {
        Ok(Self::default())
    }
}

#[test]
fn the_conformance_check_can_fail() {
    let commands: Vec<_> = (0..4).map(|at| (ReplicatedTime { unix_ms: at }, Vec::new())).collect();
    assert_eq!(conformance::check(Forgetful::default, &commands), Err("a restored state answers differently"));
}
