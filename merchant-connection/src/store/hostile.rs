//! Items as a stranger might have written them: each is refused, with the name of what is wrong, or survives being written
//! and read again.

use hostile_inputs::{item_of, survives, unnamed_attributes};
use order_model::{Coordinates, MerchantId, Timestamp};
use proptest::prelude::*;

use super::presence::{history_item, online_item, stored_presence, transition_of};
use super::{Item, VersionedProfile, presentations, profiles};
use crate::presence::{Transition, TransitionReason};
use crate::profile::{Address, Interruption, Merchant, Presentation};

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn profile() -> VersionedProfile {
    let end_ms = START.unix_ms() + 3_600_000;
    let merchant = Merchant {
        id: MerchantId::from_bytes([1; 16]),
        open_delivery_id: Some("22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824".to_owned()),
        name: "Cantina".to_owned(),
        corporate_name: "Cantina Ltda".to_owned(),
        time_zone: "America/Sao_Paulo".to_owned(),
        shifts: Merchant::around_the_clock(),
        interruptions: vec![Interruption {
            id: "i".to_owned(),
            description: "inventory".to_owned(),
            start_ms: START.unix_ms(),
            end_ms,
        }],
        created_at: START,
        is_test: true,
        coordinates: Coordinates::from_microdegrees(-23_561_414, -46_655_881),
    };
    VersionedProfile { merchant, version: 7 }
}

fn presentation() -> Presentation {
    let some = |text: &str| Some(text.to_owned());
    Presentation {
        description: some("Pizza"),
        average_ticket_cents: Some(5_000),
        exclusive: Some(true),
        address: Address { country: some("BR"), postal_code: some("01310-100"), ..Address::default() },
    }
}

fn transition() -> Transition {
    Transition {
        merchant: MerchantId::from_bytes([1; 16]),
        online: false,
        reason: TransitionReason::Silence,
        changed_at_ms: START.unix_ms(),
        last_heartbeat_at_ms: START.unix_ms() - 120_000,
        sequence: 4,
    }
}

fn profile_item(stored: &VersionedProfile) -> Item {
    profiles::to_item(&stored.merchant, stored.version)
}

fn presentation_item(given: &Presentation) -> Item {
    presentations::attributes(given).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&profile_item(&profile()), profiles::from_item), nothing);
    assert_eq!(unnamed_attributes(&presentation_item(&presentation()), presentations::from_item), nothing);
    assert_eq!(unnamed_attributes(&history_item(&transition()), transition_of), nothing);
    assert_eq!(unnamed_attributes(&online_item(MerchantId::from_bytes([1; 16]), START), stored_presence), nothing);
}

/// What is written only where it says something is refused where it says it in another way: a guess would be written back.
#[test]
fn an_attribute_of_another_type_is_never_an_absent_one() {
    let retyped = |mut item: Item, name: &str| {
        item.insert(name.to_owned(), super::number(1));
        item
    };
    for name in ["openDeliveryId", "isTest", "coordinates"] {
        assert!(profiles::from_item(&retyped(profile_item(&profile()), name)).is_err(), "{name}");
    }
    assert!(presentations::from_item(&retyped(presentation_item(&presentation()), "exclusive")).is_err());
}

proptest! {
    #[test]
    fn a_profile_is_refused_or_survives(item in item_of(profile_item(&profile()))) {
        let read = profiles::from_item(&item).ok();
        survives(read, |stored| profiles::from_item(&profile_item(stored)).ok());
    }

    #[test]
    fn a_presentation_is_refused_or_survives(item in item_of(presentation_item(&presentation()))) {
        let read = presentations::from_item(&item).ok();
        survives(read, |given| presentations::from_item(&presentation_item(given)).ok());
    }

    #[test]
    fn a_transition_is_refused_or_survives(item in item_of(history_item(&transition()))) {
        survives(transition_of(&item).ok(), |transition| transition_of(&history_item(transition)).ok());
    }

    #[test]
    fn a_merchants_last_transition_is_refused_or_survives(
        item in item_of(online_item(MerchantId::from_bytes([1; 16]), START)),
    ) {
        if let Ok(stored) = stored_presence(&item) {
            survives(Some(stored.last), |transition| transition_of(&history_item(transition)).ok());
        }
    }
}
