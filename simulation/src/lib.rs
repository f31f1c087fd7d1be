//! A deterministic cluster: the real crates under virtual time, with faults, an oracle and planted bugs.
//!
//! For tests and the nightly run only; nothing that is released depends on it. Models stand for what is outside the grid
//! (DynamoDB, the queues, the core), never for what is under test.

pub mod administration;
pub mod alone;
pub mod clock;
pub mod driver;
pub mod fault;
pub mod faults;
pub mod feed;
pub mod feed_run;
pub mod grid_run;
pub mod history;
pub mod invariants;
pub mod machine;
pub mod network;
pub mod observing;
pub mod options;
pub mod planted;
pub mod presence;
pub mod presence_run;
pub mod probes;
pub mod recorder;
pub mod running;
pub mod schedule;
pub mod seed;
pub mod set_machine;
pub mod storage;
pub mod workload;
