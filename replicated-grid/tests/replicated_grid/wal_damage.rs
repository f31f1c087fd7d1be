//! Bytes that are not what was written: every flipped byte is refused or does no harm, a torn end is cut off.

use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::wal::OpenError;
use replicated_grid::log::{LogError, LogStore as _};

use crate::wal_node::{self, Contents, Node};

/// A log of three groups over three segments, nothing of which is missing.
fn written() -> (SimulatedDisk, Vec<Contents>) {
    let disk = SimulatedDisk::default();
    let mut node = wal_node::open(&disk).unwrap();
    for round in 0..9_u8 {
        for group in 0..3 {
            node.append(group, &[round + 1; 300]).unwrap();
        }
        node.wal.save_vote(u16::from(round % 3), vec![round; 20].into(), Box::new(|outcome| outcome.unwrap()));
    }
    node.wal.purge(1, 0, b"marker".to_vec().into(), Box::new(|outcome| outcome.unwrap()));
    node.wal.truncate(2, 7, Box::new(|outcome| outcome.unwrap()));
    node.settle();
    let contents = contents(&node).unwrap();
    (disk, contents)
}

fn contents(node: &Node) -> Result<Vec<Contents>, LogError> {
    (0..3).map(|group| node.contents(group)).collect()
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    use replicated_grid::log::disk::Disk as _;
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".wal")).collect()
}

#[test]
fn every_flipped_byte_of_every_file_is_refused_or_does_no_harm() {
    use replicated_grid::log::disk::Disk as _;
    let (disk, expected) = written();
    assert_eq!(segments(&disk).len(), 3);
    let (mut refused, mut harmless) = (0, 0);
    for name in disk.list().unwrap() {
        for offset in 0..disk.contents(&name).unwrap().len() {
            let copy = disk.copy();
            copy.flip(&name, offset, (offset % 8) as u8);
            match wal_node::open(&copy) {
                Ok(node) => {
                    assert_eq!(contents(&node).unwrap(), expected, "{name} at {offset}");
                    harmless += 1;
                }
                Err(OpenError::Damaged { file, .. }) => {
                    assert_eq!(file, name);
                    refused += 1;
                }
                Err(other) => panic!("{name} at {offset}: {other}"),
            }
        }
    }
    assert!(refused > 8_000 && harmless > 4_000, "refused {refused}, harmless {harmless}");
}

#[test]
fn what_rots_while_the_log_is_open_is_never_served() {
    let (disk, expected) = written();
    let node = wal_node::open(&disk).unwrap();
    let name = &segments(&disk)[0];
    for offset in 512..disk.contents(name).unwrap().len() {
        disk.flip(name, offset, 3);
        match contents(&node) {
            Ok(found) => assert_eq!(found, expected),
            Err(error) => assert!(matches!(error, LogError::Damaged { .. }), "{error}"),
        }
        disk.flip(name, offset, 3);
    }
    disk.flip(name, 700, 3);
    assert!(contents(&node).is_err(), "the test can fail");
}

#[test]
fn the_last_write_torn_at_any_byte_is_cut_off() {
    let (disk, before) = written();
    let name = segments(&disk).pop().unwrap();
    let used = |disk: &SimulatedDisk| {
        let bytes = disk.contents(&name).unwrap();
        bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    };
    let start = used(&disk);
    let mut node = wal_node::open(&disk.copy()).unwrap();
    assert_eq!(contents(&node).unwrap(), before);
    drop(node);
    // The same process goes on: its last write is two entries.
    let (disk, mut expected) = {
        let disk = disk.copy();
        node = wal_node::open(&disk).unwrap();
        let entries = vec![node.next_entry(0, &[8; 200]), {
            let mut second = node.next_entry(0, &[9; 600]);
            second.index += 1;
            second
        }];
        node.wal.append(0, entries, Box::new(|outcome| outcome.unwrap()));
        node.settle();
        (disk, contents(&node).unwrap())
    };
    assert!(start > 0);
    let name = segments(&disk).pop().unwrap();
    let bytes = disk.contents(&name).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let start = end - (200 + 34) - (600 + 34);
    let whole = expected.clone();
    expected[0] = before[0].clone();
    for cut in start..end {
        let copy = disk.copy();
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        copy.set_contents(&name, &torn);
        let node = wal_node::open(&copy).unwrap();
        let found = node.contents(0).unwrap();
        let kept = if cut < start + 234 { 0 } else { 1 };
        assert_eq!(found.1[..], whole[0].1[..before[0].1.len() + kept], "cut at {cut}");
        assert_eq!(node.contents(1).unwrap(), expected[1]);
        drop(node);
        assert_eq!(wal_node::open(&copy).unwrap().contents(0).unwrap(), found, "and stays so");
    }
    // A file that is shorter than it was made was not torn by a crash: somebody cut it.
    for length in 0..=end {
        let copy = disk.copy();
        copy.set_contents(&name, &bytes[..length]);
        assert!(matches!(wal_node::open(&copy), Err(OpenError::Damaged { .. })), "cut to {length}");
    }
    let copy = disk.copy();
    copy.set_contents(&name, &bytes[..=end]);
    assert_eq!(contents(&wal_node::open(&copy).unwrap()).unwrap(), whole, "only zeros were cut off");
}

#[test]
fn a_segment_or_all_of_them_missing_is_refused() {
    use replicated_grid::log::disk::Disk as _;
    let (disk, _) = written();
    let copy = disk.copy();
    copy.remove(&segments(&disk)[1]).unwrap();
    assert!(matches!(wal_node::open(&copy), Err(OpenError::Damaged { .. })), "one in the middle");
    let copy = disk.copy();
    copy.remove(&segments(&disk)[0]).unwrap();
    assert!(matches!(wal_node::open(&copy), Err(OpenError::Damaged { .. })), "the oldest, with live entries");
    let copy = disk.copy();
    segments(&disk).iter().for_each(|name| copy.remove(name).unwrap());
    assert!(matches!(wal_node::open(&copy), Err(OpenError::Damaged { .. })), "all");
}
