//! The table of applications against a real DynamoDB in this process.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kitchen_api::store::{ApplicationStore, REVOKED_TOKENS_MAX, RevokedToken, Rotation, StoreError, TokenId};
use kitchen_api::{Applications, Entropy, Modules, OpenDeliveryVersion, create_tables};
use local_aws::LocalAws;
use order_model::{ApplicationId, Clock, MerchantId, Timestamp};
use secrecy::ExposeSecret;

use crate::rig::TestClock;

pub struct Table {
    pub aws: LocalAws,
    pub applications: Applications,
    pub clock: std::sync::Arc<TestClock>,
}

pub async fn table() -> Table {
    let aws = LocalAws::start(local_aws::Config::default()).unwrap();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(aws.endpoint())
        .build();
    let client = Client::from_conf(config);
    for _ in 0..2 {
        create_tables(&client, "t-").await.unwrap();
    }
    let clock = TestClock::new();
    let applications = Applications::new(client, "t-", clock.clone(), Entropy::system());
    Table { aws, applications, clock }
}

fn id(text: &str) -> ApplicationId {
    text.parse().unwrap()
}

fn merchants(numbers: std::ops::Range<u128>) -> Vec<MerchantId> {
    numbers.map(|number| MerchantId::from_bytes(number.to_be_bytes())).collect()
}

#[tokio::test]
async fn an_application_is_created_once_and_its_secret_is_stored_hashed() {
    let table = table().await;
    let applications = &table.applications;
    let secret = applications.create(&id("app"), "An app").await.unwrap();
    assert!(secret.expose_secret().len() >= 43, "256 bits");
    let stored = applications.load(&id("app")).await.unwrap().unwrap();
    assert_eq!((stored.record.name.as_str(), stored.record.revision, stored.record.revoked), ("An app", 1, false));
    assert!(stored.record.secrets[0].matches(secret.expose_secret(), table.clock.now()));
    assert!(!format!("{stored:?}").contains(secret.expose_secret()));
    let again = applications.create(&id("app"), "Again").await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyExists(_)) && !again.is_retryable());
    assert_eq!(applications.load(&id("nobody")).await.unwrap(), None);
    let unknown = applications.grant(&id("nobody"), &merchants(0..1)).await.unwrap_err();
    assert!(matches!(unknown, StoreError::UnknownApplication(_)));
    table.aws.shutdown().await;
}

#[tokio::test]
async fn grants_keep_their_date_and_every_change_is_announced_in_order() {
    let table = table().await;
    let applications = &table.applications;
    applications.create(&id("one"), "").await.unwrap();
    applications.create(&id("two"), "").await.unwrap();
    assert_eq!(applications.grant(&id("one"), &merchants(0..2)).await.unwrap(), 2);
    let granted = applications.load(&id("one")).await.unwrap().unwrap().grants;
    table.clock.jump(Duration::from_secs(60));
    assert_eq!(applications.grant(&id("one"), &merchants(0..3)).await.unwrap(), 1, "two were granted before");
    let after = applications.load(&id("one")).await.unwrap().unwrap();
    assert!(granted.iter().all(|grant| after.grants.contains(grant)), "and keep their date");
    assert_eq!((after.grants.len(), after.record.revision), (3, 4));
    applications.take_back(&id("one"), &merchants(1..2)).await.unwrap();
    let changes = applications.changes_after(0).await.unwrap();
    let announced: Vec<(u64, &str)> =
        changes.iter().map(|change| (change.revision, change.application.as_str())).collect();
    assert_eq!(announced, [(1, "one"), (2, "two"), (3, "one"), (4, "one"), (5, "one")]);
    assert_eq!(applications.changes_after(4).await.unwrap().len(), 1);
    assert_eq!(applications.head().await.unwrap(), 5);
    let list = applications.list().await.unwrap();
    assert_eq!((list.len(), list[0].grants.len(), list[1].grants.len()), (2, 2, 0));
    table.aws.shutdown().await;
}

