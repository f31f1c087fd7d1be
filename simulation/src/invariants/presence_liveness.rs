//! I10 for presence: soon after healing every partition answers who is online, somewhere.

use super::not_started;
use super::presence_history::answers;
use crate::history::History;
use crate::presence::fleet::partition_of;

/// Its name.
pub const NAME: &str = "I10 liveness";

/// How soon, µs.
const WITHIN_US: u64 = 10_000_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let Some(healed_us) = history.phase_us("healed") else { return vec!["it was never healed".to_owned()] };
    let mut wrong = not_started(history);
    for partition in 0..history.about.partitions {
        let answered = answers(history).find(|(operation, shown)| {
            let is_of_it = |(merchant, _, _): &(u32, bool, u64)| {
                partition_of(*merchant, history.about.partitions) == usize::from(partition)
            };
            operation.invoked_us > healed_us && shown.iter().any(is_of_it)
        });
        match answered.map(|(operation, _)| operation.returned_us - healed_us) {
            Some(took_us) if took_us <= WITHIN_US => {}
            Some(took_us) => wrong.push(format!("partition {partition} needed {took_us} us to answer after healing")),
            None => wrong.push(format!("partition {partition} never answered after healing")),
        }
    }
    wrong
}
