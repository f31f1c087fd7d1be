//! Who is online: beats, the sweep that judges them, the brake that keeps our own outage from closing the country.
//!
//! Everything here is a plain value; time is an argument. [`state`] is what the grid replicates, [`beats`] what its leader
//! keeps beside it. The service's tasks call it.

pub mod beats;
pub mod brake;
mod codec;
pub mod command;
#[cfg(test)]
mod hostile;
pub mod presence_clock;
pub mod roster;
pub mod state;
pub mod transition;

pub use beats::{BeatBoard, Silence};
pub use brake::{Brake, BrakeVerdict, SweepFigures};
pub use command::{Command, Decision, Head, Reply, RestoredMerchant};
pub use presence_clock::PresenceClock;
pub use state::{MerchantState, PresencePartition, Record};
pub use transition::{Transition, TransitionReason};

#[cfg(test)]
mod tests;
