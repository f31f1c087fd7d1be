//! Snapshots as files of one directory: one per group, replaced only once the new one is durable.
//!
//! A save writes a file under another name, syncs it, renames it over the former one and syncs the directory: at every
//! moment there is one whole snapshot, the former or the new one. A file that is not what was written is reported, never
//! skipped. What is not here: partial reads, and locking (the directory is the log's, which has the lock).
//!
//! ```text
//! "grid-snp" | version u32 | group u16 | 0 u16 | meta length u64 | data length u64 | header CRC u32 | meta | data | CRC u32 of meta and data
//! ```

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::disk::{Disk, DiskFile};
use super::wal::Reads;
use super::{GroupId, SnapshotStore, SnapshotStoreError, StoredSnapshot};

const MAGIC: &[u8; 8] = b"grid-snp";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: usize = 36;
/// What is written or read with one call, and how long a chunk is that is handed out.
const CHUNK_BYTES: usize = 1 << 20;

/// Snapshot files. Clones share them.
#[derive(Clone)]
pub struct SnapshotFiles {
    disk: Arc<dyn Disk>,
    reads: Reads,
}

impl SnapshotFiles {
    /// Keeps snapshots in `disk`, and removes what an interrupted save left there. Blocking.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: Arc<dyn Disk>, reads: Reads) -> io::Result<Self> {
        for name in disk.list()?.iter().filter(|name| name.ends_with(".snapshot.new")) {
            disk.remove(name)?;
        }
        Ok(Self { disk, reads })
    }

    /// Runs `work` where blocking work belongs.
    fn run<R: Send + 'static>(
        &self,
        group: GroupId,
        work: impl FnOnce(&dyn Disk) -> Result<R, SnapshotStoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<R, SnapshotStoreError>> {
        let (disk, reads) = (Arc::clone(&self.disk), self.reads);
        Box::pin(async move {
            match reads {
                Reads::Inline => work(&*disk),
                Reads::BlockingThread => match tokio::task::spawn_blocking(move || work(&*disk)).await {
                    Ok(outcome) => outcome,
                    Err(error) => Err(failed(group, "running a task")(io::Error::other(error))),
                },
            }
        })
    }
}

impl SnapshotStore for SnapshotFiles {
    fn save(
        &self,
        group: GroupId,
        meta: Bytes,
        data: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<(), SnapshotStoreError>> {
        self.run(group, move |disk| save(disk, group, &meta, &data))
    }

    fn load(&self, group: GroupId) -> BoxFuture<'static, Result<Option<StoredSnapshot>, SnapshotStoreError>> {
        self.run(group, move |disk| load(disk, group))
    }

    fn remove(&self, group: GroupId) -> BoxFuture<'static, Result<(), SnapshotStoreError>> {
        self.run(group, move |disk| {
            match disk.remove(&name(group)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                outcome => outcome.map_err(failed(group, "remove"))?,
            }
            disk.sync_directory().map_err(failed(group, "syncing the directory"))
        })
    }
}

fn name(group: GroupId) -> String {
    format!("{group:05}.snapshot")
}

fn failed(group: GroupId, step: &'static str) -> impl FnOnce(io::Error) -> SnapshotStoreError {
    move |source| SnapshotStoreError::Io { group, step, source: Arc::new(source) }
}

fn damaged(group: GroupId, reason: &'static str) -> SnapshotStoreError {
    SnapshotStoreError::Damaged { group, file: name(group), reason }
}

fn save(disk: &dyn Disk, group: GroupId, meta: &Bytes, data: &[Bytes]) -> Result<(), SnapshotStoreError> {
    let unfinished = format!("{}.new", name(group));
    match disk.remove(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => outcome.map_err(failed(group, "removing an unfinished file"))?,
    }
    let file = disk.create(&unfinished).map_err(failed(group, "create"))?;
    if let Err(error) = write(&*file, group, meta, data) {
        // Space that a failed save took is given back at once; the next start would do it too.
        drop(disk.remove(&unfinished));
        return Err(error);
    }
    disk.rename(&unfinished, &name(group)).map_err(failed(group, "rename"))?;
    disk.sync_directory().map_err(failed(group, "syncing the directory"))
}

fn write(file: &dyn DiskFile, group: GroupId, meta: &Bytes, data: &[Bytes]) -> Result<(), SnapshotStoreError> {
    let data_bytes: u64 = data.iter().map(|chunk| chunk.len() as u64).sum();
    file.write_at(&header(group, meta.len() as u64, data_bytes), 0).map_err(failed(group, "write"))?;
    let mut checksum = crc32fast::Hasher::new();
    let mut offset = HEADER_BYTES as u64;
    for chunk in std::iter::once(meta).chain(data) {
        for part in chunk.chunks(CHUNK_BYTES) {
            checksum.update(part);
            file.write_at(part, offset).map_err(failed(group, "write"))?;
            offset += part.len() as u64;
        }
    }
    file.write_at(&checksum.finalize().to_le_bytes(), offset).map_err(failed(group, "write"))?;
    file.sync_data().map_err(failed(group, "fdatasync"))
}

fn header(group: GroupId, meta_bytes: u64, data_bytes: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..14].copy_from_slice(&group.to_le_bytes());
    header[16..24].copy_from_slice(&meta_bytes.to_le_bytes());
    header[24..32].copy_from_slice(&data_bytes.to_le_bytes());
    let checksum = crc32fast::hash(&header[..32]);
    header[32..].copy_from_slice(&checksum.to_le_bytes());
    header
}

fn load(disk: &dyn Disk, group: GroupId) -> Result<Option<StoredSnapshot>, SnapshotStoreError> {
    let file = match disk.open(&name(group)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(failed(group, "open"))?,
    };
    let length = file.length().map_err(failed(group, "reading the length"))?;
    let mut found = [0; HEADER_BYTES];
    let Some(rest_bytes) = length.checked_sub(HEADER_BYTES as u64 + 4) else {
        return Err(damaged(group, "it is shorter than its header"));
    };
    file.read_at(&mut found, 0).map_err(failed(group, "read"))?;
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| found[at + byte]));
    let (meta_bytes, data_bytes) = (u64_at(16), u64_at(24));
    if found != header(group, meta_bytes, data_bytes) {
        return Err(damaged(group, "its header is not what was written"));
    }
    if meta_bytes.checked_add(data_bytes) != Some(rest_bytes) {
        return Err(damaged(group, "it has another length than was written"));
    }
    read_verified(&*file, group, meta_bytes, data_bytes).map(Some)
}

fn read_verified(
    file: &dyn DiskFile,
    group: GroupId,
    meta_bytes: u64,
    data_bytes: u64,
) -> Result<StoredSnapshot, SnapshotStoreError> {
    let mut checksum = crc32fast::Hasher::new();
    let mut offset = HEADER_BYTES as u64;
    let mut read = |bytes: u64| {
        let mut chunk = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read_at(&mut chunk, offset).map_err(failed(group, "read"))?;
        offset += bytes;
        Ok::<Vec<u8>, SnapshotStoreError>(chunk)
    };
    let meta = read(meta_bytes)?;
    checksum.update(&meta);
    let mut data = Vec::new();
    let mut left = data_bytes;
    while left > 0 {
        let chunk = read(left.min(CHUNK_BYTES as u64))?;
        left -= chunk.len() as u64;
        checksum.update(&chunk);
        data.push(Bytes::from(chunk));
    }
    if read(4)? != checksum.finalize().to_le_bytes() {
        return Err(damaged(group, "its checksum is wrong"));
    }
    Ok(StoredSnapshot { meta: Bytes::from(meta), data })
}
