//! Splitting any number of entries into calls that a broker takes, and its answers into one outcome for each.
//!
//! Called by [`crate::sqs`] and [`crate::sns`], whose batch calls have the same shape and the same limits.

use futures::StreamExt;

use crate::failure::{BrokerError, Failure};
use crate::queue::{BATCH_MAX, MESSAGE_BYTES_MAX};

/// Calls of one `send`, `delete`, ... under way at a time: enough to hide the network behind the broker's work, few
/// enough that one caller does not take every connection of the client's pool.
const CALLS_AT_ONCE_MAX: usize = 4;

/// What became of one entry.
pub(crate) type Outcome = Result<(), Failure>;

/// A broker's answer to a batch: ids of entries, which are their positions in it.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) succeeded: Vec<String>,
    /// Id and code.
    pub(crate) failed: Vec<(String, String)>,
}

/// Makes as many calls as the limits need and answers one outcome for each entry, in order. A batch that is refused as
/// a whole is repeated entry by entry, so that an entry is only ever refused for what it is itself.
pub(crate) async fn run<Entry, Called>(
    entries: Vec<Entry>,
    size_bytes: impl Fn(&Entry) -> usize,
    call: impl Fn(Vec<Entry>) -> Called,
) -> Vec<Outcome>
where
    Entry: Clone,
    Called: Future<Output = Result<Answer, Failure>>,
{
    let call = &call;
    let batches = split(entries, size_bytes).into_iter().map(async |batch| {
        let count = batch.len();
        match call(batch.clone()).await {
            Err(Failure::Refused(_)) if count > 1 => {
                let mut outcomes = Vec::with_capacity(count);
                for entry in batch {
                    outcomes.append(&mut by_entry(1, call(vec![entry]).await));
                }
                outcomes
            }
            answer => by_entry(count, answer),
        }
    });
    let outcomes: Vec<Vec<Outcome>> = futures::stream::iter(batches).buffered(CALLS_AT_ONCE_MAX).collect().await;
    outcomes.into_iter().flatten().collect()
}

/// One outcome for each message: its refusal, or else the next of `outcomes`, which are those of the others in order.
pub(crate) fn merged(refusals: Vec<Option<&'static str>>, outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |refusal: Option<&str>| match refusal {
        Some(code) => Err(Failure::Refused(code.to_owned())),
        None => outcomes.next().unwrap_or_else(|| Err(Failure::unavailable(BrokerError::EntryMissing))),
    };
    refusals.into_iter().map(outcome).collect()
}

/// Batches in order, each of at most [`BATCH_MAX`] entries and, unless it is a single one, [`MESSAGE_BYTES_MAX`] bytes.
fn split<Entry>(entries: Vec<Entry>, size_bytes: impl Fn(&Entry) -> usize) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = size_bytes(&entry);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MAX && bytes + size <= MESSAGE_BYTES_MAX => {
                batch.push(entry);
                bytes += size;
            }
            _ => {
                batches.push(vec![entry]);
                bytes = size;
            }
        }
    }
    batches
}

fn by_entry(count: usize, answer: Result<Answer, Failure>) -> Vec<Outcome> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return vec![Err(failure); count],
    };
    // An entry that is in neither list may or may not have taken effect: at-least-once says to repeat it.
    let mut outcomes = vec![Err(Failure::unavailable(BrokerError::EntryMissing)); count];
    for id in &answer.succeeded {
        if let Some(outcome) = position(id, count).map(|at| &mut outcomes[at]) {
            *outcome = Ok(());
        }
    }
    for (id, code) in &answer.failed {
        if let Some(outcome) = position(id, count).map(|at| &mut outcomes[at]) {
            *outcome = Err(Failure::of_entry(code));
        }
    }
    outcomes
}

fn position(id: &str, count: usize) -> Option<usize> {
    id.parse().ok().filter(|position| *position < count)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    fn ids(of: std::ops::Range<usize>) -> Vec<String> {
        of.map(|position| position.to_string()).collect()
    }

    proptest! {
        #[test]
        fn batches_keep_order_and_limits(sizes in prop::collection::vec(0_usize..=MESSAGE_BYTES_MAX, 0..60)) {
            let batches = split(sizes.clone(), |size| *size);
            for batch in &batches {
                prop_assert!((1..=BATCH_MAX).contains(&batch.len()));
                prop_assert!(batch.iter().sum::<usize>() <= MESSAGE_BYTES_MAX);
            }
            prop_assert_eq!(batches.concat(), sizes);
        }
    }

    #[tokio::test]
    async fn outcomes_are_in_the_order_of_the_entries() {
        let outcomes = run(
            (0..25).collect(),
            |_| 1,
            |batch: Vec<i32>| async move {
                let failed =
                    batch.iter().position(|entry| *entry == 13).map(|at| (at.to_string(), "InternalError".to_owned()));
                let succeeded =
                    ids(0..batch.len()).into_iter().filter(|id| failed.as_ref().is_none_or(|(at, _)| at != id));
                Ok(Answer { succeeded: succeeded.collect(), failed: failed.into_iter().collect() })
            },
        );
        let outcomes = outcomes.await;
        assert_eq!(outcomes.len(), 25);
        assert!(outcomes.iter().enumerate().all(|(at, outcome)| outcome.is_err() == (at == 13)));
    }

    #[tokio::test]
    async fn a_batch_refused_as_a_whole_is_repeated_entry_by_entry() {
        let calls = Mutex::new(Vec::new());
        let outcomes = run(
            vec!["good", "bad", "good"],
            |_| 1,
            |batch: Vec<&str>| {
                calls.lock().unwrap().push(batch.len());
                let refused = batch.contains(&"bad");
                let answer = Answer { succeeded: ids(0..batch.len()), failed: Vec::new() };
                async move { if refused { Err(Failure::Refused("BatchRequestTooLong".to_owned())) } else { Ok(answer) } }
            },
        );
        let outcomes = outcomes.await;
        assert!(matches!(&outcomes[..], [Ok(()), Err(Failure::Refused(_)), Ok(())]));
        assert_eq!(*calls.lock().unwrap(), [3, 1, 1, 1]);
    }

    #[tokio::test]
    async fn entries_that_the_answer_leaves_out_and_foreign_ids_are_unavailable_and_ignored() {
        let outcomes = run(
            vec![(), ()],
            |()| 1,
            |_| async {
                Ok(Answer { succeeded: vec!["1".to_owned(), "7".to_owned(), "x".to_owned()], failed: Vec::new() })
            },
        );
        assert!(matches!(&outcomes.await[..], [Err(Failure::Unavailable(_)), Ok(())]));
    }
}
