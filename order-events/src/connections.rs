//! Polls and acknowledgments of kitchen-api in other processes, over plain connections ([`proto::frames`]).
//!
//! One task owns a connection: it reads what has come, answers every poll of it there and then, and writes all the answers
//! at once. Acknowledgments wait for a quorum and run beside it. To a peer that watches, news go as they come. A peer that does not read its answers is not
//! read either; each has a connection of its own, so nobody else waits. Who may connect is decided before.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use proto::conversions::to_bytes;
use proto::feed::AcknowledgeRequest;
use proto::frames::{FrameError, Incoming, Outgoing};
use proto::order_events::reply::Outcome;
use proto::order_events::request::Call;
use proto::order_events::{News, Reply, Request, Watching};
use proto::transport::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::news::Subscription;
use crate::rpc;
use crate::service::Handle;

/// The most connections at once: one of each kitchen-api, and those that were lost and not noticed yet.
const CONNECTIONS_MAX: usize = 1_024;

/// Answers that wait to be written; when there are more no further request is taken. One page may come on top.
const OUTGOING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Requests answered in one go: hundreds of empty polls take a millisecond, and others have their turn then.
const REQUESTS_AT_ONCE_MAX: usize = 256;

/// The correlation of what nobody asked for.
const UNASKED: u64 = 0;

/// The most acknowledgments of one connection under way at once; further ones are refused, so that polls never wait for
/// them. A quorum takes milliseconds, a partition that has lost its leader up to a second.
const ACKNOWLEDGMENTS_MAX: usize = 512;

/// A peer asks for a sign of life every few seconds: one that is silent for so long is gone.
const QUIET_MAX: Duration = Duration::from_secs(15);

/// How long answers under way may take once we were told to stop.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves every connection that comes, until `shutdown`.
///
/// # Errors
/// None; an error of the listener is of one attempt.
pub async fn serve<C: Connection>(
    handle: Handle,
    connections: impl Stream<Item = io::Result<C>>,
    shutdown: CancellationToken,
) -> Result<(), Infallible> {
    let (mut peers, mut connections) = (JoinSet::new(), pin!(connections.fuse()));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = peers.join_next() => {}
            Some(connected) = connections.next() => match connected {
                Ok(io) if peers.len() < CONNECTIONS_MAX => {
                    peers.spawn(converse(Conversation::new(handle.clone(), io)));
                }
                Ok(_) => tracing::warn!("there are as many connections of kitchen-api as are allowed"),
                // Whoever listens has said so.
                Err(_) => {}
            },
        }
    }
    // Whoever is asked for nothing more goes; the rest is cut.
    let _ = tokio::time::timeout(LAST_ANSWERS_TIMEOUT, async { while peers.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn converse<C: Connection>(mut conversation: Conversation<C>) {
    let mut looks = tokio::time::interval(QUIET_MAX);
    let mut taken_before = u64::MAX;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| conversation.poll_converse(context)) => {
                if let Err(Ended::Frame(error)) = ended {
                    tracing::warn!(error = %error, "a connection of kitchen-api was closed");
                }
                return;
            }
            _ = looks.tick() => {
                if conversation.taken == taken_before {
                    return;
                }
                taken_before = conversation.taken;
            }
        }
    }
}

/// Why a conversation is over. That a peer goes away is nothing to tell.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the peer does not speak this protocol")]
    Frame(#[from] FrameError),
}

/// One connection and what is under way on it.
struct Conversation<C> {
    handle: Handle,
    io: C,
    incoming: Incoming,
    outgoing: Outgoing,
    /// How many requests were taken.
    taken: u64,
    /// A place for each acknowledgment that may be under way.
    acknowledging: mpsc::Sender<Reply>,
    acknowledged: mpsc::Receiver<Reply>,
    /// Once the peer watches.
    watching: Option<Subscription>,
}

