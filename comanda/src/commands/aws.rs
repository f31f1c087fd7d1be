//! `comanda aws local|init`: the in-process AWS alone; queues, topics, subscriptions and tables.

use serde_json::json;

use super::configuration;
use crate::cli::{AwsCommand, SettingsOnly};
use crate::failure::Failure;
use crate::platform::aws::{AwsClients, AwsNames};
use crate::platform::initialise;

/// Serves or creates.
pub async fn execute(command: AwsCommand) -> Result<(), Failure> {
    match command {
        AwsCommand::Local(arguments) => local(&arguments).await,
        AwsCommand::Init(arguments) => init(&arguments).await,
    }
}

#[cfg(feature = "local-aws")]
async fn local(arguments: &SettingsOnly) -> Result<(), Failure> {
    use crate::failure::Context;
    use crate::platform::signals;
    use crate::telemetry::logging;

    let settings = configuration::settings(&arguments.settings)?;
    logging::start(&settings.log, settings.log_format).context("starting the log")?;
    let shutdown = signals::shutdown_on_signal().context("installing signal handlers")?;
    let bound = crate::platform::dev::bind_local_aws(&settings)?;
    let (endpoint, address) = (bound.endpoint(), bound.address());
    let aws = bound.serve().context("serving the in-process AWS")?;
    if arguments.output.json {
        println!("{}", json!({"aws": address.to_string(), "pid": std::process::id()}));
    } else {
        println!("SQS, SNS and DynamoDB on {endpoint}; use it with");
        println!(
            "  export AWS_ENDPOINT_URL={endpoint} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1"
        );
    }
    shutdown.cancelled().await;
    aws.shutdown().await;
    Ok(())
}

#[cfg(not(feature = "local-aws"))]
async fn local(_arguments: &SettingsOnly) -> Result<(), Failure> {
    Err(Failure::Usage("this build has no in-process AWS (feature local-aws)".to_owned()))
}

async fn init(arguments: &SettingsOnly) -> Result<(), Failure> {
    let settings = configuration::settings(&arguments.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    let names = AwsNames::new(&settings.aws_prefix);
    initialise::initialise(&aws, &names).await?;
    if arguments.output.json {
        println!("{}", json!({"ok": true, "prefix": names.prefix()}));
    } else {
        println!("queues, topics, subscriptions and tables are there");
    }
    Ok(())
}
