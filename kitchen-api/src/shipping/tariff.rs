//! What the platform's couriers cost and how long they take: the tariff, and what it makes of a distance.
//!
//! A plain value in the service's settings. Pure: money is whole cents, distances whole metres. Discounts and surcharges are
//! deliberately absent: nobody of ours grants or asks for one.

use std::time::Duration;

use crate::catalog::money::Money;

/// Between the earliest and the latest arrival that are promised: what traffic and doors take.
const ARRIVAL_SPREAD: Duration = Duration::from_secs(10 * 60);
/// Metres of a kilometre.
const KM_M: u32 = 1_000;

/// The tariff of the platform's couriers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CourierTariff {
    /// What every delivery costs, in cents.
    pub base_fee_cents: u64,
    /// What each kilometre costs beside that, in cents; parts of one in proportion.
    pub fee_per_km_cents: u64,
    /// The longest way, in kilometres.
    pub distance_max_km: u32,
    /// How long every delivery takes, in minutes.
    pub minutes_base: u32,
    /// How long each kilometre takes beside that, in minutes; parts of one in proportion.
    pub minutes_per_km: u32,
    /// How long a quote holds.
    pub quote_validity: Duration,
}

/// What a delivery costs and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) distance_m: u32,
    pub(super) fee: Money,
    /// The earliest arrival, from when the courier is asked for.
    pub(super) earliest: Duration,
    /// The latest one.
    pub(super) latest: Duration,
}

impl CourierTariff {
    /// Cents of an amount such as `7.50`, for whoever reads settings: 0 to 1,000,000, at most two decimals.
    pub fn cents(text: &str) -> Option<u64> {
        Money::read(text).map(Money::cents)
    }

    /// What a way of so many metres costs; `None` beyond the longest one. Half a cent is a cent.
    pub(super) fn offer(&self, distance_m: u32) -> Option<Offer> {
        if distance_m > self.distance_max_km.saturating_mul(KM_M) {
            return None;
        }
        let (metres, km_m) = (u64::from(distance_m), u64::from(KM_M));
        let for_the_way_cents = (self.fee_per_km_cents.saturating_mul(metres).saturating_add(km_m / 2)) / km_m;
        let for_the_way_s = (u64::from(self.minutes_per_km) * 60).saturating_mul(metres) / km_m;
        let earliest = Duration::from_secs(u64::from(self.minutes_base) * 60 + for_the_way_s);
        Some(Offer {
            distance_m,
            fee: Money::of_cents(self.base_fee_cents.saturating_add(for_the_way_cents)),
            earliest,
            latest: earliest + ARRIVAL_SPREAD,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARIFF: CourierTariff = CourierTariff {
        base_fee_cents: 499,
        fee_per_km_cents: 150,
        distance_max_km: 8,
        minutes_base: 15,
        minutes_per_km: 3,
        quote_validity: Duration::from_secs(3_600),
    };

    #[test]
    fn a_way_costs_what_the_tariff_says_to_the_cent() {
        for (distance_m, cents, earliest_s) in [
            (0, 499, 900),
            (3, 499, 900),
            // 0.5 of a cent, which is one.
            (10, 501, 901),
            (1_000, 649, 1_080),
            (1_112, 666, 1_100),
            (3_333, 999, 1_499),
            (8_000, 1_699, 2_340),
        ] {
            let offer = TARIFF.offer(distance_m).unwrap();
            assert_eq!((offer.fee.cents(), offer.earliest.as_secs()), (cents, earliest_s), "{distance_m} m");
            assert_eq!(offer.latest - offer.earliest, Duration::from_secs(600));
        }
        assert_eq!(TARIFF.offer(8_001), None);
    }

    #[test]
    fn amounts_are_read_to_the_cent() {
        assert_eq!([CourierTariff::cents("7.50"), CourierTariff::cents("0")], [Some(750), Some(0)]);
        for wrong in ["", "7,50", "-1", "0.001", "R$ 7", "1000000.01"] {
            assert_eq!(CourierTariff::cents(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Whatever is set and however far it is: no overflow, and farther is never cheaper or faster.
        #[test]
        fn farther_is_never_cheaper(
            base_fee_cents: u64, fee_per_km_cents: u64, distance_max_km: u32, minutes_base: u32, minutes_per_km: u32,
            near: u32, far: u32,
        ) {
            let tariff = CourierTariff {
                base_fee_cents, fee_per_km_cents, distance_max_km, minutes_base, minutes_per_km,
                quote_validity: Duration::ZERO,
            };
            let (near, far) = (near.min(far), near.max(far));
            if let Some(farther) = tariff.offer(far) {
                let nearer = tariff.offer(near).unwrap();
                prop_assert!(nearer.fee <= farther.fee && nearer.latest <= farther.latest);
            }
        }
    }
}
