//! How far a courier is with an order, whether one was asked for, and whether the address is to change: what the lifecycle
//! does not need and the actions of PARTNER_API 1.7 do, which take their steps in one order only.
//!
//! A value of its own beside the lifecycle: `gateway-core` folds every event of an order into it and asks it before an
//! action. Pure. Updates of internal apps are never judged by it: they say what has happened.

use crate::event_code::EventCode;
use crate::lifecycle::command::Action;

/// Where the courier is. Later ones are further on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CourierStage {
    /// Not kept: the order was stored by an older version. Every step is taken.
    Unknown,
    /// There is none.
    Nobody,
    /// Assigned.
    Assigned,
    /// On the way to the merchant.
    GoingToOrigin,
    /// At the merchant.
    AtOrigin,
    /// Left with the order.
    Collected,
    /// At the customer.
    AtDestination,
}

/// Whether the merchant asked the marketplace for a courier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriverRequest {
    /// Not kept, as above.
    Unknown,
    /// No, or it came to nothing.
    Nothing,
    /// Yes (`RDR`, and `RDS` once one is found).
    Asked,
    /// It is to be cancelled (`DCR`).
    Cancelling,
}

/// Whether the address is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressChange {
    /// Not kept, as above.
    Unknown,
    /// No.
    Nothing,
    /// The change waits for an answer (`DAR`).
    Asked,
    /// The customer has confirmed it (`DAU`); it still waits for an answer.
    Confirmed,
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryProgress {
    /// The courier.
    pub courier: CourierStage,
    /// The request for one.
    pub request: DriverRequest,
    /// The address.
    pub address: AddressChange,
}

impl DeliveryProgress {
    /// Of a new order.
    pub const NEW: Self =
        Self { courier: CourierStage::Nobody, request: DriverRequest::Nothing, address: AddressChange::Nothing };

    /// Of an order stored without it.
    pub const UNKNOWN: Self =
        Self { courier: CourierStage::Unknown, request: DriverRequest::Unknown, address: AddressChange::Unknown };

    /// After an event. What comes late never leads back: a courier that is at the merchant is not on the way there.
    #[must_use]
    pub fn after(self, code: EventCode) -> Self {
        let courier = match code {
            EventCode::AssignDriver => self.courier.max(CourierStage::Assigned),
            EventCode::GoingToOrigin => self.courier.max(CourierStage::GoingToOrigin),
            EventCode::ArrivedAtOrigin => self.courier.max(CourierStage::AtOrigin),
            EventCode::Collected | EventCode::Dispatched => self.courier.max(CourierStage::Collected),
            EventCode::ArrivedAtDestination => self.courier.max(CourierStage::AtDestination),
            EventCode::DriverDeallocated | EventCode::DeliveryCancellationAccepted => CourierStage::Nobody,
            _ => self.courier,
        };
        let request = match code {
            EventCode::RequestDriver | EventCode::RequestDriverSuccess | EventCode::DeliveryCancellationRejected => {
                DriverRequest::Asked
            }
            EventCode::DeliveryCancellationRequested => DriverRequest::Cancelling,
            EventCode::RequestDriverFailed | EventCode::DeliveryCancellationAccepted => DriverRequest::Nothing,
            _ => self.request,
        };
        let address = match code {
            EventCode::AddressChangeRequested => AddressChange::Asked,
            EventCode::AddressChangeUserConfirmed => AddressChange::Confirmed,
            EventCode::AddressChangeAccepted | EventCode::AddressChangeDenied => AddressChange::Nothing,
            _ => self.address,
        };
        Self { courier, request, address }
    }

    /// Whether `action` is the next step as far as this goes; the lifecycle has to allow it too.
    pub fn allows(self, action: Action) -> bool {
        let courier_is = |stage| self.courier == stage || self.courier == CourierStage::Unknown;
        match action {
            Action::AssignDriver => courier_is(CourierStage::Nobody),
            Action::GoToOrigin => courier_is(CourierStage::Assigned),
            Action::ArriveAtOrigin => courier_is(CourierStage::GoingToOrigin),
            Action::Collect => courier_is(CourierStage::AtOrigin),
            Action::ArriveAtDestination => courier_is(CourierStage::Collected),
            Action::VerifyCodeAtDestination => courier_is(CourierStage::AtDestination),
            Action::RequestDriver => {
                matches!(self.request, DriverRequest::Unknown | DriverRequest::Nothing)
                    && matches!(self.courier, CourierStage::Unknown | CourierStage::Nobody)
            }
            Action::CancelDriverRequest => matches!(self.request, DriverRequest::Unknown | DriverRequest::Asked),
            // One at a time, and not once the courier is at the door.
            Action::RequestAddressChange => {
                matches!(self.address, AddressChange::Unknown | AddressChange::Nothing)
                    && self.courier != CourierStage::AtDestination
            }
            Action::ConfirmAddressChange => matches!(self.address, AddressChange::Unknown | AddressChange::Asked),
            Action::AcceptAddressChange | Action::DenyAddressChange => self.address != AddressChange::Nothing,
            Action::Confirm
            | Action::StartPreparation
            | Action::ReadyToPickup
            | Action::Dispatch
            | Action::RequestCancellation(_)
            | Action::AcceptCancellation
            | Action::DenyCancellation
            | Action::PickedUp
            | Action::Delivered
            | Action::ValidatePickupCode
            | Action::VerifyDeliveryCode => true,
        }
    }

    /// As numbers to store: courier, request, address. Their meanings never change; 0 is "unknown".
    pub const fn to_stored(self) -> [u8; 3] {
        [self.courier as u8, self.request as u8, self.address as u8]
    }

