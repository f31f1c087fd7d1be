//! `comanda app …`: partner applications and what they are authorised for, straight in the table of kitchen-api.

use kitchen_api::store::{ApplicationStore, Applications, Approved, AuthorisationId, NamedToken, Rotation, UserCode};
use kitchen_api::{Entropy, Module, Modules, OpenDeliveryVersion};
use order_model::{ApplicationId, MerchantId};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{configuration, webhook};
use crate::cli::{AppCommand, AppMerchants, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::aws::AwsClients;
use crate::system_clock::SystemClock;

/// Changes an application.
pub async fn execute(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create { client_id, name, distributed, rest } => {
            let application = parse(&client_id)?;
            let applications = applications(&rest).await?;
            let created = if distributed {
                applications.create_distributed(&application, &name).await
            } else {
                applications.create(&application, &name).await
            };
            let secret = created.context("creating the application")?;
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
        AppCommand::Approve { user_code, merchants, rest } => approve(&user_code, &merchants, &rest).await,
        AppCommand::Authorizations { client_id, rest } => authorizations(&client_id, &rest).await,
        AppCommand::RevokeAuthorization { client_id, authorization, rest } => {
            let application = parse(&client_id)?;
            let which = authorization.parse::<AuthorisationId>();
            let which = which.map_err(|error| Failure::Usage(format!("AUTHORIZATION: {error}")))?;
            let revoked = applications(&rest).await?.revoke_authorisation(&application, which).await;
            revoked.context("revoking the authorisation")?;
            let row = json!({"clientId": client_id, "authorizationId": authorization});
            print(&rest, &row, &format!("{authorization} is revoked; its tokens end within 5 s"));
            Ok(())
        }
        AppCommand::RevokeToken { client_id, token, rest } => revoke_token(&client_id, &token, &rest).await,
        AppCommand::Modules { client_id, grant, revoke, rest } => {
            modules(&client_id, grant.as_deref(), revoke.as_deref(), &rest).await
        }
        AppCommand::OpenDelivery { client_id, spoken, rest } => open_delivery(&client_id, &spoken, &rest).await,
        AppCommand::Grant(arguments) => grant(&arguments).await,
        AppCommand::Revoke(arguments) => revoke(&arguments).await,
        AppCommand::Webhook(command) => webhook::execute(command).await,
    }
}

async fn approve(user_code: &str, merchants: &[String], rest: &SettingsOnly) -> Result<(), Failure> {
    let merchants = parse_merchants(merchants)?;
    let code = UserCode::read(user_code)
        .ok_or_else(|| Failure::Usage("USER_CODE: expected eight letters such as BCDF-GHJK".to_owned()))?;
    let approved = applications(rest).await?.approve(&code, &merchants).await.context("approving")?;
    let Some(approved) = approved else {
        return Err(Failure::Failed(format!("the user code {code} is unknown, has expired or was approved before")));
    };
    let Approved { application, authorisation, code, .. } = approved;
    let code = code.expose_secret();
    let row = json!({
        "clientId": application.as_str(), "authorizationId": authorisation.to_string(), "authorizationCode": code,
    });
    let text = format!(
        "clientId:          {application}\nauthorizationId:   {authorisation}\nauthorizationCode: {code}\n\
         Type the code in the application within 5 minutes; it is not shown again."
    );
    print(rest, &row, &text);
    Ok(())
}

async fn authorizations(client_id: &str, rest: &SettingsOnly) -> Result<(), Failure> {
    let application = parse(client_id)?;
    let stored = applications(rest).await?.load(&application).await.context("reading the application")?;
    let Some(stored) = stored else {
        return Err(Failure::Failed(format!("there is no application {application}")));
    };
    for one in &stored.authorisations {
        let merchants: Vec<String> = one.grants.iter().map(|grant| grant.merchant.to_string()).collect();
        let text = format!("{}  {}  {}", one.id, one.created_at, merchants.join(" "));
        let row = json!({
            "authorizationId": one.id.to_string(), "createdAt": one.created_at.to_string(), "merchants": merchants,
        });
        print(rest, &row, &text);
    }
    Ok(())
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

async fn revoke_token(client_id: &str, token: &str, rest: &SettingsOnly) -> Result<(), Failure> {
    let application = parse(client_id)?;
    let named = token.parse::<NamedToken>().map_err(|error| Failure::Usage(format!("TOKEN: {error}")))?;
    if named.application != application {
        return Err(Failure::Usage(format!("TOKEN: is of {}, not of {application}", named.application)));
    }
    let revoked = applications(rest).await?.revoke_token(&application, named.token).await;
    revoked.context("revoking the token")?;
    let (id, until) = (named.token.id, named.token.until);
    let row = json!({"clientId": client_id, "tokenId": id.to_string(), "until": until.to_string()});
    print(rest, &row, &format!("token {id} of {application} is revoked; it ends within 5 s"));
    Ok(())
}

async fn modules(
    client_id: &str,
    grant: Option<&str>,
    revoke: Option<&str>,
    rest: &SettingsOnly,
) -> Result<(), Failure> {
    let application = parse(client_id)?;
    let (grant, revoke) = (parse_modules("--grant", grant)?, parse_modules("--revoke", revoke)?);
    let applications = applications(rest).await?;
    // One of the two at most: the command line takes no more.
    let modules = match (grant, revoke) {
        (Some(granted), _) => applications.grant_modules(&application, granted).await.context("granting modules")?,
        (None, Some(revoked)) => {
            applications.revoke_modules(&application, revoked).await.context("revoking modules")?
        }
        (None, None) => applications.modules(&application).await.context("reading the application")?,
    };
    let names = |modules: Modules| modules.iter().map(Module::name).collect::<Vec<_>>();
    let withheld = Modules::ALL.without(modules);
    let row = json!({"clientId": client_id, "modules": names(modules), "withheld": names(withheld)});
    let or_none = |modules: Modules| if modules.is_empty() { "none".to_owned() } else { modules.to_string() };
    let since = if grant.or(revoke).is_some() { "; effective within 5 s" } else { "" };
    print(rest, &row, &format!("{application} has: {}\nit has not: {}{since}", or_none(modules), or_none(withheld)));
    Ok(())
}

fn parse_modules(flag: &str, text: Option<&str>) -> Result<Option<Modules>, Failure> {
    text.map(|text| text.parse::<Modules>().map_err(|error| Failure::Usage(format!("{flag}: {error}")))).transpose()
}

async fn open_delivery(client_id: &str, spoken: &str, rest: &SettingsOnly) -> Result<(), Failure> {
    let application = parse(client_id)?;
    let version = OpenDeliveryVersion::parse(spoken).ok_or_else(|| {
        let known = OpenDeliveryVersion::ALL.map(OpenDeliveryVersion::name).join(" or ");
        Failure::Usage(format!("VERSION: expected {known}"))
    })?;
    let set = applications(rest).await?.set_open_delivery_version(&application, version).await;
    set.context("setting the version of Open Delivery")?;
    let row = json!({"clientId": client_id, "openDeliveryVersion": version.name()});
    print(rest, &row, &format!("{application} is answered in Open Delivery {}; effective within 5 s", version.name()));
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

pub(super) async fn applications(rest: &SettingsOnly) -> Result<Applications, Failure> {
    let settings = configuration::settings(&rest.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    Ok(Applications::new(aws.dynamodb, &settings.aws_prefix, SystemClock::shared(), Entropy::system()))
}

fn print(rest: &SettingsOnly, row: &Value, text: &str) {
    if rest.output.json { println!("{row}") } else { println!("{text}") }
}
