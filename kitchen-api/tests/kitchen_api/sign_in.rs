//! Two kitchen-apis on one table, and the steps of a sign-in as the application and the owner take them.

use std::sync::Arc;
use std::time::Duration;

use kitchen_api::store::{AuthorisationId, Kind, UserCode};
use kitchen_api::{Applications, Config, Dependencies, Network, Service};
use local_aws::LocalAws;
use order_model::{ApplicationId, MerchantId};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::applications::{Table, table};
use crate::client::{Answer, Client};
use crate::peers::Peers;
use crate::rig::{TestClock, config, dependencies, eventually};

pub const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
pub const POLL: &str = "/events/v1.0/events:polling";
const TOKEN: &str = "/authentication/v1.0/oauth/token";

/// A form's body. Values are taken as they are.
pub fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Two instances, and an application of each kind: `pos` is distributed, `central` is not.
pub struct SignIn {
    pub table: Opener,
    pub aws: Option<LocalAws>,
    pub peers: Peers,
    pub instances: [Client; 2],
    pub secret: String,
    pub central_secret: String,
    _running: DropGuard,
}

/// The table without the server behind it, which a test may stop.
pub struct Opener {
    pub applications: Applications,
    pub clock: Arc<TestClock>,
}

/// A request that an application has opened.
pub struct Opened {
    pub user_code: String,
    pub verifier: String,
    pub json: Value,
}

pub fn pos() -> ApplicationId {
    "pos".parse().unwrap()
}

impl SignIn {
    pub async fn start() -> Self {
        // Whoever connects from here may say for whom: a test has one address of its own.
        let proxy = Network { address: "127.0.0.1".parse().unwrap(), prefix_bits: 32 };
        let config = Config {
            trusted_proxies: vec![proxy],
            public_url: Some("https://api.example.com/comanda/".to_owned()),
            ..config()
        };
        Self::start_with(config).await
    }

    pub async fn start_with(config: Config) -> Self {
        let Table { aws, applications, clock } = table().await;
        let secret = applications.create_distributed(&pos(), "PDV & Cia").await.unwrap();
        let central = applications.create(&"central".parse().unwrap(), "").await.unwrap();
        let peers = Peers::default();
        let shutdown = CancellationToken::new();
        let mut instances = Vec::new();
        for _ in 0..2 {
            let store = Arc::new(applications.clone());
            let given = dependencies(&peers, store.clone(), clock.clone());
            let given = Dependencies { authorisations: store, ..given };
            let service = Service::build(config.clone(), given).await.unwrap();
            let handle = service.handle();
            tokio::spawn(service.run(shutdown.clone()));
            eventually("it is ready", || handle.readiness().is_ok()).await;
            instances.push(Client::new(handle.address()));
        }
        Self {
            peers,
            instances: instances.try_into().ok().unwrap(),
            secret: secret.expose_secret().to_owned(),
            central_secret: central.expose_secret().to_owned(),
            table: Opener { applications, clock },
            aws: Some(aws),
            _running: shutdown.drop_guard(),
        }
    }

    pub async fn ask_for_user_code(&self, instance: usize, client_id: &str) -> Answer {
        let path = "/authentication/v1.0/oauth/userCode";
        self.instances[instance].send("POST", path, &FORM, form(&[("clientId", client_id)])).await
    }

    pub async fn open(&self, instance: usize) -> Opened {
        let answer = self.ask_for_user_code(instance, "pos").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        Opened { user_code: text("userCode"), verifier: text("authorizationCodeVerifier"), json }
    }

    /// An operator approves; the authorization code and the authorisation.
    pub async fn approve(&self, user_code: &str, merchants: &[MerchantId]) -> (String, AuthorisationId) {
        let code = UserCode::read(user_code).unwrap();
        let approved = self.table.applications.approve(&code, merchants).await.unwrap().unwrap();
        (approved.code.expose_secret().to_owned(), approved.authorisation)
    }

    /// An owner sends the form from `address`.
    pub async fn activate(&self, instance: usize, address: &str, user_code: &str, key: &str) -> Answer {
        let headers = [FORM[0], ("x-forwarded-for", address)];
        let body = form(&[("userCode", user_code), ("portalKey", key)]);
        self.instances[instance].send("POST", "/activate", &headers, body).await
    }

    pub async fn portal_key(&self, merchant: MerchantId) -> String {
        self.table.applications.new_portal_key(merchant).await.unwrap().expose_secret().to_owned()
    }

    pub async fn token(&self, instance: usize, fields: &[(&str, &str)]) -> Answer {
        self.instances[instance].send("POST", TOKEN, &FORM, form(fields)).await
    }

    pub async fn exchange(&self, instance: usize, verifier: &str, code: &str) -> Answer {
        let fields = [
            ("grantType", "authorization_code"),
            ("clientId", "pos"),
            ("clientSecret", self.secret.as_str()),
            ("authorizationCode", code),
            ("authorizationCodeVerifier", verifier),
        ];
        self.token(instance, &fields).await
    }

    pub async fn refresh(&self, instance: usize, token: &str) -> Answer {
        let fields = [
            ("grantType", "refresh_token"),
            ("clientId", "pos"),
            ("clientSecret", self.secret.as_str()),
            ("refreshToken", token),
        ];
        self.token(instance, &fields).await
    }

    /// A whole flow for these merchants: the authorisation, a client of the first instance, and the refresh token.
    pub async fn signed_in(&self, merchants: &[MerchantId]) -> (AuthorisationId, Client, String) {
        let opened = self.open(0).await;
        let (code, authorisation) = self.approve(&opened.user_code, merchants).await;
        let answer = self.exchange(1, &opened.verifier, &code).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let client = self.instances[0].with_token(&access_token(&answer));
        self.until(&client, POLL, 204).await;
        (authorisation, client, refresh_token(&answer))
    }

    /// Within 5 s. Until then an instance may answer 503, if it has not read what is new.
    pub async fn until(&self, client: &Client, path: &str, status: u16) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        loop {
            let answer = client.get(path).await;
            if answer.status == status {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "not {status} within 5 s: {answer:?}");
        }
    }

    pub async fn kind(&self) -> Kind {
        use kitchen_api::store::ApplicationStore;
        self.table.applications.load(&pos()).await.unwrap().unwrap().record.kind
    }
}

pub fn access_token(answer: &Answer) -> String {
    answer.json()["accessToken"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

pub fn refresh_token(answer: &Answer) -> String {
    answer.json()["refreshToken"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

#[track_caller]
pub fn assert_bad_credentials(answer: &Answer, why: &str) {
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (401, "Unauthorized"), "{why}");
    assert_eq!(answer.json()["message"], "Bad credentials", "{why}");
}
