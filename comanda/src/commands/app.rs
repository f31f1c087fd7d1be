//! `comanda app create|grant|revoke|rotate`: partner applications, straight in the table of kitchen-api.

use kitchen_api::Entropy;
use kitchen_api::store::{Applications, Rotation};
use order_model::{ApplicationId, MerchantId};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::configuration;
use crate::cli::{AppCommand, AppMerchants, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::aws::AwsClients;
use crate::system_clock::SystemClock;

/// Changes an application.
pub async fn execute(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create { client_id, name, rest } => {
            let application = parse(&client_id)?;
            let secret =
                applications(&rest).await?.create(&application, &name).await.context("creating the application")?;
            let secret = secret.expose_secret();
            print(&rest, &json!({"clientId": client_id, "clientSecret": secret}), &secret_text(&client_id, secret));
            Ok(())
        }
        AppCommand::Rotate { client_id, rest } => {
            let application = parse(&client_id)?;
            let rotated = applications(&rest).await?.rotate(&application, Rotation::Immediately).await;
            let secret = rotated.context("rotating the secret")?;
            let secret = secret.expose_secret();
            print(&rest, &json!({"clientId": client_id, "clientSecret": secret}), &secret_text(&client_id, secret));
            Ok(())
        }
        AppCommand::Grant(arguments) => grant(&arguments).await,
        AppCommand::Revoke(arguments) => revoke(&arguments).await,
    }
}

async fn grant(arguments: &AppMerchants) -> Result<(), Failure> {
    let (application, merchants) = (parse(&arguments.client_id)?, parse_merchants(&arguments.merchants)?);
    if merchants.is_empty() {
        return Err(Failure::Usage("MERCHANT: name at least one merchant to grant".to_owned()));
    }
    let applications = applications(&arguments.rest).await?;
    let added = applications.grant(&application, &merchants).await.context("granting")?;
    let row = json!({"clientId": arguments.client_id, "granted": added});
    print(&arguments.rest, &row, &format!("{application} was granted {added} more merchants; effective within 5 s"));
    Ok(())
}

async fn revoke(arguments: &AppMerchants) -> Result<(), Failure> {
    let (application, merchants) = (parse(&arguments.client_id)?, parse_merchants(&arguments.merchants)?);
    let applications = applications(&arguments.rest).await?;
    let text = if merchants.is_empty() {
        applications.revoke(&application).await.context("revoking the application")?;
        format!("{application} is revoked; its tokens end within 5 s")
    } else {
        applications.take_back(&application, &merchants).await.context("revoking merchants")?;
        format!("{application} no longer sees {} merchants; effective within 5 s", merchants.len())
    };
    print(&arguments.rest, &json!({"clientId": arguments.client_id, "merchants": arguments.merchants}), &text);
    Ok(())
}

fn secret_text(client_id: &str, secret: &str) -> String {
    format!(
        "clientId:     {client_id}\nclientSecret: {secret}\nThe secret is not shown again; only its hash is stored."
    )
}

fn parse(client_id: &str) -> Result<ApplicationId, Failure> {
    client_id.parse().map_err(|error| Failure::Usage(format!("CLIENT_ID: {error}")))
}

fn parse_merchants(texts: &[String]) -> Result<Vec<MerchantId>, Failure> {
    let parse = |text: &String| text.parse().map_err(|error| Failure::Usage(format!("MERCHANT {text:?}: {error}")));
    texts.iter().map(parse).collect()
}

async fn applications(rest: &SettingsOnly) -> Result<Applications, Failure> {
    let settings = configuration::settings(&rest.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    Ok(Applications::new(aws.dynamodb, &settings.aws_prefix, SystemClock::shared(), Entropy::system()))
}

fn print(rest: &SettingsOnly, row: &Value, text: &str) {
    if rest.output.json { println!("{row}") } else { println!("{text}") }
}
