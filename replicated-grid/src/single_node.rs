//! The runner for one node: every partition is led here, and nothing is written to disk.
//!
//! Commands of one partition are applied in one order under its write lock; concurrent proposals are combined, so that
//! one acquisition of the lock applies up to [`BATCH_COMMANDS_MAX`] of them. Reads run under the read lock and only
//! within the partition's serving lease. A log, replication and elections are deliberately absent: the replicated
//! runner brings them behind the same calls.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use order_model::{Clock, SharedClock};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use crate::clock::{ClockReading, ReplicatedClock};
use crate::error::{ProposeError, ReadError, SnapshotError};
use crate::leadership::Leadership;
use crate::node::NodeId;
use crate::questions::{Answering, AskError, Questions};
use crate::state_machine::{ReplicatedTime, RestoreError, StateMachine};

/// The most commands applied under one acquisition of the write lock: as many as one log entry will carry, and few
/// enough that a read waits well under a millisecond.
pub const BATCH_COMMANDS_MAX: usize = 64;

/// The most commands that may wait for a partition; beyond that a proposal is refused as overloaded.
pub const QUEUED_COMMANDS_MAX: usize = 16 * 1024;

/// A single node leads everything from its start on, in this term.
const TERM: u64 = 1;

/// The version of [`SingleNode::snapshot`].
const SNAPSHOT_VERSION: u8 = 1;

/// What a grid is made of.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names the grid in metrics, e.g. `order-events`.
    pub name: &'static str,
    /// How many partitions; fixed for the life of a cluster.
    pub partitions: NonZeroU16,
}

/// All partitions of a grid on one node. Cheap to clone; clones share the state.
pub struct SingleNode<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Clone for SingleNode<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

struct Shared<M> {
    partitions: Box<[Partition<M>]>,
    clock: SharedClock,
    leadership: watch::Sender<Arc<[Leadership]>>,
    steps_refused: metrics::Counter,
    batch_commands: metrics::Histogram,
    answering: Answering,
}

struct Partition<M> {
    state: RwLock<M>,
    time: Mutex<ReplicatedClock>,
    queue: Mutex<Vec<Proposal>>,
    /// Reads are answered while the monotonic clock shows less than this, in ms; 0: not at all.
    serving_until_ms: AtomicU64,
    /// The term in which this node leads; 0: it does not, see [`SingleNode::hand_over`].
    term: AtomicU64,
}

struct Proposal {
    commands: Vec<Bytes>,
    reply: oneshot::Sender<Vec<Vec<u8>>>,
}

impl<M: StateMachine> SingleNode<M> {
    /// A grid whose partitions all start from `initial` and serve nothing yet.
    pub fn new(config: &Config, clock: SharedClock, initial: impl Fn() -> M) -> Self {
        let started = reading(&*clock);
        let partition = |_| Partition {
            state: RwLock::new(initial()),
            time: Mutex::new(ReplicatedClock::start(ReplicatedTime::default(), started)),
            queue: Mutex::new(Vec::new()),
            serving_until_ms: AtomicU64::new(0),
            term: AtomicU64::new(TERM),
        };
        let ours = Leadership { leader: Some(NodeId(1)), term: TERM, is_ours: true };
        let leadership = (0..config.partitions.get()).map(|_| ours).collect();
        let shared = Shared {
            leadership: watch::Sender::new(leadership),
            partitions: (0..config.partitions.get()).map(partition).collect(),
            clock,
            steps_refused: metrics::counter!("comanda_grid_clock_steps_refused_total", "grid" => config.name),
            batch_commands: metrics::histogram!("comanda_grid_batch_commands", "grid" => config.name),
            answering: Answering::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.shared.partitions.len()).unwrap_or(u16::MAX)
    }

    /// Who leads each partition: this node, unless it was handed over.
    pub fn leadership(&self) -> watch::Receiver<Arc<[Leadership]>> {
        self.shared.leadership.subscribe()
    }

    /// From now on `by` answers questions. Only the first call counts.
    pub fn answer_questions(&self, by: Arc<dyn Questions>) {
        self.shared.answering.begin(by);
    }

