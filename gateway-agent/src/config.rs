//! The settings of a gateway-agent and what it is given.

use std::time::Duration;

use message_bus::SharedQueue;
use order_model::SharedClock;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;

use crate::decision::Rules;
use crate::error::Error;

/// The settings. [`Config::default`] is what CONTRACT says.
#[derive(Debug, Clone)]
pub struct Config {
    /// Long polls at the same time, 1 to 64. Default 4.
    pub receivers: usize,
    /// Messages held at the same time, 1 to 100,000; what the core is asked at once. Default 256.
    pub in_flight_max: usize,
    /// How long one long poll waits, 0 to 20 s. Default 20 s.
    pub receive_wait: Duration,
    /// How long a message stays hidden unless extended, 3 s to 12 h; extended every third of it. Default 30 s.
    pub visibility: Duration,
    /// How long the core may take for one message. Default 5 s.
    pub submit_deadline: Duration,
    /// How long a message may be early. Default 10 min.
    pub early_for: Duration,
    /// How many failures of its own a message has. Default 5.
    pub failures_max: u32,
    /// Messages whose retries are remembered. Default 100,000, some 20 MB.
    pub histories_max: usize,
    /// How long finishing or giving back may take at the end. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receivers: 4,
            in_flight_max: 256,
            receive_wait: Duration::from_secs(20),
            visibility: Duration::from_secs(30),
            submit_deadline: Duration::from_secs(5),
            early_for: Duration::from_secs(600),
            failures_max: 5,
            histories_max: 100_000,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let rules = [
            ((1..=64).contains(&self.receivers), "receivers must be 1 to 64"),
            ((1..=100_000).contains(&self.in_flight_max), "in_flight_max must be 1 to 100000"),
            (self.receive_wait <= Duration::from_secs(20), "receive_wait must be at most 20 s"),
            (
                (Duration::from_secs(3)..=Duration::from_secs(43_200)).contains(&self.visibility),
                "visibility must be 3 s to 12 h",
            ),
            (!self.submit_deadline.is_zero(), "submit_deadline must not be zero"),
            (self.failures_max >= 1, "failures_max must be at least 1"),
            (self.histories_max >= 1, "histories_max must be at least 1"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, problem)) => Err(Error::Configuration { problem }),
            None => Ok(()),
        }
    }

    pub(crate) const fn rules(&self) -> Rules {
        Rules { early_for: self.early_for, failures_max: self.failures_max }
    }
}

/// What is passed in.
#[derive(Clone)]
pub struct Dependencies {
    /// Where time comes from.
    pub clock: SharedClock,
    /// The queue `orders`.
    pub orders: SharedQueue,
    /// The queue `orders-dlq`.
    pub dead_letters: SharedQueue,
    /// gateway-core.
    pub core: GatewayCoreClient<Transport>,
}
