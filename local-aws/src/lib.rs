//! SQS, SNS and DynamoDB inside the process, on one port, for `comanda dev` and for tests.
//!
//! Called by the `comanda` binary (feature `local-aws`, left out of production builds) and, as a dev-dependency, by
//! the tests of every crate that talks to AWS. It puts three embedded emulators behind one listener: `rustack` for
//! SQS, `awsim` for SNS, `dynoxide` for DynamoDB, and mends the seams between them (delivery from topics to queues
//! above all). Deliberately absent: signature checks, IAM, other AWS services, and any persistence of queues and
//! topics: only DynamoDB can be kept in files.
//!
//! ```no_run
//! let aws = local_aws::LocalAws::start(local_aws::Config::default())?;
//! println!("AWS_ENDPOINT_URL={}", aws.endpoint());
//! # Ok::<(), local_aws::Error>(())
//! ```

mod config;
mod connections;
mod counters;
mod dynamodb;
mod endpoints;
mod server;
mod sns;
mod sqs;

pub use config::{Config, Error};
pub use counters::Statistics;
pub use server::{Bound, LocalAws};

/// Log directives that keep the embedded emulators quiet at `info`, e.g. one line per published message. For the
/// binary's default log filter.
pub const QUIET_LOG_DIRECTIVES: [&str; 5] =
    ["awsim_core=warn", "awsim_sns=warn", "rustack_sqs_core=warn", "rustack_sqs_http=warn", "dynoxide=error"];