#[tokio::test]
async fn many_grants_are_one_announced_change() {
    let table = table().await;
    let applications = &table.applications;
    applications.create_with_secret(&id("chain"), "", "dev-secret").await.unwrap();
    assert_eq!(applications.grant(&id("chain"), &merchants(0..1_000)).await.unwrap(), 1_000);
    assert_eq!(applications.head().await.unwrap(), 2);
    let stored = applications.load(&id("chain")).await.unwrap().unwrap();
    assert_eq!((stored.grants.len(), stored.record.revision), (1_000, 2));
    table.aws.shutdown().await;
}

#[tokio::test]
async fn rotating_keeps_the_previous_secret_for_a_while_or_ends_everything() {
    let table = table().await;
    let applications = &table.applications;
    let first = applications.create(&id("app"), "").await.unwrap();
    let second = applications.rotate(&id("app"), Rotation::KeepPreviousFor(Duration::from_secs(60))).await.unwrap();
    let takes = |stored: &kitchen_api::store::StoredApplication, secret: &secrecy::SecretString| {
        stored.record.secrets.iter().any(|known| known.matches(secret.expose_secret(), table.clock.now()))
    };
    let stored = applications.load(&id("app")).await.unwrap().unwrap();
    assert!(takes(&stored, &first) && takes(&stored, &second));
    table.clock.jump(Duration::from_secs(61));
    assert!(!takes(&stored, &first) && takes(&stored, &second));
    applications.revoke(&id("app")).await.unwrap();
    let stored = applications.load(&id("app")).await.unwrap().unwrap();
    assert!(stored.record.revoked && stored.record.not_before > stored.record.created_at);
    let third = applications.rotate(&id("app"), Rotation::Immediately).await.unwrap();
    let stored = applications.load(&id("app")).await.unwrap().unwrap();
    assert!(!stored.record.revoked && !takes(&stored, &second) && takes(&stored, &third));
    table.aws.shutdown().await;
}

#[tokio::test]
async fn the_version_of_open_delivery_is_announced_and_survives_other_changes() {
    let table = table().await;
    let applications = &table.applications;
    applications.create(&id("app"), "").await.unwrap();
    let stored = applications.load(&id("app")).await.unwrap().unwrap();
    assert_eq!(stored.record.open_delivery_version, OpenDeliveryVersion::V1_7);
    for version in OpenDeliveryVersion::ALL {
        let before = applications.head().await.unwrap();
        applications.set_open_delivery_version(&id("app"), version).await.unwrap();
        let changes = applications.changes_after(before).await.unwrap();
        assert!(changes.len() == 1 && changes[0].application == id("app"), "{changes:?}");
        applications.rotate(&id("app"), Rotation::Immediately).await.unwrap();
        let stored = applications.load(&id("app")).await.unwrap().unwrap();
        assert_eq!(stored.record.open_delivery_version, version);
    }
    applications.create_distributed(&id("distributed"), "").await.unwrap();
    let refused = applications.set_open_delivery_version(&id("distributed"), OpenDeliveryVersion::V1_3).await;
    assert!(matches!(refused, Err(StoreError::Distributed(_))), "it gets no token here");
    let unknown = applications.set_open_delivery_version(&id("nobody"), OpenDeliveryVersion::V1_3).await;
    assert!(matches!(unknown, Err(StoreError::UnknownApplication(_))));
    table.aws.shutdown().await;
}

