//! The answers of one stream on their way to the caller, in messages of what had gathered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::Stream;
use proto::grid_transport::{Frame, Frames, frame::Content};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::Status;

use super::limits::{CALLS_IN_FLIGHT_MAX, FRAMES_PER_MESSAGE_MAX, MESSAGE_BYTES_TARGET};

/// What the stream carries.
pub(super) enum Answer {
    /// An answer, and what its request held of the stream's limit until it is on its way.
    Frame(Frame, OwnedSemaphorePermit),
    /// Nothing comes after this.
    End(Status),
}

/// Where answers are put.
pub(super) type AnswerSender = mpsc::Sender<Answer>;

/// The stream a caller reads. It ends when all senders are gone.
pub struct Answers {
    receiver: mpsc::Receiver<Answer>,
    /// Received and not yet sent.
    gathered: VecDeque<Answer>,
    ended: bool,
}

/// A stream and its senders. Permits bound the number of answers, and there may be one end beside them.
pub(super) fn answers() -> (AnswerSender, Answers) {
    let (sender, receiver) = mpsc::channel(CALLS_IN_FLIGHT_MAX + 1);
    (sender, Answers { receiver, gathered: VecDeque::new(), ended: false })
}

impl Answers {
    fn message(&mut self) -> Option<Result<Frames, Status>> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while frames.len() < FRAMES_PER_MESSAGE_MAX && bytes < MESSAGE_BYTES_TARGET {
            match self.gathered.pop_front() {
                Some(Answer::Frame(frame, _permit)) => {
                    bytes += match &frame.content {
                        Some(Content::Payload(payload)) => payload.len(),
                        Some(Content::Refusal(reason)) => reason.len(),
                        None => 0,
                    };
                    frames.push(frame);
                }
                Some(end @ Answer::End(_)) if !frames.is_empty() => {
                    self.gathered.push_front(end);
                    break;
                }
                Some(Answer::End(status)) => {
                    self.ended = true;
                    return Some(Err(status));
                }
                None => break,
            }
        }
        (!frames.is_empty()).then_some(Ok(Frames { frames }))
    }
}

impl Stream for Answers {
    type Item = Result<Frames, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if this.gathered.is_empty() {
            let mut received = Vec::new();
            let count = this.receiver.poll_recv_many(context, &mut received, FRAMES_PER_MESSAGE_MAX);
            match count {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => this.ended = true,
                Poll::Ready(_) => this.gathered = received.into(),
            }
        }
        Poll::Ready(this.message())
    }
}
