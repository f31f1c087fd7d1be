//! What a run is, as whoever starts it says.

use std::collections::BTreeSet;
use std::time::Duration;

use replicated_grid::Member;

use crate::administration::member;
use crate::fault::{Fault, Planned};
use crate::history::About;
use crate::invariants::vacuity::kind_of;
use crate::planted::Planted;
use crate::schedule::{Shape, plan};
use crate::seed::Seed;

/// What runs on the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The grid alone, with growing sets.
    Grid,
    /// order-events on the grid, and kitchen-api's routing in front of it.
    Feed,
    /// merchant-connection on the grid, and kitchen-api's keepers of beats in front of it.
    Presence,
}

impl Scenario {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Feed => "feed",
            Self::Presence => "presence",
        }
    }

    /// How many partitions its grid has: as few as show everything; presence has as many as in real life.
    pub fn partitions(self) -> u16 {
        match self {
            Self::Grid | Self::Feed => 3,
            Self::Presence => 4,
        }
    }
}

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What runs.
    pub scenario: Scenario,
    /// From which everything follows.
    pub seed: Seed,
    /// Nodes of the grid.
    pub nodes: u64,
    /// How long things go wrong.
    pub faults_for: Duration,
    /// Partitions of the grid.
    pub partitions: u16,
    /// A bug to plant.
    pub planted: Option<Planted>,
}

impl Options {
    fn shape(self) -> Shape {
        let has_store = self.scenario != Scenario::Grid;
        let has_ingress = self.scenario == Scenario::Presence;
        Shape { nodes: self.nodes, spares: 1, faults_for: self.faults_for, has_store, has_ingress }
    }

    /// How many machines there are, those included that may be added to the grid.
    pub fn machines(self) -> u64 {
        self.nodes + self.shape().spares
    }

    /// The machines of the grid at the start.
    pub fn members(self) -> Vec<Member> {
        (1..=self.nodes).map(member).collect()
    }

    /// When everything is healed.
    pub fn heals_at(self) -> Duration {
        crate::schedule::QUIET_BEFORE + self.faults_for
    }

    /// What its history says of it.
    pub fn about(self) -> About {
        let kinds: BTreeSet<String> =
            self.schedule().iter().map(|planned| kind_of(&planned.fault.to_string()).to_owned()).collect();
        // It is the end of all others, and a phase.
        let planned = kinds.into_iter().filter(|kind| *kind != kind_of(&Fault::Heal.to_string())).collect();
        About {
            scenario: self.scenario.name().to_owned(),
            seed: self.seed.0,
            nodes: self.nodes,
            partitions: self.partitions,
            faults_ms: u64::try_from(self.faults_for.as_millis()).unwrap_or(u64::MAX),
            planted: self.planted.map(|bug| bug.name().to_owned()),
            planned,
        }
    }

    /// What will go wrong.
    pub fn schedule(self) -> Vec<Planned> {
        plan(self.seed, self.shape())
    }
}
