//! Profiles as a peer of another mind might send them: each is refused, or fits and survives being sent again.

use hostile_inputs::{bytes_of, survives};
use order_model::{Coordinates, MerchantId, Timestamp};
use proptest::prelude::*;
use prost::Message;
use proto::merchant_connection as wire;

use super::{Interruption, Merchant, Shift};

fn merchant() -> Merchant {
    let start_ms = 1_795_000_000_000;
    Merchant {
        id: MerchantId::from_bytes([1; 16]),
        open_delivery_id: Some("22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824".to_owned()),
        name: "Cantina".to_owned(),
        corporate_name: "Cantina Ltda".to_owned(),
        time_zone: "America/Sao_Paulo".to_owned(),
        shifts: vec![Shift { day_of_week: 7, start_minute: 1_380, duration_minutes: 120 }],
        interruptions: vec![Interruption {
            id: "i".to_owned(),
            description: "inventory".to_owned(),
            start_ms,
            end_ms: start_ms + 3_600_000,
        }],
        created_at: Timestamp::from_unix_ms(start_ms),
        is_test: true,
        coordinates: Coordinates::from_microdegrees(-23_561_414, -46_655_881),
    }
}

fn read(wire: &wire::Merchant) -> Option<Merchant> {
    Merchant::try_from(wire).ok()
}

fn extreme() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0..8u32, Just(1_440), Just(u32::MAX)]
}

fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0), Just(Timestamp::MAX.unix_ms())]
}

proptest! {
    #[test]
    fn a_profile_is_refused_or_survives(bytes in bytes_of(wire::Merchant::from(&merchant()).encode_to_vec())) {
        let profile = wire::Merchant::decode(&bytes[..]).ok().and_then(|wire| read(&wire));
        if let Some(merchant) = &profile {
            let overlaps = merchant.overlap().is_some();
            prop_assert_eq!(merchant.check().is_err(), overlaps, "its fields fit");
        }
        survives(profile, |merchant| read(&wire::Merchant::from(merchant)));
    }

    #[test]
    fn no_shift_and_no_closing_is_too_extreme_to_be_judged(
        shifts in prop::collection::vec((extreme(), extreme(), extreme()), 0..4),
        closings in prop::collection::vec((instant(), instant()), 0..4),
    ) {
        let shift = |(day_of_week, start_minute, duration_minutes)| wire::Shift {
            day_of_week,
            start_minute,
            duration_minutes,
        };
        let closing = |(number, (start_ms, end_ms)): (usize, (i64, i64))| wire::Interruption {
            id: number.to_string(),
            start_ms,
            end_ms,
            ..wire::Interruption::default()
        };
        let sent = wire::Merchant {
            shifts: shifts.into_iter().map(shift).collect(),
            interruptions: closings.into_iter().enumerate().map(closing).collect(),
            ..wire::Merchant::from(&merchant())
        };
        let read = Merchant::try_from(&sent);
        if let Ok(merchant) = &read {
            let fits = |shift: &Shift| (1..=7).contains(&shift.day_of_week) && shift.start_minute < 1_440;
            prop_assert!(merchant.shifts.iter().all(fits));
            prop_assert!(merchant.interruptions.iter().all(|one| one.start_ms < one.end_ms));
            merchant.overlap();
        }
    }
}
