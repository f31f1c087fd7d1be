//! The one binary: roles, command line, dev platform, telemetry.
//!
//! A library only so that tests can reach what the binary is made of. It owns the environment, signals, sockets and
//! exit codes; the services below know none of these.

pub mod cli;
pub mod cluster_certificates;
pub mod commands;
pub mod failure;
pub mod kitchen_client;
pub mod platform;
pub mod settings;
pub mod system_clock;
pub mod telemetry;
