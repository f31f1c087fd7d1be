//! Whether a courier of the platform can be had for a way, and why not: a pure judgement in the published words.
//!
//! Used for quotes and for orders made outside. `HighDemand` is deliberately absent: nobody of ours counts couriers, so that it
//! could only be made up.

use http::StatusCode;
use order_model::Coordinates;

use super::tariff::{CourierTariff, Offer};
use crate::errors::ApiError;
use crate::merchants::Closed;

/// Why no courier is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCourier {
    /// The platform has none, nowhere.
    NoneAtAll,
    /// Nobody said where the merchant is.
    OriginUnknown,
    /// The store is closed.
    Closed(Closed),
    /// It is farther than couriers go.
    TooFar { distance_m: u32, distance_max_km: u32 },
}

/// Judges the way from a store at `origin`, which is open or `closed`, to `destination`.
pub(super) fn judge(
    tariff: Option<&CourierTariff>,
    origin: Option<Coordinates>,
    closed: Option<Closed>,
    destination: Coordinates,
) -> Result<Offer, NoCourier> {
    let tariff = tariff.ok_or(NoCourier::NoneAtAll)?;
    let origin = origin.ok_or(NoCourier::OriginUnknown)?;
    if let Some(closed) = closed {
        return Err(NoCourier::Closed(closed));
    }
    let distance_m = origin.distance_m(destination);
    tariff.offer(distance_m).ok_or(NoCourier::TooFar { distance_m, distance_max_km: tariff.distance_max_km })
}

impl NoCourier {
    fn code(self) -> &'static str {
        match self {
            Self::NoneAtAll => "ServiceAreaMismatch",
            Self::OriginUnknown => "OriginNotFound",
            Self::Closed(Closed::OutsideHours) => "OffOpeningHours",
            Self::Closed(Closed::Paused) => "BadRequestMerchant",
            Self::Closed(Closed::Disconnected) => "MerchantStatusAvailability",
            Self::TooFar { .. } => "DeliveryDistanceTooHigh",
        }
    }

    fn message(self) -> String {
        match self {
            Self::NoneAtAll => "The platform offers no couriers: no address is in their area.".to_owned(),
            Self::OriginUnknown => {
                "It is not known where the store is: the platform's operator has to set its coordinates.".to_owned()
            }
            Self::Closed(Closed::OutsideHours) => "The store is outside its opening hours.".to_owned(),
            Self::Closed(Closed::Paused) => "The store has closed itself for a while (an interruption).".to_owned(),
            Self::Closed(Closed::Disconnected) => {
                "The store's system is not connected: nobody there would hear of the courier.".to_owned()
            }
            Self::TooFar { distance_m, distance_max_km } => {
                format!("The address is {distance_m} m from the store; couriers go {distance_max_km} km at most.")
            }
        }
    }
}

impl From<NoCourier> for ApiError {
    fn from(why: NoCourier) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why.code(), why.message())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TARIFF: CourierTariff = CourierTariff {
        base_fee_cents: 500,
        fee_per_km_cents: 100,
        distance_max_km: 2,
        minutes_base: 10,
        minutes_per_km: 2,
        quote_validity: Duration::from_secs(60),
    };

    fn at(text: &str) -> Coordinates {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_missing_most_is_said_first() {
        let (origin, near, far) = (Some(at("-23.55,-46.63")), at("-23.56,-46.63"), at("-23.60,-46.63"));
        let judged = |tariff, origin, closed, to| judge(tariff, origin, closed, to).map_err(NoCourier::code);
        let all_closed = [Closed::OutsideHours, Closed::Paused, Closed::Disconnected];
        for closed in all_closed {
            assert_eq!(judged(None, None, Some(closed), far), Err("ServiceAreaMismatch"));
            assert_eq!(judged(Some(&TARIFF), None, Some(closed), far), Err("OriginNotFound"));
        }
        let codes = all_closed.map(|closed| judged(Some(&TARIFF), origin, Some(closed), far).unwrap_err());
        assert_eq!(codes, ["OffOpeningHours", "BadRequestMerchant", "MerchantStatusAvailability"]);
        assert_eq!(judged(Some(&TARIFF), origin, None, far), Err("DeliveryDistanceTooHigh"));
        let offer = judged(Some(&TARIFF), origin, None, near).unwrap();
        assert_eq!((offer.distance_m, offer.fee.cents()), (1_112, 611));
    }
}