    /// Asks the leader of `partition`: this node, unless it was handed over.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn ask_leader(&self, partition: u16, question: Bytes) -> Result<Bytes, AskError> {
        let is_led_here = self.partition(partition).is_some_and(|led| led.term.load(Ordering::SeqCst) != 0);
        if is_led_here {
            self.shared.answering.answer(partition, question)
        } else {
            Err(AskError::NoLeader { partition })
        }
    }

    /// Applies `commands` one after the other, nothing in between them, and answers their replies in order. An answer
    /// means "applied"; after an error none of them was.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn propose(&self, partition: u16, commands: Vec<Bytes>) -> Result<Vec<Vec<u8>>, ProposeError> {
        let led = self.partition(partition).ok_or(ProposeError::UnknownPartition { partition })?;
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, replied) = oneshot::channel();
        led.enqueue(Proposal { commands, reply }).ok_or(ProposeError::Overloaded { partition })?;
        self.shared.drain(led);
        replied.await.map_err(|_| ProposeError::Stopped { partition })
    }

    /// Reads a partition within its serving lease. `look` runs under the read lock: it must be short.
    ///
    /// # Errors
    /// When the lease had ended before `look` or ended while it ran: a command of a newer leader may be missing then.
    pub fn read<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let led = self.partition(partition).ok_or(ReadError::UnknownPartition { partition })?;
        let expired = ReadError::LeaseExpired { partition };
        if !self.shared.is_serving(led) {
            return Err(expired);
        }
        let found = look(&led.state.read());
        if self.shared.is_serving(led) { Ok(found) } else { Err(expired) }
    }

    /// Reads a partition that this node leads, whether it serves or not.
    ///
    /// # Errors
    /// When it was handed over before `look` or while it ran.
    pub fn read_as_leader<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let led = self.partition(partition).ok_or(ReadError::UnknownPartition { partition })?;
        let not_led = ReadError::NotLeader { partition, leader: None };
        let term = led.term.load(Ordering::SeqCst);
        if term == 0 {
            return Err(not_led);
        }
        let found = look(&led.state.read());
        if led.term.load(Ordering::SeqCst) == term { Ok(found) } else { Err(not_led) }
    }

    /// Reads a partition whether it serves or not: for status, rebuilding, and callers that accept what may be stale.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn read_without_lease<R>(&self, partition: u16, look: impl FnOnce(&M) -> R) -> Result<R, ReadError> {
        let led = self.partition(partition).ok_or(ReadError::UnknownPartition { partition })?;
        Ok(look(&led.state.read()))
    }

    /// The time that the next command of `partition` would carry; zero for a partition that does not exist.
    pub fn time(&self, partition: u16) -> ReplicatedTime {
        let now = reading(&*self.shared.clock);
        self.partition(partition).map(|led| led.time.lock().peek(now)).unwrap_or_default()
    }

    /// How often a step of the wall clock was refused, over all partitions.
    pub fn clock_steps_refused(&self) -> u64 {
        self.shared.partitions.iter().map(|led| led.time.lock().steps_refused()).sum()
    }

    /// Lets `partition` answer reads until the monotonic clock shows `until`, if this node leads it in `term`. Does not
    /// shorten a longer lease.
    pub fn serve_until(&self, partition: u16, term: u64, until: Duration) {
        if let Some(led) = self.partition(partition).filter(|led| led.term.load(Ordering::SeqCst) == term) {
            led.serving_until_ms.fetch_max(whole_ms(until), Ordering::SeqCst);
        }
    }

    /// Changes who leads `partition`, as an election would: it stops serving and everybody who watches is told. Proposals
    /// are applied all the same, as those forwarded to another leader are. For tests of what services do then.
    pub fn hand_over(&self, partition: u16, leadership: Leadership) {
        let Some(led) = self.partition(partition) else { return };
        led.term.store(if leadership.is_ours { leadership.term } else { 0 }, Ordering::SeqCst);
        led.serving_until_ms.store(0, Ordering::SeqCst);
        self.shared.leadership.send_modify(|all| {
            let change = |(number, before): (u16, &Leadership)| if number == partition { leadership } else { *before };
            *all = (0..).zip(all.iter()).map(change).collect();
        });
    }

    /// Ends the serving lease of `partition`; a read under way is refused as well.
    pub fn stop_serving(&self, partition: u16) {
        if let Some(led) = self.partition(partition) {
            led.serving_until_ms.store(0, Ordering::SeqCst);
        }
    }

    /// Whether `partition` answers reads at this moment.
    pub fn is_serving(&self, partition: u16) -> bool {
        self.partition(partition).is_some_and(|led| self.shared.is_serving(led))
    }

    /// The state of `partition` with its replicated time.
    ///
    /// # Errors
    /// When there is no such partition.
    pub fn snapshot(&self, partition: u16) -> Result<Vec<u8>, SnapshotError> {
        let led = self.partition(partition).ok_or(SnapshotError::UnknownPartition { partition })?;
        let state = led.state.read();
        let time = led.time.lock().peek(reading(&*self.shared.clock));
        let mut bytes = vec![SNAPSHOT_VERSION];
        bytes.extend_from_slice(&time.unix_ms.to_be_bytes());
        bytes.extend_from_slice(&state.snapshot());
        Ok(bytes)
    }

    /// Replaces `partition` by what [`SingleNode::snapshot`] wrote. It stops serving; its time never goes back.
    ///
    /// # Errors
    /// When there is no such partition or the bytes are not a snapshot; the partition is unchanged then.
    pub fn restore(&self, partition: u16, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let led = self.partition(partition).ok_or(SnapshotError::UnknownPartition { partition })?;
        let (time, state) = decode::<M>(snapshot).map_err(|source| SnapshotError::Restore { partition, source })?;
        self.stop_serving(partition);
        let mut current = led.state.write();
        let now = reading(&*self.shared.clock);
        let mut clock = led.time.lock();
        let time = time.max(clock.peek(now));
        *clock = ReplicatedClock::start(time, ClockReading { unix_ms: time.unix_ms, ..now });
        *current = state;
        Ok(())
    }

    fn partition(&self, partition: u16) -> Option<&Partition<M>> {
        self.shared.partitions.get(usize::from(partition))
    }
}

