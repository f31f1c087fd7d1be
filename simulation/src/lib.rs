//! A deterministic cluster: the real crates under virtual time, with faults, an oracle and planted bugs.
//!
//! For tests and the nightly run only; nothing that is released depends on it. Models stand for what is outside the grid
//! (DynamoDB, the queues, the core), never for what is under test.

pub mod clock;
pub mod driver;
pub mod faults;
pub mod grid_run;
pub mod history;
pub mod machine;
pub mod network;
pub mod observing;
pub mod planted;
pub mod probes;
pub mod schedule;
pub mod seed;
pub mod set_machine;
pub mod storage;
pub mod workload;
