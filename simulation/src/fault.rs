//! What can go wrong in a run. A schedule is made of these, and an injector carries them out.

use std::fmt;
use std::time::Duration;

/// Something that goes wrong, or ends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A machine loses power: what was not synced is gone.
    Crash(u64),
    /// A machine loses power while a sync is under way, which tears what was being written.
    CrashInSync(u64),
    /// It is switched on.
    Restart(u64),
    /// All machines lose power at once.
    CrashAll,
    /// All are switched on.
    RestartAll,
    /// A machine stands still.
    Freeze(u64),
    /// It goes on.
    Thaw(u64),
    /// These machines and all others no longer hear each other.
    Partition(Vec<u64>),
    /// What the first sends does not reach the second.
    OneWay(u64, u64),
    /// What a machine sends reaches nobody.
    Mute(u64),
    /// Two machines no longer hear each other, and some POS stay with the first, whoever else there is.
    Apart(u64, u64),
    /// Nothing passes between two machines, and nothing is lost: it arrives when the network is repaired.
    Hold(u64, u64),
    /// The network is whole.
    Repair,
    /// Messages between two machines take this long; a normal time when it is zero.
    Latency(u64, u64, u64),
    /// Syncs of a machine's disk take this many ms longer; a normal time when it is zero.
    SlowDisk(u64, u64),
    /// A machine's disk has no space left.
    FullDisk(u64),
    /// It has space again.
    SpaceAgain(u64),
    /// A machine's disk refuses to sync, until it is switched off and on.
    FailingDisk(u64),
    /// A machine's wall clock jumps by so many ms.
    Jump(u64, i64),
    /// Its wall clock is put right.
    SetRight(u64),
    /// A machine is made part of the grid.
    Add(u64),
    /// A machine is taken out of it.
    Remove(u64),
    /// A machine hands over whatever it leads; it takes nothing until it is restarted.
    Drain(u64),
    /// A partition (by its number, modulo how many there are) is to be led by a machine.
    Transfer(u16, u64),
    /// DynamoDB, as some machines reach it, fails; as all do, when the list is empty.
    StoreDown(Vec<u64>),
    /// It takes this many ms for everyone.
    StoreSlow(u64),
    /// It works for everyone.
    StoreUp,
    /// The feed queue, or the topic of presence, fails.
    QueueDown,
    /// It works.
    QueueUp,
    /// No POS reaches any machine.
    IngressDown,
    /// They do.
    IngressUp,
    /// Everything that was wrong is right.
    Heal,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// A fault and when it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Since the run began.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}
