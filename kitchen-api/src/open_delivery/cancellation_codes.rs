//! The two languages' codes of why an order is cancelled: one table, read both ways.
//!
//! Pure; used by the actions, which send our codes to the core, and by events, which show Open Delivery's. The table is ours:
//! neither platform publishes one. A code that says more than its counterpart comes back less exact, never as another reason.

use order_model::lifecycle::CancellationCode;

/// Why an order is cancelled, as this dialect says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    SystemicIssues,
    DuplicateApplication,
    UnavailableItem,
    RestaurantWithoutDeliveryPerson,
    OutdatedMenu,
    OrderOutsideTheDeliveryArea,
    BlockedCustomer,
    OutsideDeliveryHours,
    InternalDifficultiesOfTheRestaurant,
    RiskArea,
    DeliveryProblem,
    /// In events only.
    ConsumerCancellationRequested,
    /// In events only.
    Other,
}

impl Reason {
    /// Every reason; the first [`Reason::REQUESTABLE`] may be sent to us.
    pub(crate) const ALL: [Self; 13] = [
        Self::SystemicIssues,
        Self::DuplicateApplication,
        Self::UnavailableItem,
        Self::RestaurantWithoutDeliveryPerson,
        Self::OutdatedMenu,
        Self::OrderOutsideTheDeliveryArea,
        Self::BlockedCustomer,
        Self::OutsideDeliveryHours,
        Self::InternalDifficultiesOfTheRestaurant,
        Self::RiskArea,
        Self::DeliveryProblem,
        Self::ConsumerCancellationRequested,
        Self::Other,
    ];
    /// How many of them the document lets a merchant send.
    pub(crate) const REQUESTABLE: usize = 11;

    /// The name on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SystemicIssues => "SYSTEMIC_ISSUES",
            Self::DuplicateApplication => "DUPLICATE_APPLICATION",
            Self::UnavailableItem => "UNAVAILABLE_ITEM",
            Self::RestaurantWithoutDeliveryPerson => "RESTAURANT_WITHOUT_DELIVERY_PERSON",
            Self::OutdatedMenu => "OUTDATED_MENU",
            Self::OrderOutsideTheDeliveryArea => "ORDER_OUTSIDE_THE_DELIVERY_AREA",
            Self::BlockedCustomer => "BLOCKED_CUSTOMER",
            Self::OutsideDeliveryHours => "OUTSIDE_DELIVERY_HOURS",
            Self::InternalDifficultiesOfTheRestaurant => "INTERNAL_DIFFICULTIES_OF_THE_RESTAURANT",
            Self::RiskArea => "RISK_AREA",
            Self::DeliveryProblem => "DELIVERY_PROBLEM",
            Self::ConsumerCancellationRequested => "CONSUMER_CANCELLATION_REQUESTED",
            Self::Other => "OTHER_CANCELLATION_REASON",
        }
    }

    /// The reason of this name, in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|reason| reason.name().eq_ignore_ascii_case(text))
    }

    /// The code that a merchant's request becomes. What only events say is taken from whoever sends it all the same.
    pub(super) const fn code(self) -> CancellationCode {
        match self {
            Self::SystemicIssues => CancellationCode::SystemProblem,
            Self::DuplicateApplication => CancellationCode::DuplicateOrder,
            Self::UnavailableItem => CancellationCode::ItemUnavailable,
            Self::RestaurantWithoutDeliveryPerson => CancellationCode::NoCourier,
            Self::OutdatedMenu => CancellationCode::MenuOutdated,
            Self::OrderOutsideTheDeliveryArea => CancellationCode::OutsideArea,
            Self::BlockedCustomer => CancellationCode::Fraud,
            Self::OutsideDeliveryHours => CancellationCode::OutsideHours,
            Self::InternalDifficultiesOfTheRestaurant => CancellationCode::InternalDifficulty,
            Self::RiskArea => CancellationCode::RiskArea,
            // What can go wrong on the way has no code there: what is left is the merchant's trouble, or another one.
            Self::DeliveryProblem => CancellationCode::InternalDifficulty,
            Self::ConsumerCancellationRequested | Self::Other => CancellationCode::Legacy801,
        }
    }

    /// How an event shows a code.
    pub(super) const fn of_code(code: CancellationCode) -> Self {
        match code {
            CancellationCode::SystemProblem => Self::SystemicIssues,
            CancellationCode::DuplicateOrder => Self::DuplicateApplication,
            CancellationCode::ItemUnavailable => Self::UnavailableItem,
            CancellationCode::NoCourier => Self::RestaurantWithoutDeliveryPerson,
            CancellationCode::MenuOutdated | CancellationCode::Legacy803 => Self::OutdatedMenu,
            CancellationCode::OutsideArea => Self::OrderOutsideTheDeliveryArea,
            CancellationCode::Fraud => Self::BlockedCustomer,
            CancellationCode::OutsideHours | CancellationCode::OpensLater | CancellationCode::ClosedEarly => {
                Self::OutsideDeliveryHours
            }
            CancellationCode::InternalDifficulty => Self::InternalDifficultiesOfTheRestaurant,
            CancellationCode::RiskArea => Self::RiskArea,
            CancellationCode::Legacy801
            | CancellationCode::Legacy804
            | CancellationCode::Legacy805
            | CancellationCode::Legacy807
            | CancellationCode::Legacy808
            | CancellationCode::Legacy809
            | CancellationCode::Legacy815
            | CancellationCode::Legacy818
            | CancellationCode::Legacy820 => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(&reason.name().to_ascii_lowercase()), Some(reason));
        }
        assert_eq!(Reason::parse("501"), None);
    }

    /// Every reason that a merchant may send comes back as it was sent, but for the one that has no code there.
    #[test]
    fn every_requested_reason_survives_the_way_there_and_back() {
        for reason in Reason::ALL {
            let back = Reason::of_code(reason.code());
            match reason {
                Reason::DeliveryProblem => assert_eq!(back, Reason::InternalDifficultiesOfTheRestaurant),
                Reason::ConsumerCancellationRequested => assert_eq!(back, Reason::Other),
                other => assert_eq!(back, other),
            }
        }
    }

    /// Every code comes back as itself or, where this dialect is less exact, as the one it is a kind of.
    #[test]
    fn every_code_survives_the_way_there_and_back() {
        for &code in CancellationCode::ALL {
            let back = Reason::of_code(code).code();
            match code {
                CancellationCode::OpensLater | CancellationCode::ClosedEarly => {
                    assert_eq!(back, CancellationCode::OutsideHours);
                }
                CancellationCode::Legacy803 => assert_eq!(back, CancellationCode::MenuOutdated),
                legacy if legacy.is_legacy() => assert_eq!(back, CancellationCode::Legacy801),
                current => assert_eq!(back, current),
            }
        }
    }
}
