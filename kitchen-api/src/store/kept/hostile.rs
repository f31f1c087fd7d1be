//! What is remembered of requests, as a stranger might have written it: each item is refused, with the name of what is wrong, or
//! survives being written and read again.

use std::time::Duration;

use hostile_inputs::{item_of, survives, unnamed_attributes};
use order_model::{MerchantId, OrderId, Timestamp};
use proptest::prelude::*;

use super::answers::{KeptAnswer, Progress, Remembered};
use super::quotes::Quote;
use super::slots::Slot;
use super::{answers, quotes, slots};

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);
const UNDER: [u8; 32] = [7; 32];

fn answered() -> Remembered {
    let answer = KeptAnswer { status: 201, content_type: "application/json".to_owned(), body: b"{}".to_vec() };
    Remembered {
        fingerprint: [1; 32],
        scope: [4; 32],
        effect: [2; 16],
        holder: [3; 16],
        progress: Progress::Answered(answer),
        kept_until: START,
    }
}

fn held() -> Remembered {
    Remembered { progress: Progress::Held { until: START }, ..answered() }
}

fn quote() -> Quote {
    Quote {
        id: "00000000-0000-8000-8000-000000000007".to_owned(),
        application: "pos".parse().unwrap(),
        merchant: MerchantId::from_bytes([5; 16]),
        distance_m: 3_210,
        fee_cents: 899,
        within: Duration::from_secs(1_800),
        valid_until: START,
    }
}

fn slot() -> Slot {
    Slot { number: 7, order: OrderId::from_bytes([5; 16]), placed_at: START }
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&answers::item(&UNDER, &held()), answers::read), nothing);
    assert_eq!(unnamed_attributes(&quotes::item(&quote()), quotes::read), nothing);
    assert_eq!(unnamed_attributes(&slots::item(&UNDER, slot()), slots::read), nothing);
    // An item without a status is one that is still being answered, and says until when.
    let unnamed = unnamed_attributes(&answers::item(&UNDER, &answered()), answers::read);
    assert!(unnamed.iter().all(|unnamed| unnamed.starts_with("status: ") && unnamed.contains("held_until_ms")));
}

proptest! {
    #[test]
    fn what_is_remembered_is_refused_or_survives(
        item in prop_oneof![item_of(answers::item(&UNDER, &answered())), item_of(answers::item(&UNDER, &held()))],
    ) {
        survives(answers::read(&item).ok(), |what| answers::read(&answers::item(&UNDER, what)).ok());
    }

    #[test]
    fn a_quote_is_refused_or_survives(item in item_of(quotes::item(&quote()))) {
        survives(quotes::read(&item).ok(), |quote| quotes::read(&quotes::item(quote)).ok());
    }

    #[test]
    fn a_slot_is_refused_or_survives(item in item_of(slots::item(&UNDER, slot()))) {
        survives(slots::read(&item).ok(), |slot| slots::read(&slots::item(&UNDER, *slot)).ok());
    }
}
