//! The schedule: it repeats, it stays within its window, and whatever begins also ends.

use super::*;

fn shape(seconds: u64) -> Shape {
    Shape { nodes: 3, spares: 1, faults_for: Duration::from_secs(seconds), has_store: true, has_ingress: true }
}

#[test]
fn a_seed_repeats_and_another_differs() {
    assert_eq!(plan(Seed(7), shape(60)), plan(Seed(7), shape(60)));
    assert_ne!(plan(Seed(7), shape(60)), plan(Seed(8), shape(60)));
}

#[test]
fn everything_is_within_the_window_and_healing_comes_last() {
    for seed in 0..200 {
        let planned = plan(Seed(seed), shape(60));
        let (last, before) = planned.split_last().unwrap();
        assert_eq!((last.at, &last.fault), (Duration::from_secs(68), &Fault::Heal));
        assert!(before.iter().all(|planned| QUIET_BEFORE <= planned.at && planned.at <= last.at));
    }
}

#[test]
fn a_machine_is_up_when_it_crashes_and_down_when_it_is_restarted() {
    for seed in 0..200 {
        let mut down: Vec<u64> = Vec::new();
        for planned in plan(Seed(seed), shape(60)) {
            match planned.fault {
                Fault::Crash(node) => {
                    assert!(!down.contains(&node));
                    down.push(node);
                }
                Fault::Restart(node) => {
                    assert!(down.contains(&node));
                    down.retain(|other| *other != node);
                }
                Fault::CrashAll => assert!(down.is_empty()),
                _ => {}
            }
        }
        assert!(down.is_empty());
    }
}

#[test]
fn every_kind_comes_up_within_a_few_hundred_seeds() {
    let mut names: Vec<String> = (0..300)
        .flat_map(|seed| plan(Seed(seed), shape(30)))
        .map(|planned| planned.fault.to_string().split('(').next().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 32, "{names:?}");
}
