//! One module per command. [`execute`] chooses; each module reads its arguments and settings and does one thing.

mod app;
mod aws;
mod bench;
mod certificates;
mod check;
mod cluster;
mod configuration;
#[cfg(feature = "local-aws")]
mod dev;
mod merchant;
mod order;
mod pos;
mod run;
mod sample_order;
mod webhook;

use std::future::Future;

use clap::CommandFactory;

use crate::cli::{Cli, Command, DevArgs, SettingFlags};
use crate::failure::{Context, Failure};

/// Does what was typed.
///
/// # Errors
/// With the message and exit code of whatever failed.
pub fn execute(cli: Cli) -> Result<(), Failure> {
    let dev = || {
        let settings = SettingFlags::default();
        Command::Dev(DevArgs {
            merchants: None,
            nodes: 1,
            json: false,
            yardstick_addr: None,
            seed_online: false,
            settings,
        })
    };
    match cli.command.unwrap_or_else(dev) {
        #[cfg(feature = "local-aws")]
        Command::Dev(arguments) => block_on(dev::execute(arguments)),
        #[cfg(not(feature = "local-aws"))]
        Command::Dev(_) => Err(Failure::Usage("this build has no in-process AWS (feature local-aws)".to_owned())),
        Command::Run(arguments) => block_on(run::execute(arguments)),
        Command::Aws(command) => block_on(aws::execute(command)),
        Command::App(command) => block_on(app::execute(command)),
        Command::Merchant(command) => block_on(merchant::execute(command)),
        Command::Order(command) => block_on(order::execute(command)),
        Command::Cluster(command) => block_on(cluster::execute(command)),
        Command::Pos(arguments) => block_on(pos::execute(arguments)),
        Command::Check(arguments) => block_on(check::execute(arguments)),
        Command::Bench(command) => block_on(bench::execute(command)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "comanda", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().thread_name("comanda").build().context("starting the async runtime")?;
    let outcome = runtime.block_on(work);
    // What still runs has had its drain; a blocked lookup must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}
