//! Runs what [`Options`] say, on a thread of its own, and answers its history.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::VirtualTime;
use crate::history::{History, Observation};
use crate::options::{Options, Scenario};
use crate::planted::Planted;
use crate::recorder::Recorder;
use crate::{alone, feed_run, grid_run, presence_run};

/// Runs it, within `limit` of real time. A run that ended early says so in its history.
pub fn run(options: Options, limit: Duration) -> History {
    let time = Arc::<VirtualTime>::default();
    let recorder = Recorder::new(Arc::clone(&time), options.about());
    let written = recorder.clone();
    let ended = alone::run(limit, move || {
        Planted::plant(options.planted);
        match options.scenario {
            Scenario::Grid => grid_run::simulate(options, time, recorder),
            Scenario::Feed => feed_run::simulate(options, time, recorder),
            Scenario::Presence => presence_run::simulate(options, time, recorder),
        }
    });
    if let Err(reason) = ended.and_then(|ended| ended) {
        written.see(Observation::Broken { reason });
    }
    written.history()
}
