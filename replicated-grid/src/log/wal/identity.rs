//! Whose directory it is: the lock, and the file that ties it to one node of one cluster. Used when a log is opened.

use super::super::disk::{Disk, DiskLock};
use super::error::OpenError;
use crate::node::NodeId;

const LOCK_NAME: &str = "lock";
/// The file with the node's identity; written after the first segment, so where it is, a segment must be.
pub(super) const NODE_NAME: &str = "node";
const NODE_UNFINISHED_NAME: &str = "node.new";

/// Takes the directory for this process until the answer is dropped.
///
/// # Errors
/// If somebody else has it.
pub(super) fn lock(disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
    disk.lock(LOCK_NAME).map_err(|source| match source.kind() {
        std::io::ErrorKind::WouldBlock => OpenError::InUse { place: disk.place() },
        _ => OpenError::Io { place: disk.place(), step: "locking the directory", source },
    })
}

/// Whether the identity file is there; then it says that the directory is `node`'s.
///
/// # Errors
/// If it is another node's, or unreadable.
pub(super) fn check(disk: &dyn Disk, cluster: &str, node: NodeId) -> Result<bool, OpenError> {
    let failed = |step| move |source| OpenError::Io { place: disk.place(), step, source };
    if !disk.list().map_err(failed("listing the directory"))?.iter().any(|name| name == NODE_NAME) {
        return Ok(false);
    }
    let file = disk.open(NODE_NAME).map_err(failed("opening the node file"))?;
    let length = file.length().map_err(failed("reading the node file"))?;
    let mut bytes = vec![0; usize::try_from(length.min(4_096)).unwrap_or_default()];
    file.read_at(&mut bytes, 0).map_err(failed("reading the node file"))?;
    let expected = text(cluster, node);
    if bytes == expected.as_bytes() {
        return Ok(true);
    }
    let Some(found) = verified(&bytes) else {
        let reason = "its checksum is wrong".to_owned();
        return Err(OpenError::Damaged { place: disk.place(), file: NODE_NAME.to_owned(), offset: 0, reason });
    };
    Err(OpenError::ForeignDirectory { place: disk.place(), found, expected: description(cluster, node) })
}

/// Writes the identity file.
///
/// # Errors
/// What the disk says.
pub(super) fn write(disk: &dyn Disk, cluster: &str, node: NodeId) -> Result<(), OpenError> {
    let written = || {
        if disk.list()?.iter().any(|name| name == NODE_UNFINISHED_NAME) {
            disk.remove(NODE_UNFINISHED_NAME)?;
        }
        let file = disk.create(NODE_UNFINISHED_NAME)?;
        file.write_at(text(cluster, node).as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(NODE_UNFINISHED_NAME, NODE_NAME)?;
        disk.sync_directory()
    };
    written().map_err(|source| OpenError::Io { place: disk.place(), step: "writing the node file", source })
}

/// Stands for the cluster's name in the header of a segment.
pub(super) fn cluster_checksum(cluster: &str) -> u32 {
    crc32fast::hash(cluster.as_bytes())
}

/// Whose directory it is, in words.
pub(super) fn description(cluster: &str, node: NodeId) -> String {
    format!("node {node} of cluster {cluster}")
}

fn text(cluster: &str, node: NodeId) -> String {
    let description = description(cluster, node);
    let checksum = crc32fast::hash(description.as_bytes());
    format!("{description}\n{checksum:08x}\n")
}

fn verified(bytes: &[u8]) -> Option<String> {
    let (description, checksum) = std::str::from_utf8(bytes).ok()?.trim_end().rsplit_once('\n')?;
    let matches = format!("{:08x}", crc32fast::hash(description.as_bytes())) == checksum;
    matches.then(|| description.to_owned())
}
