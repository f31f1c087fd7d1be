//! Everything that can be asked of an order: by internal apps, by merchants' applications and by the core's own timers.
//!
//! A command carries only what decides. The free text of a merchant's reason, an update's metadata, who asks and under
//! which message id are gateway-core's to keep; they are deliberately absent.

use crate::event_code::EventCode;
use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::dispute::{DisputeAnswer, DisputeId, DisputeOpening};

/// One thing asked of an existing order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Place it. It exists, so this is always a repeat; a new order is made by [`crate::lifecycle::place`].
    Place,
    /// An internal app says that something happened.
    Update(Update),
    /// A merchant's application acts.
    Act(Action),
    /// A merchant's application answers a dispute; an expired one is not answered any more.
    Answer(DisputeAnswer),
    /// The confirm deadline has passed; whether it has is the caller's to judge (`timing`).
    ConfirmTimeout,
    /// Nobody concluded the order in time; whether that is so is the caller's to judge (`timing`).
    Conclude,
    /// The open dispute has expired; whether it has is the caller's to judge (`timing`).
    DisputeTimeout,
}

/// What an internal app reports. Made only through constructors, so that a code that needs facts has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Update {
    code: EventCode,
    pub(crate) facts: Facts,
}

/// The facts of an update that decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Facts {
    /// The code says it all.
    None,
    /// Of `HSD`.
    Opening(DisputeOpening),
    /// Of `HSS`: which dispute.
    Settled(DisputeId),
}

/// The code needs facts out of the update's metadata: `disputeId` and, for `HSD`, `expiresAt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} needs the facts of its dispute: disputeId, and expiresAt when it opens one", code.code())]
pub struct MissingFacts {
    /// The code that was sent without.
    pub code: EventCode,
}

impl Update {
    /// An update whose code says it all.
    ///
    /// # Errors
    /// For `HSD` and `HSS`, which say nothing without their dispute.
    pub const fn new(code: EventCode) -> Result<Self, MissingFacts> {
        if matches!(code, EventCode::HandshakeDispute | EventCode::HandshakeSettlement) {
            return Err(MissingFacts { code });
        }
        Ok(Self { code, facts: Facts::None })
    }

    /// `HSD`: a dispute was opened.
    pub const fn dispute(opening: DisputeOpening) -> Self {
        Self { code: EventCode::HandshakeDispute, facts: Facts::Opening(opening) }
    }

    /// `HSS`: the dispute `id` was settled, however it was.
    pub const fn settlement(id: DisputeId) -> Self {
        Self { code: EventCode::HandshakeSettlement, facts: Facts::Settled(id) }
    }

    /// The dispute that it opens, when it opens one.
    pub const fn opens(&self) -> Option<&DisputeId> {
        match &self.facts {
            Facts::Opening(opening) => Some(&opening.dispute.id),
            Facts::None | Facts::Settled(_) => None,
        }
    }

    /// What happened.
    pub const fn code(&self) -> EventCode {
        self.code
    }
}

