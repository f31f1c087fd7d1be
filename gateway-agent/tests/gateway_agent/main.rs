//! gateway-agent from outside: queues in memory, a core that does as it is told, time that is paused.

#![allow(clippy::unwrap_used, reason = "the bed is test code outside any #[test]")]

mod bed;
mod failures;
mod ordinary;
mod secrecy;
