//! Snapshot files: replaced whole or not at all, and never served damaged.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::snapshots::SnapshotFiles;
use replicated_grid::log::wal::Reads;
use replicated_grid::log::{SnapshotStore as _, SnapshotStoreError};

fn files(disk: &SimulatedDisk) -> SnapshotFiles {
    SnapshotFiles::open(Arc::new(disk.clone()), Reads::Inline).unwrap()
}

fn save(files: &SnapshotFiles, meta: &'static str, chunks: &[&'static str]) -> Result<(), SnapshotStoreError> {
    let data = chunks.iter().map(|chunk| Bytes::from_static(chunk.as_bytes())).collect();
    files.save(5, Bytes::from_static(meta.as_bytes()), data).now_or_never().unwrap()
}

fn load(files: &SnapshotFiles) -> Result<Option<(Bytes, Vec<u8>)>, SnapshotStoreError> {
    let stored = files.load(5).now_or_never().unwrap()?;
    Ok(stored.map(|stored| (stored.meta, stored.data.concat())))
}

fn found(meta: &'static str, data: &'static str) -> Option<(Bytes, Vec<u8>)> {
    Some((Bytes::from_static(meta.as_bytes()), data.as_bytes().to_vec()))
}

#[test]
fn the_newest_snapshot_is_there_until_it_is_removed() {
    let disk = SimulatedDisk::default();
    let files = files(&disk);
    assert_eq!(load(&files).unwrap(), None);
    save(&files, "one", &["a", "bc"]).unwrap();
    save(&files, "two", &["def", "", "g"]).unwrap();
    assert_eq!(load(&files).unwrap(), found("two", "defg"));
    files.remove(5).now_or_never().unwrap().unwrap();
    files.remove(5).now_or_never().unwrap().unwrap();
    assert_eq!(load(&files).unwrap(), None);
}

#[test]
fn every_flipped_and_every_missing_byte_is_reported() {
    let disk = SimulatedDisk::default();
    save(&files(&disk), "meta", &["some", "data"]).unwrap();
    let bytes = disk.contents("00005.snapshot").unwrap();
    for offset in 0..bytes.len() {
        let copy = disk.copy();
        copy.flip("00005.snapshot", offset, (offset % 8) as u8);
        assert!(matches!(load(&files(&copy)), Err(SnapshotStoreError::Damaged { .. })), "flipped at {offset}");
        copy.set_contents("00005.snapshot", &bytes[..offset]);
        assert!(matches!(load(&files(&copy)), Err(SnapshotStoreError::Damaged { .. })), "cut at {offset}");
    }
}

#[test]
fn a_crash_leaves_the_former_or_the_new_one() {
    let (mut former, mut new) = (0, 0);
    for seed in 0..200 {
        let disk = SimulatedDisk::default();
        save(&files(&disk), "one", &["former"]).unwrap();
        match seed % 4 {
            0 => drop(save(&files(&disk), "two", &["new"])),
            1 => {
                disk.stop_in_sync_after(0);
                save(&files(&disk), "two", &["new"]).unwrap_err();
            }
            2 => {
                disk.fail_syncs_after(0);
                save(&files(&disk), "two", &["new"]).unwrap_err();
            }
            _ => {
                disk.set_capacity(Some(80));
                save(&files(&disk), "two", &["new, and larger than the disk"]).unwrap_err();
            }
        }
        disk.heal();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        match load(&files(&disk)).unwrap() {
            found if found == self::found("one", "former") => former += 1,
            found if found == self::found("two", "new") => new += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert_eq!((former, new), (150, 50));
}
