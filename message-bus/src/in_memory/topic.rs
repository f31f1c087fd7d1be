//! The topic: every message into every subscribed queue, at once.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::faults::{Dice, Faults};
use super::queue::InMemoryQueue;
use crate::failure::BrokerError;
use crate::limits;
use crate::queue::OutgoingMessage;
use crate::topic::{Topic, TopicError, TopicMessage};

/// A topic in memory, with raw delivery: attributes arrive as attributes.
pub struct InMemoryTopic {
    name: String,
    state: Mutex<State>,
}

struct State {
    subscribers: Vec<Arc<InMemoryQueue>>,
    faults: Faults,
    dice: Dice,
}

impl InMemoryTopic {
    /// A topic without subscribers. Faults, once set, follow a fixed seed.
    pub fn new(name: &str) -> Self {
        let state = State { subscribers: Vec::new(), faults: Faults::default(), dice: Dice::new(0) };
        Self { name: name.to_owned(), state: Mutex::new(state) }
    }

    /// Decides faults by another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.state.lock().dice = Dice::new(seed);
        self
    }

    /// Delivers to `queue` from now on; a queue that is subscribed already stays subscribed once.
    pub fn subscribe(&self, queue: Arc<InMemoryQueue>) {
        let subscribers = &mut self.state.lock().subscribers;
        if !subscribers.iter().any(|known| Arc::ptr_eq(known, &queue)) {
            subscribers.push(queue);
        }
    }

    /// What goes wrong with publishing from now on. Duplicates, order and delays are a queue's.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    fn publish_one(&self, message: TopicMessage) -> Result<(), TopicError> {
        let TopicMessage { body, attributes } = message;
        if let Some(code) = limits::refusal(&body, &attributes) {
            return Err(TopicError::Refused { topic: self.name.clone(), reason: code.to_owned() });
        }
        let (is_failed, is_lost, subscribers) = {
            let State { subscribers, faults, dice } = &mut *self.state.lock();
            let is_failed = faults.unavailable || dice.hits(faults.failed_percent);
            (is_failed, dice.hits(faults.answer_lost_percent), subscribers.clone())
        };
        if !is_failed {
            for queue in subscribers {
                queue.put(OutgoingMessage { body: body.clone(), attributes: attributes.clone() });
            }
        }
        if is_failed || is_lost {
            let source = Box::new(BrokerError::Injected);
            return Err(TopicError::Unavailable { topic: self.name.clone(), source });
        }
        Ok(())
    }
}

impl Topic for InMemoryTopic {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish(&self, messages: Vec<TopicMessage>) -> BoxFuture<'_, Vec<Result<(), TopicError>>> {
        let results = messages.into_iter().map(|message| self.publish_one(message)).collect();
        async move { results }.boxed()
    }
}
