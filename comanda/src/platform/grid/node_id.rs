//! Under which id this process is a node of the grid, and that the id lives exactly as long as its log.

use std::io::ErrorKind;
use std::path::Path;

use replicated_grid::NodeId;
use replicated_grid::replicated::Identity;

use crate::failure::{Context, Failure};

/// The file in the data directory that keeps an id which nobody chose.
const FILE: &str = "node-id";

/// The id: the one that was set or certified, else the one that the data directory keeps, else a new one, which is kept
/// there. Without a data directory the log is in memory, and the id is new at every start.
///
/// # Errors
/// When the sources contradict each other, an id was set for a log in memory, or the file cannot be used.
pub fn choose(set: Option<NodeId>, certified: Option<NodeId>, data_dir: Option<&Path>) -> Result<Identity, Failure> {
    if let (Some(set), Some(certified)) = (set, certified)
        && set != certified
    {
        return Err(Failure::Failed(format!("node_id is {set}, but grid_cert_file is made out to node {certified}")));
    }
    let given = set.or(certified);
    match (data_dir, given) {
        (None, None) => Ok(Identity::volatile(rand::random())),
        (None, Some(id)) => Err(Failure::Failed(format!(
            "node {id} has no data_dir: a log in memory takes a new id at every start, or it would forget its vote"
        ))),
        (Some(_), Some(id)) => Ok(Identity::durable(id)),
        (Some(directory), None) => kept(directory).map(Identity::durable),
    }
}

fn kept(directory: &Path) -> Result<NodeId, Failure> {
    let path = directory.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let id = text.trim().parse().ok().filter(|id: &u64| *id > 0);
            id.map(NodeId).ok_or_else(|| Failure::Failed(format!("{}: expected a number from 1", path.display())))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // Above what people choose, and within what every JSON reader keeps exact.
            let id = rand::random_range(1 << 32..1 << 53);
            std::fs::create_dir_all(directory).context(&format!("making {}", directory.display()))?;
            std::fs::write(&path, format!("{id}\n")).context(&format!("writing {}", path.display()))?;
            Ok(NodeId(id))
        }
        Err(error) => Err(Failure::of(&format!("reading {}", path.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lives_as_long_as_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (Some(NodeId(1)), Some(NodeId(2)));
        assert!(choose(one, two, Some(directory.path())).is_err());
        assert!(choose(one, None, None).is_err());
        assert_eq!(choose(None, two, Some(directory.path())).unwrap().id(), NodeId(2));
        let made_up = choose(None, None, Some(directory.path())).unwrap();
        assert_eq!(choose(None, None, Some(directory.path())).unwrap().id(), made_up.id());
        assert_ne!(choose(None, None, None).unwrap().id(), choose(None, None, None).unwrap().id());
    }

    #[test]
    fn a_file_that_is_no_id_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "zero").unwrap();
        let Err(Failure::Failed(text)) = choose(None, None, Some(directory.path())) else { panic!("it must fail") };
        assert!(text.contains("node-id: expected a number"), "{text}");
    }
}
