//! Who is online: beats, the sweep that judges them, the brake that keeps our own outage from closing the country.
//!
//! Everything here is a plain value or a lock around one; time is an argument. The service's loop calls it.

pub mod beats;
pub mod brake;
pub mod presence_clock;
pub mod state;

pub use beats::{BeatBoard, Silence};
pub use brake::{Brake, BrakeVerdict, SweepFigures};
pub use presence_clock::PresenceClock;
pub use state::{MerchantState, PresencePartition, Transition, TransitionReason};

#[cfg(test)]
mod tests;
