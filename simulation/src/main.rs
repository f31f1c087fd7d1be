//! The command line: runs seeds and judges them, or judges a history again.
//!
//! Exits with 1 when an invariant was violated, after the seed and the one command that repeats it.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use simulation::history::{History, Outcome};
use simulation::invariants::{Violation, judge};
use simulation::options::{self, Options};
use simulation::planted::{ALL, Planted};
use simulation::running;
use simulation::seed::Seed;

#[derive(Parser)]
#[command(about = "A deterministic cluster with faults, an oracle and planted bugs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs seeds and judges each.
    Run(Run),
    /// Judges a history that was kept.
    Recheck {
        /// The history.
        file: PathBuf,
    },
    /// The bugs that can be planted in this build.
    Bugs,
}

#[derive(clap::Args)]
struct Run {
    /// A seed, or a range without its end: 1..41.
    #[arg(long, value_parser = seeds, default_value = "1..11", overrides_with = "seeds")]
    seeds: std::ops::Range<u64>,
    /// What runs.
    #[arg(long, value_enum, default_value = "grid")]
    scenario: Scenario,
    /// Nodes of the grid.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    nodes: u64,
    /// How many virtual seconds things go wrong, e.g. 60s.
    #[arg(long, value_parser = seconds, default_value = "30s")]
    duration: Duration,
    /// A bug to plant; the run is then expected to fail.
    #[arg(long, value_parser = bug)]
    planted: Option<Planted>,
    /// Where the history of the last seed goes.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Real seconds after which a seed is given up.
    #[arg(long, value_parser = seconds, default_value = "300s")]
    limit: Duration,
    /// Log to standard error what the services log.
    #[arg(long)]
    log: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Grid,
    Feed,
    Presence,
}

impl From<Scenario> for options::Scenario {
    fn from(scenario: Scenario) -> Self {
        match scenario {
            Scenario::Grid => Self::Grid,
            Scenario::Feed => Self::Feed,
            Scenario::Presence => Self::Presence,
        }
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(run) => run_seeds(&run),
        Command::Recheck { file } => recheck(&file),
        Command::Bugs => {
            ALL.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
    }
}

fn run_seeds(run: &Run) -> ExitCode {
    if run.seeds.end - run.seeds.start > 1 {
        return run_apart(run.seeds.clone());
    }
    if run.log {
        tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    }
    let mut failed = 0_u64;
    let scenario = options::Scenario::from(run.scenario);
    for seed in run.seeds.clone() {
        let options = Options {
            scenario,
            seed: Seed(seed),
            nodes: run.nodes,
            faults_for: run.duration,
            partitions: scenario.partitions(),
            planted: run.planted,
        };
        let history = running::run(options, run.limit);
        if let Some(file) = &run.history
            && let Err(problem) = keep(&history, file)
        {
            eprintln!("{}: {problem}", file.display());
        }
        failed += u64::from(!report(run, seed, &history));
    }
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs each seed in a process of its own, with everything else that was asked for. A runtime that a crash ends drops its
/// tasks by numbers that tokio counts per process: after another seed, the same one would take another course.
fn run_apart(seeds: std::ops::Range<u64>) -> ExitCode {
    let mut failed = false;
    for seed in seeds {
        // The last of an argument that is repeated counts.
        let run = std::env::current_exe().and_then(|program| {
            let arguments = std::env::args_os().skip(1);
            Process::new(program).args(arguments).args(["--seeds", &seed.to_string()]).status()
        });
        match run {
            Ok(status) => failed |= !status.success(),
            Err(problem) => {
                eprintln!("seed {seed} was not run: {problem}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(run: &Run, seed: u64, history: &History) -> bool {
    let violations = judge(history);
    let succeeded = history.operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Ok(_))).count();
    let all = history.operations.len();
    let is_well = violations.is_empty();
    println!("seed {seed}: {}, {succeeded} of {all} operations succeeded", if is_well { "ok" } else { "FAILED" });
    if !is_well {
        show(&violations);
        let planted = run.planted.map(|bug| format!(" --planted {}", bug.name())).unwrap_or_default();
        println!(
            "  repeat: cargo run -p simulation -- run --scenario {} --seeds {seed} --nodes {} --duration {}s{planted} --history seed-{seed}.jsonl",
            history.about.scenario,
            run.nodes,
            run.duration.as_secs(),
        );
    }
    is_well
}

fn show(violations: &[Violation]) {
    violations.iter().for_each(|violation| println!("  {violation}"));
}

fn keep(history: &History, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    Ok(std::fs::write(file, history.to_jsonl()?)?)
}

fn recheck(file: &Path) -> ExitCode {
    let read = std::fs::read_to_string(file).map_err(|problem| problem.to_string());
    match read.and_then(|text| History::from_jsonl(&text).map_err(|problem| problem.to_string())) {
        Err(problem) => {
            eprintln!("{}: {problem}", file.display());
            ExitCode::FAILURE
        }
        Ok(history) => {
            let violations = judge(&history);
            show(&violations);
            println!("{} violations", violations.len());
            if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|problem| problem.to_string());
    match text.split_once("..") {
        Some((first, end)) => Ok(number(first)?..number(end)?),
        None => number(text).map(|seed| seed..seed + 1),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    digits.parse().map(Duration::from_secs).map_err(|problem| problem.to_string())
}

fn bug(name: &str) -> Result<Planted, String> {
    Planted::named(name).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        format!("not in this build, which knows {}", known.join(", "))
    })
}
