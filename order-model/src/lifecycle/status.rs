//! Where an order stands.

/// The one status of an order. Courier positions, disputes and requests stand beside it, not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderStatus {
    /// Waiting for the merchant to confirm.
    Placed,
    /// The merchant took it.
    Confirmed,
    /// Groceries are being picked.
    SeparationStarted,
    /// Groceries are picked.
    SeparationEnded,
    /// The kitchen works on it.
    PreparationStarted,
    /// Ready for courier, customer or table.
    ReadyToPickup,
    /// It has left the merchant: dispatched (`DSP`) or collected by a courier (`CLT`).
    Dispatched,
    /// Done. Final.
    Concluded,
    /// Cancelled. Final.
    Cancelled,
}

impl OrderStatus {
    /// Every status, in the order of the lifecycle.
    pub const ALL: [Self; 9] = [
        Self::Placed,
        Self::Confirmed,
        Self::SeparationStarted,
        Self::SeparationEnded,
        Self::PreparationStarted,
        Self::ReadyToPickup,
        Self::Dispatched,
        Self::Concluded,
        Self::Cancelled,
    ];

    /// The name that answers and logs show, e.g. `READY_TO_PICKUP`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Confirmed => "CONFIRMED",
            Self::SeparationStarted => "SEPARATION_STARTED",
            Self::SeparationEnded => "SEPARATION_ENDED",
            Self::PreparationStarted => "PREPARATION_STARTED",
            Self::ReadyToPickup => "READY_TO_PICKUP",
            Self::Dispatched => "DISPATCHED",
            Self::Concluded => "CONCLUDED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The number it is stored under.
    pub const fn number(self) -> u8 {
        match self {
            Self::Placed => 1,
            Self::Confirmed => 2,
            Self::SeparationStarted => 3,
            Self::SeparationEnded => 4,
            Self::PreparationStarted => 5,
            Self::ReadyToPickup => 6,
            Self::Dispatched => 7,
            Self::Concluded => 8,
            Self::Cancelled => 9,
        }
    }

    /// The status stored under `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }

    /// Whether nothing can change it any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Concluded | Self::Cancelled => true,
            Self::Placed
            | Self::Confirmed
            | Self::SeparationStarted
            | Self::SeparationEnded
            | Self::PreparationStarted
            | Self::ReadyToPickup
            | Self::Dispatched => false,
        }
    }
}
