//! What goes wrong in a run and when: a pure function of the seed and the shape of the cluster.
//!
//! Doses are those of RELIABILITY 2.3 per 10 minutes, given [`ACCELERATION`] times as densely, because a run is shorter.
//! Faults of one machine do not overlap each other, nor do those of the network; any others do. Everything has ended when
//! the last event, [`Fault::Heal`], comes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

pub use crate::fault::{Fault, Planned};
use crate::seed::Seed;

/// How much denser than RELIABILITY's doses.
const ACCELERATION: u64 = 6;

/// Before it nothing goes wrong: the cluster forms, and the first quiet phase passes.
pub const QUIET_BEFORE: Duration = Duration::from_secs(8);

/// What a schedule is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The nodes of the grid, numbered from 1.
    pub nodes: u64,
    /// Nodes beyond those, that may be added.
    pub spares: u64,
    /// How long things go wrong.
    pub faults_for: Duration,
    /// Whether there are DynamoDB and queues to fail.
    pub has_store: bool,
    /// Whether there are POS outside of the machines, to be kept from them.
    pub has_ingress: bool,
}

/// The kinds, with their dose per 10 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crash,
    CrashInSync,
    PowerLoss,
    Freeze,
    Partition,
    OneWay,
    Mute,
    Hold,
    Swizzle,
    Latency,
    SlowDisk,
    FullDisk,
    FailingDisk,
    Jump,
    Drain,
    Transfer,
    Membership,
    Store,
    StoreSlow,
    Queue,
    Ingress,
    Apart,
}

const DOSES: &[(Kind, u64)] = &[
    (Kind::Crash, 20),
    (Kind::CrashInSync, 10),
    (Kind::PowerLoss, 5),
    (Kind::Freeze, 15),
    (Kind::Partition, 15),
    (Kind::OneWay, 10),
    (Kind::Mute, 5),
    (Kind::Hold, 5),
    (Kind::Swizzle, 5),
    (Kind::Latency, 5),
    (Kind::SlowDisk, 10),
    (Kind::FullDisk, 3),
    (Kind::FailingDisk, 3),
    (Kind::Jump, 5),
    (Kind::Drain, 3),
    (Kind::Transfer, 10),
    (Kind::Membership, 3),
    (Kind::Store, 5),
    (Kind::StoreSlow, 3),
    (Kind::Queue, 5),
    // Last: a shape without it draws as if it were not there.
    (Kind::Ingress, 5),
];

/// The dose of [`Kind::Apart`] per 10 minutes.
const APART_DOSE: u64 = 2;

/// What a fault needs for itself while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Network,
    Machine(u64),
    Latency,
    Clock(u64),
    Membership,
    Store,
    Queue,
    Ingress,
}

/// The schedule of a run.
pub fn plan(seed: Seed, shape: Shape) -> Vec<Planned> {
    let mut planner = Planner { random: seed.stream("apart"), shape, busy_until: BTreeMap::new(), planned: Vec::new() };
    if shape.has_ingress {
        // It lasts so long that there is room for it only as long as there is nothing else; runs without it draw as if it did
        // not exist.
        (0..planner.count(APART_DOSE)).for_each(|_| planner.place(Kind::Apart));
    }
    planner.random = seed.stream("schedule");
    let mut wanted = Vec::new();
    for (kind, dose) in DOSES.iter().filter(|(kind, _)| *kind != Kind::Ingress || shape.has_ingress) {
        let count = planner.count(*dose);
        wanted.extend((0..count).map(|_| *kind));
    }
    wanted.shuffle(&mut planner.random);
    for kind in wanted {
        planner.place(kind);
    }
    let mut planned = planner.planned;
    planned.sort_by_key(|planned| planned.at);
    planned.push(Planned { at: QUIET_BEFORE + shape.faults_for, fault: Fault::Heal });
    planned
}

struct Planner {
    random: StdRng,
    shape: Shape,
    busy_until: BTreeMap<Resource, Vec<(Duration, Duration)>>,
    planned: Vec<Planned>,
}

impl Planner {
    /// How often a fault of this dose is wanted: what is left of a whole one decides by chance.
    fn count(&mut self, dose: u64) -> u64 {
        let wanted_milli = dose * ACCELERATION * self.shape.faults_for.as_millis() as u64 / 600;
        let chance = self.random.random_range(0..1_000);
        wanted_milli / 1_000 + u64::from(chance < wanted_milli % 1_000)
    }

