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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layers;
    use crate::settings::layers::Sources;

    const EVENT_ID_KEY: &str = "00112233445566778899aabbccddeeff";

    /// What is found wrong with `changes` to settings and an environment that are fit for production, by key.
    fn refused(roles: &[Role], changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let signing_key = kitchen_api::generate_signing_key().unwrap();
        let fit = [
            ("COMANDA_EVENT_ID_KEY", EVENT_ID_KEY),
            ("COMANDA_TOKEN_SIGNING_KEY", secrecy::ExposeSecret::expose_secret(&signing_key)),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "a secret of its own"),
        ];
        // An empty value is as none.
        let all = fit.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: BTreeMap<String, String> = all.collect();
        let sources = Sources {
            file: None,
            environment: &environment,
            flags: &BTreeMap::new(),
            read_file: &|_| Err(std::io::ErrorKind::NotFound.into()),
        };
        let settings = Settings::from_layers(&Layers::read(&sources).unwrap()).unwrap();
        let Err(problems) = ProductionSecrets::for_roles(&settings, roles, &environment) else { return Vec::new() };
        problems.into_iter().map(|problem| (problem.key, problem.message)).collect()
    }

    fn keys(found: &[(String, String)]) -> Vec<&str> {
        found.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn settings_of_their_own_are_taken() {
        assert!(refused(&[Role::KitchenApi, Role::GatewayCore], &[]).is_empty());
    }

    #[test]
    fn what_is_missing_is_named_all_at_once() {
        let nothing = [("COMANDA_EVENT_ID_KEY", ""), ("COMANDA_TOKEN_SIGNING_KEY", "")];
        assert_eq!(keys(&refused(&[Role::KitchenApi], &nothing)), ["event_id_key", "token_signing_key"]);
        assert_eq!(keys(&refused(&[Role::GatewayCore], &nothing)), ["event_id_key"], "only kitchen-api signs");
    }

    #[test]
    fn the_development_event_key_is_refused() {
        let found = refused(&[Role::GatewayCore], &[("COMANDA_EVENT_ID_KEY", DEV_EVENT_ID_KEY)]);
        assert_eq!(keys(&found), ["event_id_key"]);
        assert!(found[0].1.contains("is the development key"), "{found:?}");
    }

    #[test]
    fn webhooks_to_this_machine_are_refused_where_webhooks_are_sent() {
        let loopback = [("COMANDA_WEBHOOKS_ALLOW_LOOPBACK", "true")];
        assert_eq!(keys(&refused(&[Role::KitchenApi], &loopback)), ["webhooks_allow_loopback"]);
        assert!(refused(&[Role::GatewayCore], &loopback).is_empty());
    }

    #[test]
    fn a_signing_key_that_is_none_is_refused_without_being_shown() {
        let found = refused(&[Role::KitchenApi], &[("COMANDA_TOKEN_SIGNING_KEY", "hunter2")]);
        assert_eq!(keys(&found), ["token_signing_key"]);
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn development_credentials_are_refused_by_aws_itself_and_nowhere_else() {
        for credentials in [
            [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")],
            [("AWS_ACCESS_KEY_ID", "dev-access"), ("AWS_SECRET_ACCESS_KEY", "its own")],
            [("AWS_ACCESS_KEY_ID", "its own"), ("AWS_SECRET_ACCESS_KEY", "dev-secret")],
        ] {
            assert_eq!(keys(&refused(&[Role::GatewayCore], &credentials)), ["AWS_ACCESS_KEY_ID"], "{credentials:?}");
            let emulated = [&credentials[..], &[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]].concat();
            assert!(refused(&[Role::GatewayCore], &emulated).is_empty(), "{credentials:?}");
        }
    }
}
