//! Where a run writes its history.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::clock::VirtualTime;
use crate::history::{About, Call, History, Observation, Operation, OperationId, Outcome, Seen};

/// Where a run writes its history. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    time: Arc<VirtualTime>,
    history: Arc<Mutex<History>>,
}

/// The outcome of an operation that has not ended.
const UNDER_WAY: &str = "it was never answered";

impl Recorder {
    /// An empty one.
    pub fn new(time: Arc<VirtualTime>, about: About) -> Self {
        Self { time, history: Arc::new(Mutex::new(History { about, ..History::default() })) }
    }

    /// An operation begins. Until it is completed its outcome is unknown, which it stays if its client crashes.
    pub fn begin(&self, client: &str, call: Call) -> OperationId {
        let invoked_us = self.time.now_us();
        let mut history = self.history.lock();
        history.operations.push(Operation {
            client: client.to_owned(),
            invoked_us,
            returned_us: u64::MAX,
            call,
            outcome: Outcome::Unknown(UNDER_WAY.to_owned()),
        });
        history.operations.len() - 1
    }

    /// It ended.
    pub fn complete(&self, operation: OperationId, outcome: Outcome) {
        let returned_us = self.time.now_us();
        if let Some(operation) = self.history.lock().operations.get_mut(operation) {
            (operation.returned_us, operation.outcome) = (returned_us, outcome);
        }
    }

    /// Something was seen.
    pub fn see(&self, what: Observation) {
        let at_us = self.time.now_us();
        self.history.lock().seen.push(Seen { at_us, what });
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.history.lock().clone()
    }

    /// How many operations were begun.
    pub fn operations(&self) -> usize {
        self.history.lock().operations.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_without_an_answer_stays_unknown() {
        let recorder = Recorder::new(Arc::default(), About::default());
        let call = Call::Add { partition: 0, key: 1, element: 2 };
        let (first, second) = (recorder.begin("a", call.clone()), recorder.begin("b", call));
        recorder.complete(second, Outcome::Refused("no leader".to_owned()));
        let history = recorder.history();
        assert!(matches!(history.operations[first].outcome, Outcome::Unknown(_)));
        assert_eq!(history.operations[first].returned_us, u64::MAX);
        assert_eq!(History::from_jsonl(&history.to_jsonl().unwrap()).unwrap(), history);
    }
}