    /// Back from stored numbers; `None` for a number that this version does not know.
    pub fn from_stored([courier, request, address]: [u8; 3]) -> Option<Self> {
        let courier = [
            CourierStage::Unknown,
            CourierStage::Nobody,
            CourierStage::Assigned,
            CourierStage::GoingToOrigin,
            CourierStage::AtOrigin,
            CourierStage::Collected,
            CourierStage::AtDestination,
        ]
        .into_iter()
        .find(|stage| *stage as u8 == courier)?;
        let request = [DriverRequest::Unknown, DriverRequest::Nothing, DriverRequest::Asked, DriverRequest::Cancelling]
            .into_iter()
            .find(|known| *known as u8 == request)?;
        let address = [AddressChange::Unknown, AddressChange::Nothing, AddressChange::Asked, AddressChange::Confirmed]
            .into_iter()
            .find(|known| *known as u8 == address)?;
        Some(Self { courier, request, address })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: [(Action, EventCode); 5] = [
        (Action::AssignDriver, EventCode::AssignDriver),
        (Action::GoToOrigin, EventCode::GoingToOrigin),
        (Action::ArriveAtOrigin, EventCode::ArrivedAtOrigin),
        (Action::Collect, EventCode::Collected),
        (Action::ArriveAtDestination, EventCode::ArrivedAtDestination),
    ];

    #[test]
    fn a_couriers_steps_come_in_one_order_and_each_once() {
        let mut progress = DeliveryProgress::NEW;
        for (position, (_, code)) in STEPS.into_iter().enumerate() {
            for (other, (action, _)) in STEPS.into_iter().enumerate() {
                assert_eq!(progress.allows(action), other == position, "{action:?} in {progress:?}");
            }
            assert!(!progress.allows(Action::VerifyCodeAtDestination));
            progress = progress.after(code);
        }
        assert!(progress.allows(Action::VerifyCodeAtDestination));
        assert!(STEPS.into_iter().all(|(action, _)| !progress.allows(action)));
        assert!(progress.after(EventCode::DriverDeallocated).allows(Action::AssignDriver), "another one");
        assert!(STEPS.into_iter().all(|(action, _)| DeliveryProgress::UNKNOWN.allows(action)));
    }

    #[test]
    fn a_courier_is_asked_for_once_until_that_came_to_nothing() {
        let asked = DeliveryProgress::NEW.after(EventCode::RequestDriver);
        assert!(DeliveryProgress::NEW.allows(Action::RequestDriver));
        assert!(!DeliveryProgress::NEW.allows(Action::CancelDriverRequest));
        assert!(!asked.allows(Action::RequestDriver) && asked.allows(Action::CancelDriverRequest));
        assert!(asked.after(EventCode::RequestDriverFailed).allows(Action::RequestDriver));
        let cancelling = asked.after(EventCode::RequestDriverSuccess).after(EventCode::DeliveryCancellationRequested);
        assert!(!cancelling.allows(Action::CancelDriverRequest) && !cancelling.allows(Action::RequestDriver));
        assert!(cancelling.after(EventCode::DeliveryCancellationRejected).allows(Action::CancelDriverRequest));
        assert!(cancelling.after(EventCode::DeliveryCancellationAccepted).allows(Action::RequestDriver));
        assert!(!DeliveryProgress::NEW.after(EventCode::AssignDriver).allows(Action::RequestDriver), "there is one");
    }

    #[test]
    fn a_change_of_address_is_answered_once() {
        let asked = DeliveryProgress::NEW.after(EventCode::AddressChangeRequested);
        for action in [Action::ConfirmAddressChange, Action::AcceptAddressChange, Action::DenyAddressChange] {
            assert!(!DeliveryProgress::NEW.allows(action) && asked.allows(action), "{action:?}");
            assert!(!asked.after(EventCode::AddressChangeDenied).allows(action), "{action:?}");
        }
        let confirmed = asked.after(EventCode::AddressChangeUserConfirmed);
        assert!(!confirmed.allows(Action::ConfirmAddressChange) && confirmed.allows(Action::AcceptAddressChange));
    }

    #[test]
    fn a_change_of_address_is_asked_for_one_at_a_time_and_before_the_courier_is_at_the_door() {
        let asks = Action::RequestAddressChange;
        let asked = DeliveryProgress::NEW.after(EventCode::AddressChangeRequested);
        assert!(DeliveryProgress::NEW.allows(asks) && DeliveryProgress::UNKNOWN.allows(asks));
        assert!(!asked.allows(asks) && !asked.after(EventCode::AddressChangeUserConfirmed).allows(asks));
        for answer in [EventCode::AddressChangeAccepted, EventCode::AddressChangeDenied] {
            assert!(asked.after(answer).allows(asks), "{answer:?}");
        }
        let left = DeliveryProgress::NEW.after(EventCode::Collected);
        assert!(left.allows(asks) && !left.after(EventCode::ArrivedAtDestination).allows(asks));
    }

    proptest! {
        /// Whatever is reported: what is stored reads back, and a courier goes back only when it is taken off.
        #[test]
        fn progress_reads_back_and_goes_on(codes in prop::collection::vec(prop::sample::select(EventCode::ALL), 0..30)) {
            let mut progress = DeliveryProgress::NEW;
            for code in codes {
                let next = progress.after(code);
                let taken_off = [EventCode::DriverDeallocated, EventCode::DeliveryCancellationAccepted].contains(&code);
                prop_assert!(next.courier >= progress.courier || taken_off);
                prop_assert_eq!(DeliveryProgress::from_stored(next.to_stored()), Some(next));
                progress = next;
            }
        }
    }
}
