//! Drives one run: steps turmoil, injects what is planned, lets the world be observed, and ends after a settling time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::clock::VirtualTime;
use crate::faults::{Injector, LATENCY_MAX, World};
use crate::history::Observation;
use crate::schedule::Planned;
use crate::seed::Seed;

/// How far time goes in one step.
const TICK: Duration = Duration::from_millis(1);

/// How often the world is observed, in steps.
const OBSERVE_EVERY: u64 = 10;

/// A simulated network for `seed`.
pub fn network(seed: Seed) -> Sim<'static> {
    Builder::new()
        .rng_seed(seed.number("turmoil"))
        .enable_random_order()
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(24 * 60 * 60))
        .min_message_latency(Duration::from_micros(500))
        .max_message_latency(LATENCY_MAX)
        .tcp_capacity(65_536)
        .ephemeral_ports(20_000..=65_535)
        .build()
}

/// Runs `sim` through `schedule` and then for `settling`. A panic or an error of a host ends the run.
///
/// # Errors
/// With what it was.
pub fn drive(
    mut sim: Sim<'_>,
    time: &Arc<VirtualTime>,
    world: &dyn World,
    schedule: &[Planned],
    settling: Duration,
    seed: Seed,
) -> Result<(), String> {
    let mut injector = Injector::new(world, seed.stream("crashes"));
    let mut due = schedule.iter().peekable();
    let ends_at = schedule.last().map_or(Duration::ZERO, |last| last.at) + settling;
    let mut steps = 0u64;
    while sim.elapsed() < ends_at {
        while let Some(planned) = due.next_if(|planned| planned.at <= sim.elapsed()) {
            injector.apply(&mut sim, &planned.fault);
        }
        let stepped = catch_unwind(AssertUnwindSafe(|| sim.step()));
        time.step_to(sim.elapsed());
        match stepped {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("a host ended: {error}")),
            Err(panic) => {
                // A runtime that was torn down by a panic must not be dropped like a healthy one.
                std::mem::forget(sim);
                return Err(format!("a task panicked: {}", text_of(&*panic)));
            }
        }
        steps += 1;
        if steps.is_multiple_of(OBSERVE_EVERY) {
            world.observe();
        }
    }
    world.recorder().see(Observation::Phase("end".to_owned()));
    Ok(())
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}
