//! Open-loop HTTP/1.1 load: requests leave on a fixed schedule, and latency counts from when each was due.
//!
//! At a rate of 0 it is closed-loop instead: each connection sends as soon as it was answered, which finds out what is the
//! most, and says little of latency.
//!
//! Free of coordinated omission: a slow answer delays nothing but itself and what queues behind it on its connection,
//! and that wait is in the figures. A pacing thread sleeps with the kernel's precision, because the async timer's
//! millisecond would be the largest part of a poll's latency.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::percentiles::Latencies;

/// What to send, how often, for how long.
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// Whole requests; sent in turn.
    pub requests: Arc<Vec<Vec<u8>>>,
    /// Requests a second; 0: as many as are answered.
    pub rate: u32,
    /// Connections.
    pub connections: u32,
    /// How long requests leave.
    pub duration: Duration,
}

/// What came of it.
pub struct Outcome {
    /// From due to answered.
    pub latencies: Latencies,
    /// Answers that were neither 200 nor 204, and connections that broke.
    pub failures: u64,
    /// Answers with 200.
    pub with_content: u64,
}

impl Load {
    /// Runs it on a thread of its own.
    pub async fn run(self) -> std::io::Result<Outcome> {
        let thread = std::thread::Builder::new().name("bench-load".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.drive())
        })?;
        tokio::task::spawn_blocking(move || thread.join())
            .await
            .map_err(std::io::Error::other)?
            .map_err(|_| std::io::Error::other("the load thread panicked"))?
    }

    async fn drive(self) -> std::io::Result<Outcome> {
        let mut schedules = Vec::new();
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (schedule, due) = mpsc::unbounded_channel();
            schedules.push(schedule);
            let requests = Arc::clone(&self.requests);
            connections.push(match self.rate {
                0 => {
                    let first = requests.len() * connections.len() / self.connections.max(1) as usize;
                    tokio::spawn(in_turn(stream, first, self.duration, requests))
                }
                _ => tokio::spawn(connection(stream, due, requests)),
            });
        }
        let (rate, duration) = (self.rate, self.duration);
        if rate > 0 {
            let pacer = std::thread::Builder::new().name("bench-pacer".to_owned());
            pacer.spawn(move || pace(&schedules, rate, duration))?;
        }
        let mut outcome = Outcome::new();
        for task in connections {
            let one = task.await.map_err(std::io::Error::other)?;
            outcome.latencies.merge(&one.latencies);
            outcome.failures += one.failures;
            outcome.with_content += one.with_content;
        }
        Ok(outcome)
    }
}

/// A request that is due: when, and which.
type Due = (Instant, usize);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn pace(schedules: &[mpsc::UnboundedSender<Due>], rate: u32, duration: Duration) {
    let start = Instant::now();
    let total = (f64::from(rate) * duration.as_secs_f64()) as usize;
    for number in 0..total {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let due = start + Duration::from_secs_f64(number as f64 / f64::from(rate));
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        // A connection that broke has counted its failure already.
        let _ = schedules[number % schedules.len()].send((due, number));
    }
}

async fn connection(
    mut stream: TcpStream,
    mut due: mpsc::UnboundedReceiver<Due>,
    requests: Arc<Vec<Vec<u8>>>,
) -> Outcome {
    let mut outcome = Outcome::new();
    let mut buffer = Vec::with_capacity(64 * 1024);
    while let Some((at, number)) = due.recv().await {
        let answered = outcome.ask(&mut stream, &requests[number % requests.len()], &mut buffer, at).await;
        if answered.is_err() {
            break;
        }
    }
    outcome
}

/// One request after the other, beginning at a place of its own among `requests`.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn in_turn(mut stream: TcpStream, first: usize, duration: Duration, requests: Arc<Vec<Vec<u8>>>) -> Outcome {
    let mut outcome = Outcome::new();
    let mut buffer = Vec::with_capacity(64 * 1024);
    let (start, mut number) = (Instant::now(), first);
    loop {
        let at = Instant::now();
        let is_over = at.saturating_duration_since(start) >= duration;
        if is_over || outcome.ask(&mut stream, &requests[number % requests.len()], &mut buffer, at).await.is_err() {
            return outcome;
        }
        number += 1;
    }
}

impl Outcome {
    fn new() -> Self {
        Self { latencies: Latencies::new(), failures: 0, with_content: 0 }
    }

    /// Makes one request and takes in what comes of it.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    async fn ask(
        &mut self,
        stream: &mut TcpStream,
        request: &[u8],
        buffer: &mut Vec<u8>,
        at: Instant,
    ) -> std::io::Result<()> {
        let status = match stream.write_all(request).await {
            Ok(()) => read_answer(stream, buffer).await,
            Err(error) => Err(error),
        };
        match status {
            Ok(200) => self.with_content += 1,
            Ok(204) => {}
            Ok(_) | Err(_) => self.failures += 1,
        }
        status.map(|_| self.latencies.record(Instant::now().saturating_duration_since(at)))
    }
}

/// Reads one whole answer; gives its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    buffer.clear();
    let head_end = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(position) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break position + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..head_end]).map_err(std::io::Error::other)?;
    let status = head.get(9..12).and_then(|text| text.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    let length_line = head.lines().find(|line| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:"));
    let length: usize = length_line.and_then(|line| line[15..].trim().parse().ok()).unwrap_or(0);
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(status)
}
