//! Applications and their grants as a stranger might have written them: each is refused, with the name of what is wrong, or
//! survives being written and read again.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event_feed::Grant;
use hostile_inputs::{Item, item_of, json_of, survives, text_of, unnamed_attributes};
use order_model::{MerchantId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::records::{application_item, grant_item, read_application, read_counter, read_grant};
use super::{ApplicationRecord, HashedSecret, Kind, NamedToken, RevokedToken, TokenId};
use crate::modules::{Module, Modules};
use crate::open_delivery::OpenDeliveryVersion;

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn record() -> ApplicationRecord {
    let mut old = HashedSecret::new("old", [2; 16]);
    old.valid_until = Some(START);
    ApplicationRecord {
        id: "app".parse().unwrap(),
        name: "An app".to_owned(),
        kind: Kind::Distributed,
        secrets: vec![old, HashedSecret::new("new", [1; 16])],
        revoked: true,
        not_before: START,
        authorised_from: START,
        revoked_tokens: BTreeSet::from([RevokedToken { id: TokenId::from_bytes([7; 16]), until: START }]),
        modules: Modules::ALL.without([Module::Order, Module::Catalog].into_iter().collect()),
        open_delivery_version: OpenDeliveryVersion::V1_3,
        revision: 7,
        created_at: START,
    }
}

fn grant() -> Grant {
    Grant { merchant: MerchantId::from_bytes([5; 16]), granted_at: START }
}

fn of_grant(grant: Grant) -> Item {
    grant_item(&"app".parse().unwrap(), grant)
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&application_item(&record()), read_application), nothing);
    assert_eq!(unnamed_attributes(&of_grant(grant()), read_grant), nothing);
}

/// A distributed application that passed for a centralised one would be judged by other rules.
#[test]
fn where_permissions_come_from_is_never_guessed() {
    let mut item = application_item(&record());
    for value in [AttributeValue::S("true".to_owned()), AttributeValue::N("1".to_owned()), AttributeValue::Null(true)] {
        item.insert("distributed".to_owned(), value);
        assert!(read_application(&item).unwrap_err().to_string().contains("distributed"));
    }
    item.insert("distributed".to_owned(), AttributeValue::Bool(false));
    assert_eq!(read_application(&item).unwrap().kind, Kind::Centralised);
}

#[test]
fn a_revision_that_cannot_grow_is_refused() {
    let read = |revision: u64| {
        let number = AttributeValue::N(revision.to_string());
        read_counter(&Item::from([("revision".to_owned(), number)]), "revision").ok()
    };
    let last = i64::MAX.unsigned_abs();
    assert_eq!([0, last - 1, last, u64::MAX].map(read), [Some(0), Some(last - 1), None, None]);
}

proptest! {
    #[test]
    fn an_application_is_refused_or_survives(item in item_of(application_item(&record()))) {
        survives(read_application(&item).ok(), |record| read_application(&application_item(record)).ok());
    }

    #[test]
    fn a_grant_is_refused_or_survives(item in item_of(of_grant(grant()))) {
        survives(read_grant(&item).ok(), |grant| read_grant(&of_grant(*grant)).ok());
    }

    /// The token that an operator names: its text says whose it is, and what is no token says nothing.
    #[test]
    fn a_named_token_is_refused_or_bounded(
        payload in json_of(json!({ "sub": "pos", "jti": "01".repeat(16), "exp": 1_795_000_000 })),
        signature in text_of("signature".to_owned()),
    ) {
        let text = format!("head.{}.{signature}", URL_SAFE_NO_PAD.encode(&payload));
        if let Ok(named) = text.parse::<NamedToken>() {
            let sent: Value = serde_json::from_str(&payload).unwrap_or_default();
            prop_assert!(sent.is_null() || sent["sub"] == named.application.as_str());
            prop_assert!(named.token.until <= Timestamp::MAX && !signature.contains('.'));
        }
    }
}
