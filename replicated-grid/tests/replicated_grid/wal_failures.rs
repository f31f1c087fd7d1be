//! A disk that is full, a sync that fails, and a directory that is somebody else's.

use rand::SeedableRng as _;
use replicated_grid::NodeId;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::wal::{Health, OpenError, Turn, Wal};
use replicated_grid::log::{LogError, LogStore as _};

use crate::wal_node::{self, SEGMENT_BYTES, watched};

#[test]
fn a_full_disk_makes_the_log_read_only_and_space_brings_it_back() {
    let disk = SimulatedDisk::default();
    disk.set_capacity(Some(5 * SEGMENT_BYTES));
    let mut node = wal_node::open(&disk).unwrap();
    let mut taken = 0;
    let error = loop {
        match node.append(7, &[1; 500]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "the disk has an end");
    };
    assert!(error.is_retryable(), "{error}");
    assert!(taken >= 14, "all but the reserve was used: {taken}");
    assert_eq!(*node.wal.health().borrow(), Health::Full);
    assert_eq!(node.contents(7).unwrap().1.len(), taken, "what failed was undone");

    let (durable, vote) = watched();
    node.wal.save_vote(7, b"vote".to_vec().into(), durable);
    node.settle();
    assert!(matches!(*vote.lock(), Some(Ok(()))), "the reserve has space for a vote");
    assert!(matches!(node.append(8, b"more"), Err(LogError::Full)));

    drop(node);
    let mut node = wal_node::open(&disk).unwrap();
    assert_eq!(*node.wal.health().borrow(), Health::Full, "also after a restart");
    assert_eq!(node.contents(7).unwrap().1.len(), taken);
    assert_eq!(node.contents(7).unwrap().0.vote.as_deref(), Some(&b"vote"[..]));

    disk.set_capacity(Some(7 * SEGMENT_BYTES));
    node.settle();
    assert_eq!(*node.wal.health().borrow(), Health::Writable);
    node.append(7, b"after").unwrap();
    drop(node);
    assert_eq!(wal_node::open(&disk).unwrap().contents(7).unwrap().1.len(), taken + 1);
}

#[test]
fn purging_makes_space_on_a_full_disk() {
    let disk = SimulatedDisk::default();
    disk.set_capacity(Some(5 * SEGMENT_BYTES));
    let mut node = wal_node::open(&disk).unwrap();
    while node.append(7, &[1; 500]).is_ok() {}
    let last = node.wal.group(7).last_index.unwrap();
    node.wal.purge(7, last, b"marker".to_vec().into(), Box::new(|outcome| outcome.unwrap()));
    node.settle();
    assert_eq!(*node.wal.health().borrow(), Health::Writable);
    node.append(7, b"after").unwrap();
    assert_eq!(node.wal.group(7).last_index, Some(last + 1));
}

#[test]
fn a_failed_sync_is_final() {
    let disk = SimulatedDisk::default();
    let mut node = wal_node::open(&disk).unwrap();
    node.append(1, b"kept").unwrap();
    disk.fail_syncs_after(0);
    let (first, first_outcome) = watched();
    let (second, second_outcome) = watched();
    node.wal.append(1, vec![node.next_entry(1, b"lost")], first);
    node.wal.save_vote(2, b"lost".to_vec().into(), second);
    assert_eq!(node.writer.turn(), Turn::Closed);
    assert!(matches!(*first_outcome.lock(), Some(Err(LogError::Io { step: "fdatasync", .. }))));
    assert!(matches!(*second_outcome.lock(), Some(Err(LogError::Io { .. }))));
    disk.heal();
    assert!(matches!(node.append(1, b"again"), Err(LogError::Closed)), "no second try on the same file");
    assert_eq!(*node.wal.health().borrow(), Health::Closed);
    assert_eq!(node.contents(1).unwrap().1, ["kept"]);
    drop(node);
    disk.crash(&mut rand::rngs::StdRng::seed_from_u64(1));
    assert_eq!(wal_node::open(&disk).unwrap().contents(1).unwrap().1, ["kept"]);
}

#[test]
fn a_directory_has_one_user_and_one_owner() {
    let disk = SimulatedDisk::default();
    let node = wal_node::open(&disk).unwrap();
    assert!(matches!(wal_node::open(&disk), Err(OpenError::InUse { .. })));
    drop(node);
    drop(wal_node::open(&disk).unwrap());
    let clock = order_model::ManualClock::new(order_model::Timestamp::from_unix_ms(0));
    let mut other = wal_node::config();
    other.node = NodeId(4);
    let opened = Wal::open(std::sync::Arc::new(disk.clone()), clock.clone(), &other);
    assert!(matches!(opened, Err(OpenError::ForeignDirectory { .. })));
    other = wal_node::config();
    other.cluster = "village".to_owned();
    let opened = Wal::open(std::sync::Arc::new(disk.clone()), clock, &other);
    let message = opened.err().unwrap().to_string();
    assert!(message.contains("node 3 of cluster town") && message.contains("node 3 of cluster village"), "{message}");
}

#[test]
fn what_breaks_the_contract_is_refused_and_changes_nothing() {
    let disk = SimulatedDisk::default();
    let mut node = wal_node::open(&disk).unwrap();
    node.append(1, b"one").unwrap();
    let mut entry = node.next_entry(1, b"three");
    entry.index += 1;
    let (durable, outcome) = watched();
    node.wal.append(1, vec![entry], durable);
    assert!(matches!(*outcome.lock(), Some(Err(LogError::OutOfOrder { expected: 1, given: 2, .. }))));
    assert!(matches!(node.append(1, &[0; 2_000]), Err(LogError::TooLarge { bytes: 2_000, .. })));
    node.append(1, b"two").unwrap();
    assert_eq!(node.contents(1).unwrap().1, ["one", "two"]);
}