impl<M: StateMachine> Shared<M> {
    fn is_serving(&self, led: &Partition<M>) -> bool {
        let until = led.serving_until_ms.load(Ordering::SeqCst);
        until > 0 && whole_ms(self.clock.monotonic()) < until
    }

    /// Applies what waits, whoever proposed it, until the queue is empty. Whoever finds the lock taken waits for it and
    /// then mostly finds its own commands applied.
    fn drain(&self, led: &Partition<M>) {
        loop {
            let mut state = led.state.write();
            let batch = led.take_batch();
            if batch.is_empty() {
                return;
            }
            let at = self.advance(led);
            self.batch_commands.record(batch.iter().map(|proposal| proposal.commands.len()).sum::<usize>() as f64);
            for proposal in batch {
                let replies = proposal.commands.iter().map(|command| state.apply(at, command)).collect();
                // Whoever proposed may have gone away; its commands count all the same.
                let _ = proposal.reply.send(replies);
            }
        }
    }

    fn advance(&self, led: &Partition<M>) -> ReplicatedTime {
        let mut clock = led.time.lock();
        let refused_before = clock.steps_refused();
        let at = clock.advance(reading(&*self.clock));
        self.steps_refused.increment(clock.steps_refused() - refused_before);
        at
    }
}

impl<M> Partition<M> {
    fn enqueue(&self, proposal: Proposal) -> Option<()> {
        let mut queue = self.queue.lock();
        let waiting: usize = queue.iter().map(|waiting| waiting.commands.len()).sum();
        if waiting >= QUEUED_COMMANDS_MAX {
            return None;
        }
        queue.push(proposal);
        Some(())
    }

    /// The oldest proposals that together have at most [`BATCH_COMMANDS_MAX`] commands, at least one.
    fn take_batch(&self) -> Vec<Proposal> {
        let mut queue = self.queue.lock();
        let mut commands = 0;
        let fitting = queue.iter().take_while(|proposal| {
            commands += proposal.commands.len();
            commands <= BATCH_COMMANDS_MAX
        });
        let count = fitting.count().max(1).min(queue.len());
        queue.drain(..count).collect()
    }
}

fn decode<M: StateMachine>(snapshot: &[u8]) -> Result<(ReplicatedTime, M), RestoreError> {
    let [version, rest @ ..] = snapshot else {
        return Err(RestoreError { reason: "it is empty".to_owned() });
    };
    if *version != SNAPSHOT_VERSION {
        return Err(RestoreError { reason: format!("format version {version} is not known") });
    }
    let Some((time, state)) = rest.split_first_chunk::<8>() else {
        return Err(RestoreError { reason: "it ends within its time".to_owned() });
    };
    Ok((ReplicatedTime { unix_ms: i64::from_be_bytes(*time) }, M::restore(state)?))
}

fn reading(clock: &dyn Clock) -> ClockReading {
    ClockReading { unix_ms: clock.now().unix_ms(), monotonic: clock.monotonic() }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
