//! What nodes tell each other several times a second: which groups they lead, and how those are.
//!
//! From it every node knows the leader and the time of every partition, also of those it has no replica of, and whoever
//! leads the control group knows what to do next.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::codec::{DecodeError, Reader, Writer};
use super::control::plan::SeenGroup;
use super::control::{put_nodes, read_nodes};
use crate::log::GroupId;
use crate::node::NodeId;
use crate::state_machine::ReplicatedTime;

/// How often a node reports when nothing happens.
pub(super) const REPORT_INTERVAL: Duration = Duration::from_millis(250);
/// A report older than this says nothing any more: several have been missed.
const REPORT_LIFETIME: Duration = Duration::from_millis(1_500);

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// It hands its leaderships over and wants no new ones: it drains, or its log takes nothing.
    pub(super) is_draining: bool,
    /// The groups it leads.
    pub(super) led: Vec<(GroupId, SeenGroup, ReplicatedTime)>,
    /// How many entries of the control group it has applied.
    pub(super) control_applied: u64,
}

impl Report {
    pub(super) fn put(&self, writer: &mut Writer) {
        writer.flag(self.is_draining);
        writer.list(self.led.iter(), |writer, (id, group, time)| {
            writer.u16(*id);
            writer.u64(group.term);
            writer.i64(time.unix_ms);
            writer.u64(group.last_index);
            writer.flag(group.is_joint);
            put_nodes(writer, &group.voters.iter().copied().collect::<Vec<_>>());
            put_nodes(writer, &group.learners.iter().copied().collect::<Vec<_>>());
            writer.list(group.matched.iter(), |writer, (node, index)| {
                writer.u64(node.0);
                writer.u64(*index);
            });
        });
        writer.u64(self.control_applied);
    }

    /// Reads the report of `from`.
    pub(super) fn read(from: NodeId, mut reader: Reader) -> Result<Self, DecodeError> {
        let is_draining = reader.flag()?;
        let led = reader.list(|reader| {
            let (id, term) = (reader.u16()?, reader.u64()?);
            let time = ReplicatedTime { unix_ms: reader.i64()? };
            let (last_index, is_joint) = (reader.u64()?, reader.flag()?);
            let voters = read_nodes(reader)?.into_iter().collect();
            let learners = read_nodes(reader)?.into_iter().collect();
            let matched = reader.list(|reader| Ok((NodeId(reader.u64()?), reader.u64()?)))?.into_iter().collect();
            Ok((id, SeenGroup { leader: from, term, voters, learners, is_joint, last_index, matched }, time))
        })?;
        let control_applied = reader.u64()?;
        reader.finish()?;
        Ok(Self { is_draining, led, control_applied })
    }

    pub(super) fn encode(&self, mut writer: Writer) -> Bytes {
        self.put(&mut writer);
        writer.finish()
    }
}

/// The last report of each node.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<BTreeMap<NodeId, (Report, Instant)>>);

impl Reports {
    pub(super) fn keep(&self, from: NodeId, report: Report) {
        self.0.lock().insert(from, (report, Instant::now()));
    }

    /// Calls `each` with every node that has reported lately.
    pub(super) fn for_each(&self, mut each: impl FnMut(NodeId, &Report)) {
        let now = Instant::now();
        for (node, (report, received)) in &*self.0.lock() {
            if now.saturating_duration_since(*received) < REPORT_LIFETIME {
                each(*node, report);
            }
        }
    }

    /// Forgets whoever `keep` does not want.
    pub(super) fn retain(&self, keep: impl Fn(NodeId) -> bool) {
        self.0.lock().retain(|node, _| keep(*node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_comes_back() {
        let group = SeenGroup {
            leader: NodeId(4),
            term: 9,
            voters: [NodeId(4), NodeId(5)].into(),
            learners: [NodeId(6)].into(),
            is_joint: true,
            last_index: 77,
            matched: [(NodeId(5), 76)].into(),
        };
        let report =
            Report { is_draining: true, led: vec![(3, group, ReplicatedTime { unix_ms: -5 })], control_applied: 12 };
        let bytes = report.encode(Writer::default());
        assert_eq!(Report::read(NodeId(4), Reader::new(bytes)).unwrap(), report);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Report::read(NodeId(1), Reader::new(Bytes::from(bytes)));
        }
    }
}
