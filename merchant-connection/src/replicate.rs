//! Having decisions replicated, and what it means when one was not.

use bytes::Bytes;
use replicated_grid::ProposeError;

use crate::led::Led;
use crate::presence::presence_clock::Tenths;
use crate::presence::{Command, Decision, Head, Reply};
use crate::service::Shared;

/// A decision that is not known to be in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotApplied {
    /// A later leader has taken over: nothing more of this term will be.
    #[error("another leader has taken over")]
    Superseded,
    /// The grid did not answer with a reply. It may have been applied all the same, and may be repeated.
    #[error(transparent)]
    Grid(#[from] ProposeError),
    /// The state could not read it: the leader's code is older.
    #[error("the state could not read a decision")]
    Unreadable,
}

impl Shared {
    /// Replicates one decision of a leader's.
    pub(crate) async fn replicate(&self, led: &Led, hearing: Tenths, decision: Decision) -> Result<(), NotApplied> {
        self.replicate_of(led.partition, Head { term: led.term, hearing }, decision).await
    }

    /// Replicates one decision; applied when this returns.
    pub(crate) async fn replicate_of(&self, partition: u16, head: Head, decision: Decision) -> Result<(), NotApplied> {
        let command = Command { head, decision };
        let replies = self.grid.propose(partition, vec![Bytes::from(command.encode())]).await?;
        match replies.first().map(|reply| Reply::decode(reply)) {
            Some(Reply::Applied) => Ok(()),
            Some(Reply::Superseded) => Err(NotApplied::Superseded),
            Some(Reply::Unreadable) | None => Err(NotApplied::Unreadable),
        }
    }
}

/// Says once that something keeps failing, and once that it does not any more.
#[derive(Debug, Default)]
pub(crate) struct Episode {
    is_failing: bool,
}

impl Episode {
    /// It failed; whether that begins an episode.
    pub(crate) fn fails(&mut self) -> bool {
        !std::mem::replace(&mut self.is_failing, true)
    }

    /// It worked; whether that ends one.
    pub(crate) fn succeeds(&mut self) -> bool {
        std::mem::take(&mut self.is_failing)
    }
}