/// What a merchant's or a logistics integrator's application may ask (PARTNER_API 1.4, 1.7 and 4). In which order a
/// courier's steps come is [`super::delivery`]'s to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// `confirm`.
    Confirm,
    /// `startPreparation`: preparation of meals, picking of groceries.
    StartPreparation,
    /// `readyToPickup`.
    ReadyToPickup,
    /// `dispatch`.
    Dispatch,
    /// `requestCancellation`, with one of the known codes.
    RequestCancellation(CancellationCode),
    /// `acceptCancellation`: yes to the consumer's request.
    AcceptCancellation,
    /// `denyCancellation`: no to the consumer's request.
    DenyCancellation,
    /// `pickedUp` of Open Delivery: the customer has fetched a TAKEOUT order.
    PickedUp,
    /// `delivered` of Open Delivery: the merchant's own courier has handed the order over.
    Delivered,
    /// `validatePickupCode`: the courier's code was right. What was wrong never gets here.
    ValidatePickupCode,
    /// `verifyDeliveryCode`: the customer's code was right.
    VerifyDeliveryCode,
    /// The same, by a logistics integrator, whose courier has to be at the customer.
    VerifyCodeAtDestination,
    /// `requestDriver`: the marketplace's courier for a merchant that delivers itself.
    RequestDriver,
    /// `cancelRequestDriver`.
    CancelDriverRequest,
    /// `assignDriver` of a logistics integrator, as are the next four.
    AssignDriver,
    /// `goingToOrigin`.
    GoToOrigin,
    /// `arrivedAtOrigin`.
    ArriveAtOrigin,
    /// `dispatch`: the courier leaves with the order.
    Collect,
    /// `arrivedAtDestination`.
    ArriveAtDestination,
    /// `deliveryAddressChangeRequest`: the order is to go elsewhere.
    RequestAddressChange,
    /// `userConfirmAddress`: the customer confirmed the new address.
    ConfirmAddressChange,
    /// `acceptDeliveryAddressChange`.
    AcceptAddressChange,
    /// `denyDeliveryAddressChange`.
    DenyAddressChange,
}

impl Action {
    /// One of every name.
    pub const EACH: [Self; 23] = [
        Self::Confirm,
        Self::StartPreparation,
        Self::ReadyToPickup,
        Self::Dispatch,
        Self::RequestCancellation(CancellationCode::SystemProblem),
        Self::AcceptCancellation,
        Self::DenyCancellation,
        Self::PickedUp,
        Self::Delivered,
        Self::ValidatePickupCode,
        Self::VerifyDeliveryCode,
        Self::VerifyCodeAtDestination,
        Self::RequestDriver,
        Self::CancelDriverRequest,
        Self::AssignDriver,
        Self::GoToOrigin,
        Self::ArriveAtOrigin,
        Self::Collect,
        Self::ArriveAtDestination,
        Self::RequestAddressChange,
        Self::ConfirmAddressChange,
        Self::AcceptAddressChange,
        Self::DenyAddressChange,
    ];

    /// The name of its endpoint, e.g. `readyToPickup`; with its module where two modules share one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::StartPreparation => "startPreparation",
            Self::ReadyToPickup => "readyToPickup",
            Self::Dispatch => "dispatch",
            Self::RequestCancellation(_) => "requestCancellation",
            Self::AcceptCancellation => "acceptCancellation",
            Self::DenyCancellation => "denyCancellation",
            Self::PickedUp => "pickedUp",
            Self::Delivered => "delivered",
            Self::ValidatePickupCode => "validatePickupCode",
            Self::VerifyDeliveryCode => "verifyDeliveryCode",
            Self::VerifyCodeAtDestination => "logistics/verifyDeliveryCode",
            Self::RequestDriver => "requestDriver",
            Self::CancelDriverRequest => "cancelRequestDriver",
            Self::AssignDriver => "assignDriver",
            Self::GoToOrigin => "goingToOrigin",
            Self::ArriveAtOrigin => "arrivedAtOrigin",
            Self::Collect => "logistics/dispatch",
            Self::ArriveAtDestination => "arrivedAtDestination",
            Self::RequestAddressChange => "deliveryAddressChangeRequest",
            Self::ConfirmAddressChange => "userConfirmAddress",
            Self::AcceptAddressChange => "acceptDeliveryAddressChange",
            Self::DenyAddressChange => "denyDeliveryAddressChange",
        }
    }
}

impl Command {
    /// What is asked, in one word: the code of an update, the endpoint of an action, the name of a timer.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Update(update) => update.code.code(),
            Self::Act(action) => action.name(),
            Self::Answer(answer) => answer.verdict.name(),
            Self::ConfirmTimeout => "confirmTimeout",
            Self::Conclude => "conclude",
            Self::DisputeTimeout => "disputeTimeout",
        }
    }
}
