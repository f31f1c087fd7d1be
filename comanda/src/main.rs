//! `comanda`: parse what was typed, do it, exit with its code.

use std::process::ExitCode;

use clap::Parser;
use comanda::cli::Cli;
use comanda::commands;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
