//! The indexing function for AWS Lambda, subscribed to `connection-polling-feed`. Run by the Lambda runtime.
//!
//! Environment (read nowhere else): `COMANDA_AWS_PREFIX`, `COMANDA_EVENT_ID_KEY` (32 hex digits), optionally
//! `COMANDA_DEAD_LETTER_QUEUE` (a name without its prefix, e.g. `connection-polling-feed-dlq`) and what the AWS SDK reads.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use connection_polling::index::Index;
use connection_polling::lambda::{SqsEvent, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use message_bus::SharedQueue;
use message_bus::sqs::SqsQueue;
use order_model::{Clock, EventIdKey, Timestamp};

/// As in the service's configuration.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().json().without_time().init();
    let aws = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws);
    let prefix = environment("COMANDA_AWS_PREFIX").unwrap_or_default();
    let clock = Arc::new(SystemClock { started: now() });
    let index = Index::new(&dynamodb, &prefix, clock, CLOCK_TOLERANCE, event_id_key()?);
    let dead_letters = environment("COMANDA_DEAD_LETTER_QUEUE")
        .map(|name| -> SharedQueue { Arc::new(SqsQueue::new(aws_sdk_sqs::Client::new(&aws), &prefix, &name)) });
    let function = service_fn(|event: LambdaEvent<SqsEvent>| {
        let (index, dead_letters) = (&index, dead_letters.as_ref());
        // Boxed: the SDK's futures nest deeper than the compiler computes layouts.
        Box::pin(async move { Ok::<_, Error>(handle(index, dead_letters, event.payload).await) })
    });
    lambda_runtime::run(function).await
}

fn event_id_key() -> Result<EventIdKey, Error> {
    let text = environment("COMANDA_EVENT_ID_KEY").ok_or("COMANDA_EVENT_ID_KEY is not set")?;
    let mut bytes = [0; 16];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| "COMANDA_EVENT_ID_KEY must be 32 hex digits")?;
    Ok(EventIdKey::from_bytes(bytes))
}

#[expect(clippy::disallowed_methods, reason = "a binary is where the environment is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "a binary owns the system's clock")]
fn now() -> Instant {
    Instant::now()
}

struct SystemClock {
    started: Instant,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a binary owns the system's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