    /// Puts one fault of `kind` where there is room for it, if there is.
    fn place(&mut self, kind: Kind) {
        let needs_store = matches!(kind, Kind::Store | Kind::StoreSlow | Kind::Queue);
        if (needs_store && !self.shape.has_store) || (kind == Kind::Membership && self.shape.spares == 0) {
            return;
        }
        let (resources, lasts, parts) = self.parts(kind);
        let latest = self.shape.faults_for.saturating_sub(lasts);
        for _ in 0..20 {
            let at_ms = self.random.random_range(0..=latest.as_millis() as u64);
            let from = QUIET_BEFORE + Duration::from_millis(at_ms);
            let until = from + lasts;
            let is_free = |resource| {
                let taken: Option<&Vec<(Duration, Duration)>> = self.busy_until.get(resource);
                taken.is_none_or(|taken| taken.iter().all(|(begin, end)| until <= *begin || *end <= from))
            };
            if resources.iter().all(is_free) {
                for resource in resources {
                    self.busy_until.entry(resource).or_default().push((from, until));
                }
                let parts = parts.into_iter().map(|(after, fault)| Planned { at: from + after, fault });
                self.planned.extend(parts);
                return;
            }
        }
    }

    fn seconds(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        Duration::from_millis(self.random.random_range(from_ms..=to_ms))
    }

    fn node(&mut self) -> u64 {
        self.random.random_range(1..=self.shape.nodes)
    }

    fn two(&mut self) -> (u64, u64) {
        let one = self.node();
        let step = self.random.random_range(1..self.shape.nodes.max(2));
        (one, (one - 1 + step) % self.shape.nodes.max(2) + 1)
    }

    fn machines(&self) -> Vec<Resource> {
        (1..=self.shape.nodes + self.shape.spares).map(Resource::Machine).collect()
    }

