//! What the service is told (`Config`) and what it is given (`Dependencies`). No parsing, no environment: the binary's.

use std::time::Duration;

use message_bus::SharedTopic;
use order_model::{EventIdKey, SharedClock};
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::Transport;

use crate::error::Error;

/// The longest accepted confirm deadline: serving gaps are remembered for 24 h.
const CONFIRM_DEADLINE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Settings, with the defaults of the project's contract.
#[derive(Debug, Clone)]
pub struct Config {
    /// The secret under which event ids are made; the same in the whole cluster for all its life.
    pub event_id_key: EventIdKey,
    /// An order that nobody confirms is cancelled this long after it was placed. Default 8 min, at most 12 h.
    pub confirm_deadline: Duration,
    /// An order that nobody concludes is concluded this long after its promised time. Default 4 h.
    pub conclude_after: Duration,
    /// An event expires this long after its order's promised time (or its own creation, if later). Default 8 h.
    pub event_retention: Duration,
    /// An order can be read this long after its promised time. Default 14 d, at least the event retention.
    pub order_retention: Duration,
    /// What links to an order's evidence begin with: the public API's address as clients see it. Unset, the links in events are
    /// paths on the host that is polled, because only kitchen-api knows how it is bound. Default unset.
    pub public_url: Option<String>,
    /// How long `Service::run` goes on publishing what is committed once it was told to stop. Default 10 s.
    pub drain_timeout: Duration,
}

impl Config {
    /// The defaults under `event_id_key`, which alone has none: a well-known key would let anybody forge event ids.
    pub const fn new(event_id_key: EventIdKey) -> Self {
        Self {
            event_id_key,
            confirm_deadline: Duration::from_secs(8 * 60),
            conclude_after: Duration::from_secs(4 * 60 * 60),
            event_retention: Duration::from_secs(8 * 60 * 60),
            order_retention: Duration::from_secs(14 * 24 * 60 * 60),
            public_url: None,
            drain_timeout: Duration::from_secs(10),
        }
    }

    /// Whether these settings fit together.
    ///
    /// # Errors
    /// With the first setting that does not.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |setting, reason| Err(Error::InvalidConfig { setting, reason });
        if self.confirm_deadline.is_zero() || self.confirm_deadline > CONFIRM_DEADLINE_MAX {
            return invalid("confirm_deadline", "must be above 0 and at most 12 h");
        }
        if self.event_retention.is_zero() {
            return invalid("event_retention", "must be above 0");
        }
        if self.order_retention < self.event_retention {
            return invalid("order_retention", "must not be shorter than event_retention: events point to their order");
        }
        Ok(())
    }
}

/// What the service works with.
pub struct Dependencies {
    /// Wall and monotonic time.
    pub clock: SharedClock,
    /// DynamoDB: endpoint, region and credentials as passed; timeouts and retries are set by the service.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Goes before the names of the tables.
    pub table_prefix: String,
    /// The topic `order-events`.
    pub topic: SharedTopic,
    /// Says which merchants exist.
    pub merchant_connection: MerchantConnectionClient<Transport>,
    /// Randomness, for jitter only.
    pub rng: Box<dyn rand::RngCore + Send>,
}
