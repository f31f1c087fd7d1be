//! The write-ahead log on the file system, with its thread: group commit under concurrency, and a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use order_model::{ManualClock, Timestamp};
use replicated_grid::NodeId;
use replicated_grid::log::disk::{Disk, RealDisk};
use replicated_grid::log::wal::{Config, OpenError, Wal};
use replicated_grid::log::{LogEntry, LogStore as _};
use tokio::sync::oneshot;

const GROUPS: u16 = 8;
const ENTRIES: u64 = 200;

fn start(directory: &tempfile::TempDir) -> Result<Wal, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::open(directory.path().join("log")).unwrap());
    let mut config = Config::new("test", "town".to_owned(), NodeId(1));
    config.segment_bytes = 64 << 10;
    config.cache_bytes = 4 << 10;
    Wal::start(disk, ManualClock::new(Timestamp::from_unix_ms(0)), &config)
}

fn payload(group: u16, index: u64) -> Bytes {
    Bytes::from(format!("{group}/{index}").repeat(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_write_together_and_find_everything_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let wal = start(&directory).unwrap();
    assert!(matches!(start(&directory), Err(OpenError::InUse { .. })));
    let durable = Arc::new(AtomicU64::new(0));
    let writers = (0..GROUPS).map(|group| {
        let (wal, durable) = (wal.clone(), Arc::clone(&durable));
        tokio::spawn(async move {
            for index in 0..ENTRIES {
                let (done, waits) = oneshot::channel();
                let callback = Box::new(move |outcome| drop(done.send(outcome)));
                wal.append(group, vec![LogEntry { index, payload: payload(group, index) }], callback);
                waits.await.unwrap().unwrap();
                durable.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(durable.load(Ordering::SeqCst), u64::from(GROUPS) * ENTRIES);
    check(&wal).await;
    wal.close();
    drop(wal);
    let wal = start(&directory).unwrap();
    check(&wal).await;
    wal.close();
}

async fn check(wal: &Wal) {
    for group in 0..GROUPS {
        let expected: Vec<Bytes> = (0..ENTRIES).map(|index| payload(group, index)).collect();
        assert_eq!(wal.entries(group, 0..ENTRIES, usize::MAX).await.unwrap(), expected);
        let some = wal.entries(group, 10..ENTRIES, 500).await.unwrap();
        assert!(!some.is_empty() && some.len() < 20 && some[..] == expected[10..10 + some.len()]);
    }
}

#[test]
fn the_disk_knows_its_free_space() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(directory.path().to_owned()).unwrap();
    assert!(disk.free_bytes().unwrap() > 0);
    let file = disk.create("a").unwrap();
    file.preallocate(10_000).unwrap();
    file.write_at(b"xyz", 9_997).unwrap();
    file.sync_data().unwrap();
    disk.rename("a", "b").unwrap();
    disk.sync_directory().unwrap();
    assert_eq!(disk.list().unwrap(), ["b"]);
    let mut bytes = [1; 4];
    disk.open("b").unwrap().read_at(&mut bytes, 9_996).unwrap();
    assert_eq!(bytes, *b"\0xyz");
}
