//! CPU time of other processes, by thread name, from `/proc` (Linux).

use std::collections::BTreeMap;
use std::time::Duration;

/// CPU time so far, by thread name.
#[derive(Debug, Clone, Default)]
pub struct ProcessorTime {
    by_thread_name: BTreeMap<String, Duration>,
}

impl ProcessorTime {
    /// Reads it for all of `pids` together. Threads that have ended are not counted, so compare over spans in which the
    /// same ones live.
    pub fn of(pids: &[u32]) -> Self {
        let mut by_thread_name: BTreeMap<String, Duration> = BTreeMap::new();
        let tasks = pids.iter().flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task"))).flatten().flatten();
        for task in tasks.map(|entry| entry.path()) {
            let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default().trim().to_owned();
            let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let on_cpu_ns = schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            *by_thread_name.entry(name).or_default() += Duration::from_nanos(on_cpu_ns);
        }
        Self { by_thread_name }
    }

    /// What was used since `earlier` by threads whose name `matches`.
    pub fn since(&self, earlier: &Self, matches: impl Fn(&str) -> bool) -> Duration {
        let used = |(name, time): (&String, &Duration)| {
            time.saturating_sub(earlier.by_thread_name.get(name).copied().unwrap_or_default())
        };
        self.by_thread_name.iter().filter(|(name, _)| matches(name)).map(used).sum()
    }
}

/// The machine's one-minute load average, as text.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
