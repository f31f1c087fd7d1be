//! Our write-ahead log beside raft-log, redb and fjall: one log of 16 groups on one disk, durable at every commit.
//!
//! `cargo run --release -- <directory on the disk to measure> [runs, 5 by default] [seconds per run, 1 by default]`
//! prints a Markdown table of medians. Every cell of one run is measured before the next run begins, so that a slow minute
//! of the machine hits all of them. A commit is one entry, of 1 or of 64 events of 416 bytes; a writer waits for its commit before
//! it begins the next one. Not measured: reading back, purging, recovery.

mod stores;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use stores::{GROUPS, Store, StoreKind};

const EVENT_BYTES: usize = 416;
const BATCHES: [usize; 2] = [1, 64];
const WRITERS: [usize; 3] = [1, 16, 64];
const WARM_UP: Duration = Duration::from_millis(200);

type AnyError = Box<dyn std::error::Error>;

/// What one run of one cell showed.
#[derive(Clone, Copy)]
struct Figures {
    commits_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us_per_commit: f64,
}

fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which directory?")?;
    let runs: usize = arguments.next().map_or(Ok(5), |runs| runs.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |seconds| seconds.parse())?;
    let load = || std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load before: {}", load().trim());
    let cells: Vec<(usize, usize, StoreKind)> = BATCHES
        .iter()
        .flat_map(|batch| WRITERS.iter().map(move |writers| (*batch, *writers)))
        .flat_map(|(batch, writers)| StoreKind::ALL.map(|kind| (batch, writers, kind)))
        .collect();
    let mut measured = vec![Vec::new(); cells.len()];
    for run in 0..runs {
        for ((batch, writers, kind), figures) in cells.iter().zip(&mut measured) {
            let path = Path::new(&directory).join(format!("log-comparison-{}", std::process::id()));
            std::fs::create_dir_all(&path)?;
            figures.push(measure(*kind, &path, *batch, *writers, Duration::from_secs_f64(seconds))?);
            std::fs::remove_dir_all(&path)?;
        }
        eprintln!("run {} of {runs}, load {}", run + 1, load().trim());
    }
    println!("load after: {}\n", load().trim());
    println!(
        "| events a commit | writers | store | commits/s | p50 us | p99 us | CPU us/commit |\n|---|---|---|---|---|---|---|"
    );
    for ((batch, writers, kind), figures) in cells.iter().zip(&measured) {
        let median = |value: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "| {batch} | {writers} | {} | {:.0} | {:.0} | {:.0} | {:.2} |",
            kind.name(),
            median(|figures| figures.commits_per_second),
            median(|figures| figures.p50_us),
            median(|figures| figures.p99_us),
            median(|figures| figures.cpu_us_per_commit),
        );
    }
    Ok(())
}

fn measure(kind: StoreKind, path: &Path, batch: usize, writers: usize, lasts: Duration) -> Result<Figures, AnyError> {
    let store: Arc<dyn Store> = stores::open(kind, path)?;
    let (is_measuring, is_over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..writers)
        .map(|writer| {
            let (store, is_measuring, is_over) = (Arc::clone(&store), Arc::clone(&is_measuring), Arc::clone(&is_over));
            let payload = payload(batch * EVENT_BYTES, writer as u64 + 1);
            std::thread::spawn(move || {
                let mut latencies = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    store.commit(writer % GROUPS, payload.clone()).expect("a disk with space");
                    if is_measuring.load(Ordering::Relaxed) {
                        latencies.push(before.elapsed());
                    }
                }
                latencies
            })
        })
        .collect();
    std::thread::sleep(WARM_UP);
    let (cpu_before, before) = (cpu_time(), Instant::now());
    is_measuring.store(true, Ordering::Relaxed);
    std::thread::sleep(lasts);
    is_over.store(true, Ordering::Relaxed);
    let (cpu, elapsed) = (cpu_time() - cpu_before, before.elapsed());
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a writer failed")?);
    }
    store.close();
    latencies.sort();
    let at = |part: f64| {
        let position = (latencies.len() as f64 * part) as usize;
        latencies.get(position.min(latencies.len().saturating_sub(1))).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
    };
    Ok(Figures {
        commits_per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50_us: at(0.50),
        p99_us: at(0.99),
        cpu_us_per_commit: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    })
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Bytes that do not compress.
fn payload(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
