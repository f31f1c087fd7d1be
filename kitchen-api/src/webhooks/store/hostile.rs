//! Webhooks, deliveries and heads of POSes' documents as a stranger might have written them: each is refused, with the name of
//! what is wrong, or survives being written and read again.

use std::time::Duration;

use hostile_inputs::{Item, item_of, survives, unnamed_attributes};
use order_model::Timestamp;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{delivery_item, pos_menus, subscriptions};
use crate::pos_menu::tests::onboarded;
use crate::pos_menu::{PosMenu, StoredDocument};
use crate::webhooks::delivery::tests::delivery;
use crate::webhooks::delivery::{Attempt, DeathReason, Delivery, Finished, Policy, State};
use crate::webhooks::dialect::Dialect;
use crate::webhooks::schedule::Outcome;
use crate::webhooks::subscription::tests::subscription;
use crate::webhooks::subscription::{PauseReason, Subscription};

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

/// One that was tried and is dead, with everything that a delivery can have.
fn dead() -> Delivery {
    let attempt = Attempt { at: START, latency_ms: 3, status: Some(500), result: "ANSWERED".to_owned() };
    let state = State::Dead { at: START, reason: DeathReason::Expired };
    Delivery { state, began_at: Some(START), failures: 2, attempts: vec![attempt], ..delivery(1) }
}

fn webhook() -> Subscription {
    let previous_secret = Some((SecretString::from("old".to_owned()), START));
    let paused = Some((PauseReason::Failing, START));
    Subscription { previous_secret, paused, resumed_at: Some(START), ..subscription(Dialect::Standard) }
}

fn menu() -> PosMenu {
    let mut menu = onboarded();
    menu.succeeded(StoredDocument { generation: "g".to_owned(), parts: 2, stored_at: START }, 500, START);
    menu.endpoints.orders_webhook_url = Some("https://pos.example.com/".to_owned());
    menu.more_info = Some("why".to_owned());
    menu
}

/// All there is of a webhook, secrets included: they are shown by no `Debug`.
fn parts(webhook: &Subscription) -> (String, String, Option<String>) {
    let previous = webhook.previous_secret.as_ref().map(|(secret, _)| secret.expose_secret().to_owned());
    (format!("{webhook:?}"), webhook.secret.expose_secret().to_owned(), previous)
}

fn parts_of_menu(menu: &PosMenu) -> (String, Option<String>) {
    (format!("{menu:?}"), menu.endpoints.api_key.as_ref().map(|key| key.expose_secret().to_owned()))
}

fn of(delivery: &Delivery) -> Item {
    delivery_item::write(delivery, START)
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&of(&dead()), delivery_item::read), nothing);
    assert_eq!(unnamed_attributes(&subscriptions::write(&webhook()), subscriptions::read), nothing);
    assert_eq!(unnamed_attributes(&pos_menus::write(&menu()), pos_menus::read), nothing);
}

/// A version is written by whoever adds one to it: the last number there is has no next.
#[test]
fn a_version_that_cannot_grow_is_refused() {
    let last = i64::MAX.unsigned_abs();
    for (version, is_read) in [(1, true), (last - 1, true), (last, false), (u64::MAX, false)] {
        assert_eq!(delivery_item::read(&of(&Delivery { version, ..dead() })).is_ok(), is_read, "{version}");
        assert_eq!(subscriptions::read(&subscriptions::write(&Subscription { version, ..webhook() })).is_ok(), is_read);
        assert_eq!(pos_menus::read(&pos_menus::write(&PosMenu { version, ..menu() })).is_ok(), is_read);
    }
}

proptest! {
    /// What is read can also be worked on: whatever was counted before, a failure is counted and the version grows.
    #[test]
    fn a_delivery_is_refused_or_survives(item in prop_oneof![item_of(of(&dead())), item_of(of(&delivery(1)))]) {
        let read = delivery_item::read(&item).ok();
        if let Some(mut delivery) = read.clone() {
            let version = delivery.version;
            let attempt =
                Finished { at: START, latency: Duration::MAX, outcome: Outcome::Answered(500), is_acknowledged: true };
            delivery.finish(&attempt, &Policy { dialect: Dialect::IFood, resumed_at: None }, START, u64::MAX);
            prop_assert!(delivery.version == version + 1 && delivery.failures > 0);
        }
        survives(read, |delivery| delivery_item::read(&of(delivery)).ok());
    }

    #[test]
    fn a_webhook_is_refused_or_survives(item in item_of(subscriptions::write(&webhook()))) {
        if let Ok(read) = subscriptions::read(&item) {
            let again = subscriptions::read(&subscriptions::write(&read)).unwrap();
            prop_assert_eq!(parts(&again), parts(&read));
            let changed = read.resume(START).or_else(|| read.pause(PauseReason::Failing, START)).unwrap();
            prop_assert_eq!(changed.version, read.version + 1);
        }
    }

    #[test]
    fn a_head_of_a_document_is_refused_or_survives(item in item_of(pos_menus::write(&menu()))) {
        if let Ok(mut read) = pos_menus::read(&item) {
            let again = pos_menus::read(&pos_menus::write(&read)).unwrap();
            prop_assert_eq!(parts_of_menu(&again), parts_of_menu(&read));
            let version = read.version;
            read.failed("why".to_owned(), START);
            prop_assert!(read.version == version + 1 && read.due_at > Some(START));
        }
    }
}
