//! What is said when a stream is opened: who calls whom, in which cluster, on which lane. Written by the caller's
//! side, read and judged by the other; pure.

use tonic::Status;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use super::tls::ClusterName;
use crate::node::NodeId;
use crate::peers::Lane;

/// The version of what follows the opening.
const VERSION: &str = "1";
/// Whoever is at the address: said by a node that is in no grid yet, which knows addresses and no ids.
pub(super) const ANYBODY: NodeId = NodeId(0);
/// Text of a stranger that is repeated in an answer, at most.
const REPEATED_CHARACTERS_MAX: usize = 64;

/// The metadata of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The caller's cluster.
    pub(super) cluster: ClusterName,
    /// Who the caller says it is.
    pub(super) from: NodeId,
    /// Who it means to call; [`ANYBODY`] where it knows an address only.
    pub(super) to: NodeId,
    pub(super) lane: Lane,
}

/// A lane's name on the wire, in metrics and in logs.
pub(super) fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Raft => "raft",
        Lane::Snapshot => "snapshot",
        Lane::Proposal => "proposal",
    }
}

impl Opening {
    pub(super) fn write(&self, metadata: &mut MetadataMap) {
        let mut put = |key: &'static str, text: &str| {
            if let Ok(value) = AsciiMetadataValue::try_from(text) {
                metadata.insert(key, value);
            }
        };
        put("comanda-transport", VERSION);
        put("comanda-cluster", self.cluster.as_str());
        put("comanda-node", &self.from.to_string());
        put("comanda-to", &self.to.to_string());
        put("comanda-lane", lane_name(self.lane));
    }

    /// Reads an opening addressed to the node `ours` of `cluster`.
    ///
    /// # Errors
    /// With what the caller is told.
    pub(super) fn read(metadata: &MetadataMap, cluster: &ClusterName, ours: NodeId) -> Result<Self, Status> {
        let version = text(metadata, "comanda-transport")?;
        if version != VERSION {
            let version = repeated(version);
            return Err(Status::failed_precondition(format!("transport version {version:?} is not spoken here")));
        }
        let named = text(metadata, "comanda-cluster")?;
        if named != cluster.as_str() {
            let named = repeated(named);
            return Err(Status::failed_precondition(format!("this is a node of cluster {cluster}, not of {named:?}")));
        }
        let is_for_anybody = text(metadata, "comanda-to")? == ANYBODY.to_string();
        let to = if is_for_anybody { ANYBODY } else { node(metadata, "comanda-to")? };
        if !is_for_anybody && to != ours {
            return Err(Status::failed_precondition(format!("this is node {ours}, not {to}: its address is wrong")));
        }
        let lane = match text(metadata, "comanda-lane")? {
            "raft" => Lane::Raft,
            "snapshot" => Lane::Snapshot,
            "proposal" => Lane::Proposal,
            _ => return Err(Status::invalid_argument("comanda-lane is none of raft, snapshot, proposal")),
        };
        Ok(Self { cluster: cluster.clone(), from: node(metadata, "comanda-node")?, to, lane })
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &'static str) -> Result<&'a str, Status> {
    let value = metadata.get(key).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| Status::invalid_argument(format!("the metadata {key} is missing")))
}

fn node(metadata: &MetadataMap, key: &'static str) -> Result<NodeId, Status> {
    let id = text(metadata, key)?.parse().ok().filter(|id| *id != 0);
    id.map(NodeId).ok_or_else(|| Status::invalid_argument(format!("{key} is not a node id")))
}

fn repeated(text: &str) -> String {
    text.chars().take(REPEATED_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        let cluster = ClusterName::new("west").unwrap();
        Opening { cluster, from: NodeId(7), to: NodeId(3), lane: Lane::Snapshot }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut metadata = MetadataMap::new();
        opening().write(&mut metadata);
        assert_eq!(Opening::read(&metadata, &opening().cluster, NodeId(3)).unwrap(), opening());
        let misdirected = Opening::read(&metadata, &opening().cluster, NodeId(4)).unwrap_err();
        assert_eq!(misdirected.message(), "this is node 4, not 3: its address is wrong");
        let elsewhere = Opening::read(&metadata, &ClusterName::new("east").unwrap(), NodeId(3)).unwrap_err();
        assert_eq!(elsewhere.message(), "this is a node of cluster east, not of \"west\"");
    }

    #[test]
    fn each_part_is_needed_and_checked() {
        for key in ["comanda-transport", "comanda-cluster", "comanda-node", "comanda-to", "comanda-lane"] {
            for wrong in [None, Some(""), Some("0"), Some("-1"), Some("nobody")] {
                let mut metadata = MetadataMap::new();
                opening().write(&mut metadata);
                metadata.remove(key);
                if key == "comanda-to" && wrong == Some("0") {
                    continue;
                }
                if let Some(wrong) = wrong {
                    metadata.insert(key, wrong.parse().unwrap());
                }
                assert!(Opening::read(&metadata, &opening().cluster, NodeId(3)).is_err(), "{key}: {wrong:?}");
            }
        }
    }
}
