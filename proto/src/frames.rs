//! Messages over a plain connection, each behind its length: what HTTP/2 is too dear for.
//!
//! One poll over gRPC's framing costs several times what answering it does, so kitchen-api and order-events speak this.
//! [`Incoming`] reads frames, [`Outgoing`] gathers and writes them; both are driven by the one task that owns the
//! connection, and neither allocates once it has its size. Securing connections, and what frames mean, is others' work.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The largest message: a page of 4 MiB of bodies with what stands around them, or 10,000 ids.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is read at once: hundreds of polls, or a page of some dozen events.
const READ_BYTES: usize = 64 * 1024;

/// A buffer that has grown beyond this is given back once it is empty: large pages are rare.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The length that stands before each frame, big-endian.
const PREFIX_BYTES: usize = size_of::<u32>();

/// The other side does not speak this protocol. Its connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A frame is longer than any message may be.
    #[error("a frame of {bytes} bytes exceeds {FRAME_BYTES_MAX}")]
    TooLong {
        /// What it claims.
        bytes: usize,
    },
    /// A frame is not the message that it should be.
    #[error("a frame cannot be read")]
    Malformed(#[source] prost::DecodeError),
}

/// Bytes that came in and were not taken yet.
pub struct Incoming {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { bytes: vec![0; READ_BYTES], start: 0, end: 0 }
    }
}

impl Incoming {
    /// Reads what there is, up to a buffer full. 0: the connection has ended.
    ///
    /// # Errors
    /// What the connection says.
    pub fn poll_read(&mut self, io: Pin<&mut impl AsyncRead>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut buffer = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(io.poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        self.end += read;
        Poll::Ready(Ok(read))
    }

    /// The next whole message, if there is one. Its `bytes` fields stand alone: they pin nothing else.
    ///
    /// # Errors
    /// When the other side does not speak this protocol.
    pub fn take<M: Message + Default>(&mut self) -> Result<Option<M>, FrameError> {
        let mut unread = &self.bytes[self.start..self.end];
        if unread.len() < PREFIX_BYTES {
            return Ok(None);
        }
        let bytes = unread.get_u32() as usize;
        if bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { bytes });
        }
        let Some(frame) = unread.get(..bytes) else { return Ok(None) };
        let message = M::decode(frame).map_err(FrameError::Malformed)?;
        self.start += PREFIX_BYTES + bytes;
        Ok(Some(message))
    }

    /// Room behind the bytes that are still there. It grows by what has come, not by what a length claims.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_BYTES_MAX {
                self.bytes = vec![0; READ_BYTES];
            }
        } else if self.bytes.len() - self.end < READ_BYTES / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.bytes.len() - self.end < READ_BYTES / 2 {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
    }
}

/// Frames that wait to be written.
#[derive(Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    is_flushed: bool,
}

impl Outgoing {
    /// Adds a frame. A message that is too long is not added, and `false`.
    #[must_use]
    pub fn add(&mut self, message: &impl Message) -> bool {
        let bytes = message.encoded_len();
        let Some(prefix) = u32::try_from(bytes).ok().filter(|_| bytes <= FRAME_BYTES_MAX) else { return false };
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.reserve(PREFIX_BYTES + bytes);
        self.bytes.put_u32(prefix);
        message.encode_raw(&mut self.bytes);
        self.is_flushed = false;
        true
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes and flushes all of it.
    ///
    /// # Errors
    /// What the connection says.
    pub fn poll_write(&mut self, mut io: Pin<&mut impl AsyncWrite>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            match ready!(io.as_mut().poll_write(context, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.written = 0;
        if !self.is_flushed {
            ready!(io.poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::order_events::{Reply, reply::Outcome};

    fn reply(correlation: u64, bytes: usize) -> Reply {
        Reply { correlation, outcome: Some(Outcome::Error("x".repeat(bytes))) }
    }

    async fn read_all(io: impl AsyncRead + Unpin) -> Result<Vec<Reply>, FrameError> {
        let (mut io, mut incoming, mut replies) = (io, Incoming::default(), Vec::new());
        while poll_fn(|context| incoming.poll_read(Pin::new(&mut io), context)).await.unwrap() > 0 {
            while let Some(reply) = incoming.take()? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[tokio::test]
    async fn frames_of_any_size_survive_being_cut_anywhere() {
        let sent: Vec<Reply> = (0..)
            .zip([0, 1, 100, 70_000, 3, 5_000_000, 65_536, 7])
            .map(|(number, bytes)| reply(number, bytes))
            .collect();
        for pipe_bytes in [1_021, 65_536, 16 * 1024 * 1024] {
            let (mut near, far) = tokio::io::duplex(pipe_bytes);
            let mut outgoing = Outgoing::default();
            assert!(sent.iter().all(|reply| outgoing.add(reply)));
            let writing = async {
                poll_fn(|context| outgoing.poll_write(Pin::new(&mut near), context)).await.unwrap();
                assert!(outgoing.is_empty() && outgoing.bytes.capacity() <= KEPT_BYTES_MAX);
                drop(near);
            };
            let ((), read) = tokio::join!(writing, read_all(far));
            assert_eq!(read.unwrap(), sent);
        }
    }

    #[tokio::test]
    async fn what_is_too_long_or_no_message_is_refused() {
        assert!(!Outgoing::default().add(&reply(1, FRAME_BYTES_MAX)));
        let too_long = u32::MAX.to_be_bytes();
        assert!(matches!(read_all(&too_long[..]).await, Err(FrameError::TooLong { .. })));
        let malformed = [0, 0, 0, 2, 0xff, 0xff];
        assert!(matches!(read_all(&malformed[..]).await, Err(FrameError::Malformed(_))));
    }
}