#[tokio::test]
async fn tokens_are_taken_back_one_by_one_until_they_have_ended_by_themselves() {
    let table = table().await;
    let applications = &table.applications;
    let in_an_hour = table.clock.now().plus(Duration::from_secs(3_600));
    // Whole seconds, as in the table.
    let until = Timestamp::from_unix_ms(in_an_hour.unix_s_ceil() * 1_000);
    let token = |number: u8, until| RevokedToken { id: TokenId::from_bytes([number; 16]), until };
    let revoked = async || applications.load(&id("app")).await.unwrap().unwrap().record.revoked_tokens;
    let unknown = applications.revoke_token(&id("app"), token(0, until)).await;
    assert!(matches!(unknown, Err(StoreError::UnknownApplication(_))), "{unknown:?}");
    applications.create(&id("app"), "").await.unwrap();
    let before = applications.head().await.unwrap();
    let (app, first, second) = (id("app"), token(0, until), token(1, until));
    let (one, other) = tokio::join!(applications.revoke_token(&app, first), applications.revoke_token(&app, second));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(revoked().await, BTreeSet::from([first, second]), "at the same time, and none is lost");
    assert_eq!(applications.changes_after(before).await.unwrap().len(), 2, "each is announced");
    applications.rotate(&id("app"), Rotation::Immediately).await.unwrap();
    assert_eq!(revoked().await.len(), 2, "another change leaves them as they are");

    for number in 2..REVOKED_TOKENS_MAX as u8 {
        applications.revoke_token(&id("app"), token(number, until)).await.unwrap();
    }
    let full = applications.revoke_token(&id("app"), token(200, until)).await;
    assert!(matches!(full, Err(StoreError::RevokedTokens { most: REVOKED_TOKENS_MAX })), "{full:?}");
    applications.revoke_token(&id("app"), first).await.unwrap();
    table.clock.jump(Duration::from_secs(3_602));
    let later = token(200, table.clock.now().plus(Duration::from_secs(60)));
    applications.revoke_token(&id("app"), later).await.unwrap();
    assert_eq!(
        revoked().await.iter().map(|token| token.id).collect::<Vec<_>>(),
        [later.id],
        "those that have ended make room"
    );
    table.aws.shutdown().await;
}

#[tokio::test]
async fn modules_are_taken_and_given_by_several_at_the_same_time_and_none_of_it_is_lost() {
    let table = table().await;
    let applications = &table.applications;
    let (app, all) = (id("app"), Modules::ALL);
    let [catalog, shipping] = ["catalog", "shipping"].map(|name| name.parse::<Modules>().unwrap());
    for unknown in [applications.modules(&app).await, applications.revoke_modules(&app, catalog).await] {
        assert!(matches!(unknown, Err(StoreError::UnknownApplication(_))), "{unknown:?}");
    }
    applications.create(&app, "").await.unwrap();
    assert_eq!(applications.modules(&app).await.unwrap(), all, "nobody said anything else");
    let before = applications.head().await.unwrap();
    let (one, other) =
        tokio::join!(applications.revoke_modules(&app, catalog), applications.revoke_modules(&app, shipping));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(applications.modules(&app).await.unwrap(), all.without(catalog).without(shipping));
    assert_eq!(applications.changes_after(before).await.unwrap().len(), 2, "each is announced");
    applications.rotate(&app, Rotation::Immediately).await.unwrap();
    let stored = applications.load(&app).await.unwrap().unwrap().record.modules;
    assert_eq!(stored, all.without(catalog).without(shipping), "another change leaves them as they are");

    assert_eq!(applications.grant_modules(&app, catalog).await.unwrap(), all.without(shipping));
    assert_eq!(applications.revoke_modules(&app, all).await.unwrap(), Modules::NONE, "also the last one");
    for _ in 0..2 {
        assert_eq!(applications.grant_modules(&app, all).await.unwrap(), all, "also where there is none to give");
    }
    let before = applications.head().await.unwrap();
    assert_eq!(applications.revoke_modules(&app, Modules::NONE).await.unwrap(), all);
    assert_eq!(applications.head().await.unwrap(), before, "nothing was asked for");
    table.aws.shutdown().await;
}

#[tokio::test]
async fn administrators_at_the_same_time_lose_nothing() {
    let table = table().await;
    let applications = &table.applications;
    applications.create(&id("app"), "").await.unwrap();
    let grants = (0..8u128).map(|number| {
        let applications = applications.clone();
        async move { applications.grant(&id("app"), &merchants(number..number + 1)).await }
    });
    for granted in futures::future::join_all(grants).await {
        assert_eq!(granted.unwrap(), 1);
    }
    assert_eq!(applications.load(&id("app")).await.unwrap().unwrap().grants.len(), 8);
    assert_eq!(applications.head().await.unwrap(), 9);
    table.aws.shutdown().await;
}
