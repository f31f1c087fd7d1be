//! `comanda merchant add|show`: profiles, straight in the table of merchant-connection; `portal-key`: its secret, in
//! kitchen-api's.

use merchant_connection::profile::{Merchant, Presentation};
use merchant_connection::store::{Store, VersionedProfile};
use order_model::{MerchantId, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::configuration;
use crate::cli::{MerchantCommand, SettingsOnly};
use crate::failure::{Context, Failure};
use crate::platform::aws::AwsClients;
use crate::system_clock::SystemClock;

/// How often a merchant is read again because somebody else has just written it.
const PUT_ATTEMPTS_MAX: usize = 5;

/// Transitions shown with a merchant.
const HISTORY_SHOWN: usize = 20;

/// Adds or shows a merchant.
pub async fn execute(command: MerchantCommand) -> Result<(), Failure> {
    match command {
        MerchantCommand::Add {
            merchant,
            name,
            corporate_name,
            time_zone,
            open_delivery_id,
            coordinates,
            test,
            presentation,
            rest,
        } => {
            let merchant = Merchant {
                id: parse(&merchant)?,
                open_delivery_id,
                name,
                corporate_name: corporate_name.unwrap_or_default(),
                time_zone,
                shifts: Merchant::around_the_clock(),
                interruptions: Vec::new(),
                created_at: SystemClock::shared().now(),
                is_test: test.unwrap_or(false),
                coordinates,
            };
            let presentation = Presentation::from(*presentation);
            merchant.check().and_then(|()| presentation.check()).map_err(|error| Failure::Usage(error.to_string()))?;
            let store = store(&rest).await?;
            let created = put(&store, &merchant, test).await?;
            store.present(merchant.id, &presentation).await.context("writing how the merchant presents itself")?;
            print(&rest, &json!({"merchantId": merchant.id.to_string(), "created": created}), |row| {
                format!(
                    "merchant {} {}",
                    row["merchantId"].as_str().unwrap_or_default(),
                    if created { "added" } else { "changed" }
                )
            });
            Ok(())
        }
        MerchantCommand::PortalKey { merchant, rest } => portal_key(parse(&merchant)?, &rest).await,
        MerchantCommand::Show { merchant, rest } => show(parse(&merchant)?, &rest).await,
    }
}

/// Makes a portal key. The merchant must exist: a key for a mistyped id would be of no use to anybody.
async fn portal_key(merchant: MerchantId, rest: &SettingsOnly) -> Result<(), Failure> {
    if store(rest).await?.profile(merchant).await.context("reading the merchant")?.is_none() {
        return Err(Failure::Failed(format!("merchant {merchant} does not exist")));
    }
    let key = super::app::applications(rest).await?.new_portal_key(merchant).await;
    let key = key.context("writing the portal key")?;
    let row = json!({"merchantId": merchant.to_string(), "portalKey": key.expose_secret()});
    print(rest, &row, |row| {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        format!(
            "merchantId: {}\nportalKey:  {}\nThe key is not shown again; only its hash is stored. A key made before has ended.",
            text("merchantId"),
            text("portalKey")
        )
    });
    Ok(())
}

/// Writes a merchant, whether it is new. One that exists keeps what only its POS sets, its hours and interruptions, and
/// whether it is a test merchant unless `test` says so.
async fn put(store: &Store, given: &Merchant, test: Option<bool>) -> Result<bool, Failure> {
    for _ in 0..PUT_ATTEMPTS_MAX {
        let Some(VersionedProfile { merchant: before, version }) =
            store.versioned_profile(given.id).await.context("reading the merchant")?
        else {
            return store.put_profile(given).await.context("writing the merchant");
        };
        if store.put_profile_at(&changed(before, given, test), version).await.context("writing the merchant")? {
            return Ok(false);
        }
    }
    Err(Failure::Failed("the merchant is being changed all the time; try again".to_owned()))
}

fn changed(before: Merchant, given: &Merchant, test: Option<bool>) -> Merchant {
    Merchant {
        open_delivery_id: given.open_delivery_id.clone().or(before.open_delivery_id),
        corporate_name: Some(given.corporate_name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or(before.corporate_name),
        shifts: before.shifts,
        interruptions: before.interruptions,
        is_test: test.unwrap_or(before.is_test),
        coordinates: given.coordinates.or(before.coordinates),
        ..given.clone()
    }
}

fn parse(text: &str) -> Result<MerchantId, Failure> {
    text.parse().map_err(|error| Failure::Usage(format!("MERCHANT: {error}")))
}

async fn store(rest: &SettingsOnly) -> Result<Store, Failure> {
    let settings = configuration::settings(&rest.settings)?;
    let aws = AwsClients::from_environment(&settings).await;
    Ok(Store::new(aws.dynamodb, &settings.aws_prefix))
}

async fn show(merchant: MerchantId, rest: &SettingsOnly) -> Result<(), Failure> {
    let store = store(rest).await?;
    let Some(profile) = store.profile(merchant).await.context("reading the merchant")? else {
        return Err(Failure::Failed(format!("merchant {merchant} does not exist")));
    };
    let presentation = store.presentation(merchant).await.context("reading how it presents itself")?;
    let history = store.history(merchant, HISTORY_SHOWN, Timestamp::MAX).await.context("reading its history")?;
    let transition = |transition: &merchant_connection::presence::Transition| {
        json!({
            "status": if transition.online { "ONLINE" } else { "OFFLINE" }, "reason": transition.reason.code(),
            "changedAt": transition.changed_at().to_string(), "sequence": transition.sequence,
        })
    };
    let row = json!({
        "merchantId": merchant.to_string(), "name": profile.name, "corporateName": profile.corporate_name,
        "timeZone": profile.time_zone, "presentation": presentation_to_json(&presentation),
        "openDeliveryId": profile.open_delivery_id, "isTest": profile.is_test,
        "coordinates": profile.coordinates.map(|place| place.to_string()), "createdAt": profile.created_at.to_string(),
        "status": if history.first().is_some_and(|last| last.online) { "ONLINE" } else { "OFFLINE" },
        "history": history.iter().map(transition).collect::<Vec<Value>>(),
    });
    print(rest, &row, |row| {
        let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let mut lines =
            vec![format!("{}  {}  {}  {}", text("merchantId"), text("name"), text("timeZone"), text("status"))];
        for one in row["history"].as_array().into_iter().flatten() {
            let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
            lines.push(format!("  {}  {:<8} {}", text("changedAt"), text("status"), text("reason")));
        }
        lines.join("\n")
    });
    Ok(())
}

/// What is known; the rest is null.
fn presentation_to_json(presentation: &Presentation) -> Value {
    let texts = presentation.texts().into_iter().map(|(name, text)| (name.to_owned(), json!(text)));
    let others = [
        ("averageTicketCents".to_owned(), json!(presentation.average_ticket_cents)),
        ("exclusive".to_owned(), json!(presentation.exclusive)),
    ];
    Value::Object(texts.chain(others).collect())
}

fn print(rest: &SettingsOnly, row: &Value, for_people: impl Fn(&Value) -> String) {
    if rest.output.json { println!("{row}") } else { println!("{}", for_people(row)) }
}

#[cfg(test)]
mod tests {
    use merchant_connection::profile::Interruption;

    use super::*;

    #[test]
    fn a_merchant_that_is_added_again_keeps_its_hours_and_closings() {
        let given = Merchant {
            id: parse("11111111-1111-4111-8111-111111111111").unwrap(),
            open_delivery_id: None,
            name: "Nova".to_owned(),
            corporate_name: String::new(),
            time_zone: "America/Manaus".to_owned(),
            shifts: Merchant::around_the_clock(),
            interruptions: Vec::new(),
            created_at: Timestamp::from_unix_ms(2),
            is_test: false,
            coordinates: None,
        };
        let closing = Interruption { id: "i".to_owned(), description: String::new(), start_ms: 1, end_ms: 2 };
        let before = Merchant {
            open_delivery_id: Some("o".repeat(36)),
            name: "Velha".to_owned(),
            corporate_name: "Velha Ltda".to_owned(),
            shifts: Vec::new(),
            interruptions: vec![closing],
            is_test: true,
            coordinates: Some("-23.5,-46.6".parse().unwrap()),
            ..given.clone()
        };
        let expected = Merchant { name: given.name.clone(), ..before.clone() };
        assert_eq!(changed(before.clone(), &given, None), expected);
        let renamed = Merchant { corporate_name: "Nova Ltda".to_owned(), ..given.clone() };
        assert_eq!(changed(before.clone(), &renamed, None).corporate_name, "Nova Ltda");
        let real = Merchant { is_test: false, ..expected };
        assert_eq!(changed(before, &given, Some(false)), real, "only who says so makes it a restaurant's");
    }
}