    /// What a fault of `kind` occupies and for how long, and of what it consists.
    fn parts(&mut self, kind: Kind) -> (Vec<Resource>, Duration, Vec<(Duration, Fault)>) {
        let start = Duration::ZERO;
        let node = self.node();
        let machine = vec![Resource::Machine(node)];
        match kind {
            Kind::Crash => {
                let down = self.seconds(200, 6_000);
                (machine, down + SETTLING, vec![(start, Fault::Crash(node)), (down, Fault::Restart(node))])
            }
            Kind::CrashInSync => {
                // It dies in its next sync; if none comes, without.
                let (torn, down) = (Duration::from_secs(3), self.seconds(200, 4_000));
                let parts = vec![
                    (start, Fault::CrashInSync(node)),
                    (torn, Fault::Crash(node)),
                    (torn + down, Fault::Restart(node)),
                ];
                (vec![Resource::Machine(node), Resource::Network], torn + down + SETTLING, parts)
            }
            Kind::PowerLoss => {
                let down = self.seconds(100, 3_000);
                (self.machines(), down + SETTLING, vec![(start, Fault::CrashAll), (down, Fault::RestartAll)])
            }
            Kind::Freeze => {
                let lasts = self.seconds(500, 12_000);
                let resources = vec![Resource::Machine(node), Resource::Network];
                (resources, lasts + SETTLING, vec![(start, Fault::Freeze(node)), (lasts, Fault::Thaw(node))])
            }
            Kind::Partition | Kind::OneWay | Kind::Mute | Kind::Hold | Kind::Swizzle => self.network_parts(kind, node),
            Kind::Latency => {
                let ((a, b), lasts) = (self.two(), self.seconds(2_000, 8_000));
                let ms = self.random.random_range(20..=200);
                (
                    vec![Resource::Latency],
                    lasts,
                    vec![(start, Fault::Latency(a, b, ms)), (lasts, Fault::Latency(a, b, 0))],
                )
            }
            Kind::SlowDisk => {
                let (lasts, ms) = (self.seconds(1_000, 6_000), self.random.random_range(50..=2_000));
                (machine, lasts, vec![(start, Fault::SlowDisk(node, ms)), (lasts, Fault::SlowDisk(node, 0))])
            }
            Kind::FullDisk => {
                let lasts = self.seconds(2_000, 8_000);
                (machine, lasts + SETTLING, vec![(start, Fault::FullDisk(node)), (lasts, Fault::SpaceAgain(node))])
            }
            Kind::FailingDisk => {
                let (fails, down) = (self.seconds(1_500, 4_000), self.seconds(200, 2_000));
                let parts = vec![
                    (start, Fault::FailingDisk(node)),
                    (fails, Fault::Crash(node)),
                    (fails + down, Fault::Restart(node)),
                ];
                (vec![Resource::Machine(node), Resource::Network], fails + down + SETTLING, parts)
            }
            Kind::Drain => {
                let drains = self.seconds(2_000, 4_000);
                let down = self.seconds(200, 1_000);
                let parts = vec![
                    (start, Fault::Drain(node)),
                    (drains, Fault::Crash(node)),
                    (drains + down, Fault::Restart(node)),
                ];
                (machine, drains + down + SETTLING, parts)
            }
            Kind::Transfer => {
                let partition = self.random.random_range(0..16);
                (Vec::new(), start, vec![(start, Fault::Transfer(partition, node))])
            }
            Kind::Jump => {
                let jumps = [1_000, -1_000, 3_600_000, -3_600_000, 172_800_000];
                let ms = jumps.choose(&mut self.random).copied().unwrap_or(1_000);
                let lasts = self.seconds(2_000, 10_000);
                // Not restarted meanwhile: a node that starts alone believes its clock, which is by design.
                let resources = vec![Resource::Clock(node), Resource::Machine(node)];
                (resources, lasts, vec![(start, Fault::Jump(node, ms)), (lasts, Fault::SetRight(node))])
            }
            Kind::Membership => {
                let spare = self.shape.nodes + self.random.random_range(1..=self.shape.spares);
                let stays = self.seconds(4_000, 10_000);
                let resources = vec![Resource::Membership, Resource::Machine(spare)];
                (resources, stays + SETTLING, vec![(start, Fault::Add(spare)), (stays, Fault::Remove(spare))])
            }
            Kind::Store => {
                let lasts = self.seconds(1_000, 8_000);
                let some = if self.random.random_bool(0.5) { vec![node] } else { Vec::new() };
                (vec![Resource::Store], lasts, vec![(start, Fault::StoreDown(some)), (lasts, Fault::StoreUp)])
            }
            Kind::StoreSlow => {
                let (lasts, ms) = (self.seconds(1_000, 6_000), self.random.random_range(200..=3_000));
                (vec![Resource::Store], lasts, vec![(start, Fault::StoreSlow(ms)), (lasts, Fault::StoreUp)])
            }
            Kind::Queue => {
                let lasts = self.seconds(1_000, 8_000);
                (vec![Resource::Queue], lasts, vec![(start, Fault::QueueDown), (lasts, Fault::QueueUp)])
            }
            Kind::Apart => {
                // Longer than a merchant may be silent.
                let ((a, b), lasts) = (self.two(), self.seconds(12_000, 18_000));
                let parts = vec![(start, Fault::Apart(a, b)), (lasts, Fault::Repair)];
                (vec![Resource::Network], lasts + SETTLING, parts)
            }
            Kind::Ingress => {
                let lasts = self.seconds(2_000, 16_000);
                (vec![Resource::Ingress], lasts, vec![(start, Fault::IngressDown), (lasts, Fault::IngressUp)])
            }
        }
    }

    fn network_parts(&mut self, kind: Kind, node: u64) -> (Vec<Resource>, Duration, Vec<(Duration, Fault)>) {
        let (start, lasts) = (Duration::ZERO, self.seconds(800, 10_000));
        let network = vec![Resource::Network];
        let (a, b) = self.two();
        let began = match kind {
            Kind::OneWay => Fault::OneWay(a, b),
            Kind::Mute => Fault::Mute(node),
            Kind::Hold => Fault::Hold(a, b),
            Kind::Swizzle => {
                // One after the other is cut off, then all come back at once.
                let step = lasts / u32::try_from(self.shape.nodes + 1).unwrap_or(1);
                let mut order: Vec<u64> = (1..=self.shape.nodes).collect();
                order.shuffle(&mut self.random);
                let mut parts: Vec<_> =
                    (0..).zip(order).map(|(turn, node)| (step * turn, Fault::Partition(vec![node]))).collect();
                parts.push((lasts, Fault::Repair));
                return (network, lasts + SETTLING, parts);
            }
            _ => {
                let size = self.random.random_range(1..=self.shape.nodes.div_ceil(2));
                let mut side: Vec<u64> = (1..=self.shape.nodes).collect();
                side.shuffle(&mut self.random);
                side.truncate(usize::try_from(size).unwrap_or(1));
                side.sort_unstable();
                Fault::Partition(side)
            }
        };
        (network, lasts + SETTLING, vec![(start, began), (lasts, Fault::Repair)])
    }
}

/// What passes at least between two faults of one machine or of the network.
const SETTLING: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
