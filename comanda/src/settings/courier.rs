//! The tariff of the platform's couriers.
//!
//! Read by [`super::typed`] with everything else. Without its two fees there is none, and the platform offers no couriers; one fee
//! alone is a mistake. `dev` has one of its own, so that a newcomer sees a quote.

use std::time::Duration;

use kitchen_api::CourierTariff;

use super::typed::Reader;

/// The longest way that may be set, in kilometres: across the largest city.
const DISTANCE_MAX_KM: u64 = 200;
/// The longest time that may be set for a way, and for one kilometre of it, in minutes.
const MINUTES_MAX: u64 = 24 * 60;
/// How long a quote may hold.
const VALIDITY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(7 * 24 * 3600));
/// The highest fee that may be set, in cents.
const FEE_MAX_CENTS: u64 = 100_000;

/// What `dev` charges when nothing is set.
pub fn dev_tariff() -> CourierTariff {
    CourierTariff {
        base_fee_cents: 499,
        fee_per_km_cents: 150,
        distance_max_km: 10,
        minutes_base: 15,
        minutes_per_km: 3,
        quote_validity: Duration::from_secs(24 * 3600),
    }
}

/// Reads it; what is wrong is told to `reader`.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<CourierTariff> {
    let fees = (fee(reader, "courier_base_fee"), fee(reader, "courier_fee_per_km"));
    let below_u32 = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let tariff = CourierTariff {
        base_fee_cents: fees.0.unwrap_or_default(),
        fee_per_km_cents: fees.1.unwrap_or_default(),
        distance_max_km: below_u32(reader.number("courier_distance_max_km", 1, DISTANCE_MAX_KM)),
        minutes_base: below_u32(reader.number("courier_minutes_base", 0, MINUTES_MAX)),
        minutes_per_km: below_u32(reader.number("courier_minutes_per_km", 0, MINUTES_MAX)),
        quote_validity: reader.duration("courier_quote_validity", VALIDITY.0, VALIDITY.1),
    };
    match (reader.text("courier_base_fee"), reader.text("courier_fee_per_km")) {
        (Some(_), Some(_)) => Some(tariff),
        (None, None) => None,
        (Some(_), None) => reader.refuse("courier_fee_per_km", "is needed because courier_base_fee is set"),
        (None, Some(_)) => reader.refuse("courier_base_fee", "is needed because courier_fee_per_km is set"),
    }
}

fn fee(reader: &mut Reader<'_>, key: &str) -> Option<u64> {
    let text = reader.text(key)?;
    match CourierTariff::cents(text.trim()) {
        Some(cents) if cents <= FEE_MAX_CENTS => Some(cents),
        Some(_) | None => {
            reader.refuse(key, "expected an amount from 0 to 1000 with at most two decimals, such as 7.50")
        }
    }
}
