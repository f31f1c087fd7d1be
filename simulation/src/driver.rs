//! Drives one run: steps turmoil, injects what is planned, lets the world be observed, and ends after a settling time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use turmoil::{Builder, Sim};

use crate::clock::VirtualTime;
use crate::faults::{Injector, LATENCY_MAX, World};
use crate::history::Observation;
use crate::machine::Machine;
use crate::schedule::Planned;
use crate::seed::Seed;

/// How far time goes in one step.
const TICK: Duration = Duration::from_millis(1);

/// How often the world is observed, in steps.
const OBSERVE_EVERY: u64 = 10;

/// How long the end is put off while replicas take in the same entry one after the other.
const STRAGGLING_MAX: Duration = Duration::from_secs(2);

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

/// Makes each machine a host that runs `host` whenever it is switched on.
pub fn add_hosts<F>(
    sim: &mut Sim<'static>,
    machines: &[Arc<Machine>],
    host: impl Fn(Arc<Machine>) -> F + Clone + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    for machine in machines {
        let (machine, host) = (Arc::clone(machine), host.clone());
        sim.host(machine.host(), move || {
            let (machine, host) = (Arc::clone(&machine), host.clone());
            async move {
                machine.incarnation.fetch_add(1, Ordering::SeqCst);
                let seed = machine.number_of("host");
                replicated_grid::spawn::seeded(seed, host(machine)).await;
                Ok(())
            }
        });
    }
}

/// Runs `sim` through `schedule` and then for `settling`. An error of a host ends the run; a panic ends its thread, see
/// [`crate::alone`].
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
    while sim.elapsed() < ends_at || (sim.elapsed() < ends_at + STRAGGLING_MAX && !world.is_settled()) {
        while let Some(planned) = due.next_if(|planned| planned.at <= sim.elapsed()) {
            injector.apply(&mut sim, &planned.fault);
        }
        sim.step().map_err(|error| format!("a host ended: {error}"))?;
        time.step_to(sim.elapsed());
        injector.after_step(&mut sim);
        steps += 1;
        if steps.is_multiple_of(OBSERVE_EVERY) {
            world.observe();
        }
    }
    world.recorder().see(Observation::Phase("end".to_owned()));
    Ok(())
}
