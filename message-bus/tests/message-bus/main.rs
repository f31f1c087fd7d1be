//! Black-box tests of queues and topics.
//!
//! [`contract`] is one suite run over the in-memory broker and over SQS and SNS through the real SDK: those of
//! `local-aws`, or of `COMANDA_TEST_AWS_ENDPOINT` if it is set (an independent emulator, or AWS itself). The other
//! modules test what only one of the two has.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails ends the test")]

mod admin;
mod broker;
mod contract;
mod in_memory;
mod unavailable;