impl<C: Connection> Conversation<C> {
    fn new(handle: Handle, io: C) -> Self {
        let (acknowledging, acknowledged) = mpsc::channel(ACKNOWLEDGMENTS_MAX);
        let (incoming, outgoing) = (Incoming::default(), Outgoing::default());
        Self { handle, io, incoming, outgoing, taken: 0, acknowledging, acknowledged, watching: None }
    }

    /// Ready when the peer has gone.
    fn poll_converse(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        loop {
            while self.has_room() {
                let Poll::Ready(Some(reply)) = self.acknowledged.poll_recv(context) else { break };
                self.put(reply);
            }
            self.tell_news(context);
            let (mut taken, mut is_drained) = (0, false);
            while self.has_room() && taken < REQUESTS_AT_ONCE_MAX && !is_drained {
                match self.incoming.take()? {
                    Some(request) => self.answer(request),
                    None => is_drained = true,
                }
                taken += 1;
            }
            let is_written = self.outgoing.poll_write(Pin::new(&mut self.io), context)?.is_ready();
            if !is_written && !self.has_room() {
                return Poll::Pending;
            }
            if taken >= REQUESTS_AT_ONCE_MAX {
                // There may be more: after whoever else is ready to run.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if is_drained {
                match self.incoming.poll_read(Pin::new(&mut self.io), context)? {
                    Poll::Ready(0) => return Poll::Ready(Ok(())),
                    Poll::Ready(_) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
    }

    /// What there is no room for now waits where it is gathered, which is bounded.
    fn tell_news(&mut self, context: &mut Context<'_>) {
        while self.has_room() {
            let Some(Poll::Ready(news)) = self.watching.as_mut().map(|news| news.poll_next(context)) else { return };
            let merchant_ids = news.merchants.iter().map(|merchant| to_bytes(merchant.as_bytes())).collect();
            let outcome = Some(Outcome::News(News { merchant_ids, is_cut: news.is_cut }));
            self.put(Reply { correlation: UNASKED, outcome });
        }
    }

    fn has_room(&self) -> bool {
        self.outgoing.len() < OUTGOING_BYTES_MAX
    }

    fn answer(&mut self, Request { correlation, call }: Request) {
        self.taken += 1;
        let outcome = match call {
            Some(Call::Poll(request)) => rpc::poll(&self.handle, &request).map(Outcome::Poll),
            Some(Call::Acknowledge(request)) => match self.acknowledging.clone().try_reserve_owned() {
                Ok(place) => return acknowledge(self.handle.clone(), correlation, request, place),
                Err(_) => rpc::refuse_all(&self.handle, &request).map(Outcome::Acknowledge),
            },
            Some(Call::Watch(_)) => {
                self.watching = Some(self.handle.subscribe());
                Ok(Outcome::Watching(Watching {}))
            }
            None => Ok(Outcome::Error("call is absent".to_owned())),
        };
        self.put(reply(correlation, outcome));
    }

    fn put(&mut self, reply: Reply) {
        let correlation = reply.correlation;
        if !self.outgoing.add(&reply) {
            let outcome = Some(Outcome::Error("the answer is too long".to_owned()));
            let _ = self.outgoing.add(&Reply { correlation, outcome });
        }
    }
}

fn reply(correlation: u64, outcome: Result<Outcome, Status>) -> Reply {
    let outcome = outcome.unwrap_or_else(|status| Outcome::Error(status.message().to_owned()));
    Reply { correlation, outcome: Some(outcome) }
}

/// Acknowledges beside the conversation. Whoever asked may go away meanwhile; what was applied stays so.
fn acknowledge(handle: Handle, correlation: u64, request: AcknowledgeRequest, place: mpsc::OwnedPermit<Reply>) {
    tokio::spawn(async move {
        let outcome = rpc::acknowledge(&handle, &request).await.map(Outcome::Acknowledge);
        place.send(reply(correlation, outcome));
    });
}
