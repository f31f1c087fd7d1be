//! Runs services together and ends them in the right order: first who lets work in, last who others lean on.
//!
//! Called by `dev` and `run` with everything already bound. A member that ends by itself ends the process: half a
//! platform is worse than a restart.

use std::future::Future;

use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, chain};

/// When a member is told to stop, and whom it outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Lets work in: kitchen-api, gateway-agent.
    Edge,
    /// gateway-core: publishes what it committed.
    Core,
    /// The feeds and presence.
    Feeds,
    /// Internal RPC, operations, in-process AWS.
    Foundation,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Edge, Self::Core, Self::Feeds, Self::Foundation];
}

struct Member {
    name: &'static str,
    stage: Stage,
    run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, Result<(), String>> + Send>,
}

/// Services that run together.
#[derive(Default)]
pub struct Members {
    members: Vec<Member>,
}

impl Members {
    /// Adds one; `run` is given the token that tells it to stop.
    pub fn add<F, E>(
        &mut self,
        name: &'static str,
        stage: Stage,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        let run = move |token: CancellationToken| {
            let work = run(token);
            let named: BoxFuture<'static, Result<(), String>> =
                Box::pin(async move { work.await.map_err(|error| chain(&error)) });
            named
        };
        self.members.push(Member { name, stage, run: Box::new(run) });
    }

    /// Runs all of them until `shutdown`, then stops one stage after the other.
    ///
    /// # Errors
    /// When a member failed, panicked or ended before it was told to.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Failure> {
        let tokens = Stage::ALL.map(|stage| (stage, CancellationToken::new()));
        let token = |stage: Stage| tokens[stage as usize].1.clone();
        let mut running: JoinSet<(&'static str, Stage, Result<(), String>)> = JoinSet::new();
        let mut left = [0usize; 4];
        for member in self.members {
            left[member.stage as usize] += 1;
            let work = (member.run)(token(member.stage));
            running.spawn(async move { (member.name, member.stage, work.await) });
        }
        let mut failure = None;
        tokio::select! {
            () = shutdown.cancelled() => tracing::info!("draining"),
            ended = running.join_next() => failure = Some(ended_early(ended, &mut left)),
        }
        for (stage, token) in &tokens {
            token.cancel();
            while left[*stage as usize] > 0 {
                match running.join_next().await {
                    Some(Ok((name, of, outcome))) => {
                        left[of as usize] -= 1;
                        if let Err(reason) = outcome {
                            failure.get_or_insert_with(|| Failure::Failed(format!("{name}: {reason}")));
                        }
                    }
                    Some(Err(error)) => return Err(Failure::Failed(format!("a service panicked: {error}"))),
                    None => break,
                }
            }
        }
        tracing::info!("stopped");
        failure.map_or(Ok(()), Err)
    }
}

type Ended = Option<Result<(&'static str, Stage, Result<(), String>), tokio::task::JoinError>>;

fn ended_early(ended: Ended, left: &mut [usize; 4]) -> Failure {
    match ended {
        Some(Ok((name, stage, outcome))) => {
            left[stage as usize] -= 1;
            let reason = outcome.err().unwrap_or_else(|| "ended by itself".to_owned());
            tracing::error!(service = name, reason, "a service ended; stopping the rest");
            Failure::Failed(format!("{name}: {reason}"))
        }
        Some(Err(error)) => {
            tracing::error!(%error, "a service panicked; stopping the rest");
            Failure::Failed(format!("a service panicked: {error}"))
        }
        None => Failure::Failed("nothing to run".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn stages_end_one_after_the_other() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut members = Members::default();
        for (name, stage) in
            [("aws", Stage::Foundation), ("core", Stage::Core), ("api", Stage::Edge), ("feed", Stage::Feeds)]
        {
            let order = Arc::clone(&order);
            members.add(name, stage, move |token| async move {
                token.cancelled().await;
                order.lock().push(name);
                Ok::<(), std::io::Error>(())
            });
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        members.run(shutdown).await.unwrap();
        assert_eq!(*order.lock(), ["api", "core", "feed", "aws"]);
    }

    #[tokio::test]
    async fn a_member_that_ends_by_itself_ends_all() {
        let mut members = Members::default();
        members.add("core", Stage::Core, |_| async { Err(std::io::Error::other("no disk")) });
        members.add("api", Stage::Edge, |token| async move {
            token.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
        let Err(Failure::Failed(message)) = members.run(CancellationToken::new()).await else { panic!("it must fail") };
        assert_eq!(message, "core: no disk");
    }
}
