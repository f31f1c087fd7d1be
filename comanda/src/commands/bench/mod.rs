//! `comanda bench`: open-loop load against a platform of its own, with an empty handler as yardstick.
//!
//! The platform runs as a child process, so that its CPU time can be told from the load's. Every figure is a median of
//! several phases of one run; absolute figures of a shared machine mean little, ratios within one run do.

mod arrivals;
mod child;
mod elections;
mod ingest;
mod load;
mod percentiles;
mod poll;
mod processor_time;
mod rebuild;

use crate::cli::BenchCommand;
use crate::failure::Failure;

/// Runs one benchmark.
pub async fn execute(command: BenchCommand) -> Result<(), Failure> {
    match command {
        BenchCommand::Poll(arguments) => poll::execute(arguments).await,
        BenchCommand::Ingest(arguments) => ingest::execute(arguments).await,
        BenchCommand::Rebuild(arguments) => rebuild::execute(arguments).await,
    }
}
