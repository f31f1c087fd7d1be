//! What production roles must be given and `dev` makes up: keys, and credentials that are not the development ones.

use std::collections::BTreeMap;

use order_model::EventIdKey;
use secrecy::SecretString;

use crate::cli::Role;
use crate::settings::typed::DEV_EVENT_ID_KEY;
use crate::settings::{Origin, Problem, Settings};

/// The secrets of production roles. Roles that need no tokens have none.
pub struct ProductionSecrets {
    /// Event ids.
    pub event_id_key: EventIdKey,
    /// Signs tokens; only kitchen-api has one.
    pub token_signing_key: Option<SecretString>,
}

impl ProductionSecrets {
    /// What `roles` need, out of the settings.
    ///
    /// # Errors
    /// With every secret that is missing or a development one.
    pub fn for_roles(
        settings: &Settings,
        roles: &[Role],
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut refuse = |key: &str, message: String| {
            problems.push(Problem { origin: Origin::Default, key: key.to_owned(), message });
        };
        let needs_tokens = roles.contains(&Role::KitchenApi);
        let event_id_key = settings.event_id_key;
        match event_id_key {
            None => refuse("event_id_key", "is missing: set COMANDA_EVENT_ID_KEY or COMANDA_EVENT_ID_KEY_FILE to 32 hexadecimal digits, such as from `openssl rand -hex 16`".to_owned()),
            Some(key) if key == dev_event_id_key() => refuse("event_id_key", "is the development key: production needs one of its own".to_owned()),
            Some(_) => {}
        }
        if needs_tokens && settings.webhooks_allow_loopback {
            refuse(
                "webhooks_allow_loopback",
                "is for `dev` only: whoever sets a webhook would reach this machine".to_owned(),
            );
        }
        if needs_tokens {
            match &settings.token_signing_key {
                None => refuse("token_signing_key", "is missing: set COMANDA_TOKEN_SIGNING_KEY_FILE to a PKCS#8 PEM file, such as from `openssl genpkey -algorithm ed25519`".to_owned()),
                Some(key) if kitchen_api::oauth::check_signing_key(key).is_err() => {
                    refuse("token_signing_key", "expected an Ed25519 private key in PKCS#8 PEM".to_owned());
                }
                Some(_) => {}
            }
        }
        let is_aws = settings.aws_endpoint.is_none();
        let is_dev =
            |name: &str| environment.get(name).is_some_and(|value| value == "test" || value.starts_with("dev-"));
        if is_aws && (is_dev("AWS_ACCESS_KEY_ID") || is_dev("AWS_SECRET_ACCESS_KEY")) {
            refuse(
                "AWS_ACCESS_KEY_ID",
                "are development credentials, and no AWS_ENDPOINT_URL is set: AWS itself would refuse them".to_owned(),
            );
        }
        match event_id_key {
            Some(event_id_key) if problems.is_empty() => {
                Ok(Self { event_id_key, token_signing_key: settings.token_signing_key.clone() })
            }
            _ => Err(problems),
        }
    }
}

/// The event id key of `dev`.
pub fn dev_event_id_key() -> EventIdKey {
    let mut bytes = [0; 16];
    hex::decode_to_slice(DEV_EVENT_ID_KEY, &mut bytes).expect("the development key is 32 hexadecimal digits");
    EventIdKey::from_bytes(bytes)
}
