//! The transition table: what each event code means in each status of each kind of order.
//!
//! Read by `decide`, which adds the side facts, and by `markdown`, which prints it. Every match here is exhaustive and
//! has no `_` arm: a new code or status does not compile until somebody has said what it means. Sources: PARTNER_API
//! 2.2, 2.3, 2.5; CONTRACT, "What internal apps send".

use crate::event_code::EventCode;
use crate::lifecycle::kind::{Goods, OrderKind, Route};
use crate::lifecycle::status::OrderStatus;

use Cell::{Answers, Asks, Illegal, OpensDispute, Overtaken, Recorded, Repeated, SettlesDispute, To};
use OrderStatus::{
    Cancelled, Concluded, Confirmed, Dispatched, Placed, PreparationStarted, ReadyToPickup, SeparationEnded,
    SeparationStarted,
};

/// What a code means where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// The order moves on.
    To(OrderStatus),
    /// Information: recorded as an event, any number of times, and nothing changes.
    Recorded,
    /// The order is already past this step. When the step has happened it is a repeat, else it was overtaken on its
    /// way: recorded once, and nothing changes.
    Overtaken,
    /// It has happened.
    Repeated,
    /// Opens a request to cancel; a repeat while one of the same side is open.
    Asks,
    /// Answers the open request; illegal without one.
    Answers,
    /// Opens a dispute; illegal while another one is open, unless it takes that one's place.
    OpensDispute,
    /// Ends the open dispute; illegal when that dispute is not open.
    SettlesDispute,
    /// Not here. A repeat when it has happened before.
    Illegal,
}

/// What `code`, reported by an internal app, means for an order of `kind` that stands at `status`.
pub fn cell(kind: OrderKind, status: OrderStatus, code: EventCode) -> Cell {
    let route = kind.route();
    match code {
        EventCode::Placed => Repeated,
        EventCode::Confirmed => confirmed(status),
        EventCode::SeparationStarted => separation_started(kind.goods, status),
        EventCode::SeparationEnded => separation_ended(kind.goods, status),
        EventCode::PreparationStarted => preparation_started(status),
        EventCode::ReadyToPickup => ready_to_pickup(status),
        EventCode::Dispatched => dispatched(route, status),
        EventCode::Concluded => concluded(route, status),
        EventCode::Cancelled => cancelled(status),
        EventCode::CancellationRequested | EventCode::ConsumerCancellationRequested => while_open(status, Asks),
        EventCode::CancellationRequestFailed
        | EventCode::ConsumerCancellationAccepted
        | EventCode::ConsumerCancellationDenied => while_open(status, Answers),
        EventCode::HandshakeDispute => dispute_opened(status),
        EventCode::HandshakeSettlement => dispute_settled(status),
        EventCode::PickupAreaAssigned => match route {
            Route::Counter => once_confirmed(status),
            Route::MerchantCourier | Route::MarketplaceCourier | Route::Table => Illegal,
        },
        EventCode::Collected => with_courier(route, collected(status)),
        EventCode::AssignDriver
        | EventCode::GoingToOrigin
        | EventCode::ArrivedAtOrigin
        | EventCode::DriverDeallocated
        | EventCode::DeliveryCancellationRequested
        | EventCode::DropCodeRequested
        | EventCode::PickupCodeRequested
        | EventCode::PickupCodeValidated
        | EventCode::GroupAssigned
        | EventCode::GroupDismissed
        | EventCode::GroupAssociated
        | EventCode::GroupDissociated
        | EventCode::GroupUpdated
        | EventCode::RequestDriver
        | EventCode::RequestDriverSuccess
        | EventCode::RequestDriverFailed
        | EventCode::DeliveryCancellationAccepted
        | EventCode::DeliveryCancellationRejected => with_courier(route, once_confirmed(status)),
        EventCode::ArrivedAtDestination
        | EventCode::ReturningToOrigin
        | EventCode::ReturnedToOrigin
        | EventCode::DropCodeValidated
        | EventCode::ReturnCodeRequested
        | EventCode::ReturnToStore
        | EventCode::Delivered => with_courier(route, once_dispatched(status)),
        EventCode::AddressChangeRequested
        | EventCode::AddressChangeUserConfirmed
        | EventCode::AddressChangeAccepted
        | EventCode::AddressChangeDenied => with_courier(route, Recorded),
        EventCode::OrderPatched
        | EventCode::RecommendedPreparationStart
        | EventCode::PreparationTimeRequested
        | EventCode::PreparationTimeChanged
        | EventCode::BoxAssigned
        | EventCode::ReadyForInvoice => Recorded,
    }
}

const fn confirmed(status: OrderStatus) -> Cell {
    match status {
        Placed => To(Confirmed),
        Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched
        | Concluded => Repeated,
        Cancelled => Illegal,
    }
}

const fn separation_started(goods: Goods, status: OrderStatus) -> Cell {
    match (goods, status) {
        (Goods::Meals, _) | (Goods::Groceries, Placed | Cancelled) => Illegal,
        (Goods::Groceries, Confirmed) => To(SeparationStarted),
        (Goods::Groceries, SeparationStarted) => Repeated,
        (Goods::Groceries, SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched | Concluded) => Overtaken,
    }
}

/// Picking ends only after it began, so that `SPE` waits for an `SPS` that it has overtaken.
const fn separation_ended(goods: Goods, status: OrderStatus) -> Cell {
    match (goods, status) {
        (Goods::Meals, _) | (Goods::Groceries, Placed | Confirmed | Cancelled) => Illegal,
        (Goods::Groceries, SeparationStarted) => To(SeparationEnded),
        (Goods::Groceries, SeparationEnded) => Repeated,
        (Goods::Groceries, PreparationStarted | ReadyToPickup | Dispatched | Concluded) => Overtaken,
    }
}

const fn preparation_started(status: OrderStatus) -> Cell {
    match status {
        Placed | Cancelled => Illegal,
        Confirmed | SeparationStarted | SeparationEnded => To(PreparationStarted),
        PreparationStarted => Repeated,
        ReadyToPickup | Dispatched | Concluded => Overtaken,
    }
}

const fn ready_to_pickup(status: OrderStatus) -> Cell {
    match status {
        Placed | Cancelled => Illegal,
        Confirmed | SeparationStarted | SeparationEnded | PreparationStarted => To(ReadyToPickup),
        ReadyToPickup => Repeated,
        Dispatched | Concluded => Overtaken,
    }
}

/// With the marketplace's courier too: internal apps may say it; that the *merchant* may not is `decide`'s.
const fn dispatched(route: Route, status: OrderStatus) -> Cell {
    match (route, status) {
        (Route::Counter | Route::Table, _) => Illegal,
        (Route::MerchantCourier | Route::MarketplaceCourier, Placed | Cancelled) => Illegal,
        (
            Route::MerchantCourier | Route::MarketplaceCourier,
            Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup,
        ) => To(Dispatched),
        (Route::MerchantCourier | Route::MarketplaceCourier, Dispatched | Concluded) => Overtaken,
    }
}

/// A courier's order concludes only after it has left, any other only after it was ready, so that `CON` waits for
/// what it has overtaken.
const fn concluded(route: Route, status: OrderStatus) -> Cell {
    match (route, status) {
        (_, Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | Cancelled) => Illegal,
        (Route::MerchantCourier | Route::MarketplaceCourier, ReadyToPickup) => Illegal,
        (Route::Counter | Route::Table, ReadyToPickup) | (_, Dispatched) => To(Concluded),
        (_, Concluded) => Repeated,
    }
}

const fn cancelled(status: OrderStatus) -> Cell {
    match status {
        Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched => {
            To(Cancelled)
        }
        Concluded => Illegal,
        Cancelled => Repeated,
    }
}

/// After the order has left, a courier may collect nothing new: information.
const fn collected(status: OrderStatus) -> Cell {
    match status {
        Placed => Illegal,
        Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup => To(Dispatched),
        Dispatched | Concluded | Cancelled => Recorded,
    }
}

/// Asking and answering end with the order: afterwards they could only mislead a POS.
const fn while_open(status: OrderStatus, cell: Cell) -> Cell {
    match status {
        Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched => {
            cell
        }
        Concluded | Cancelled => Illegal,
    }
}

/// Disputes may follow a delivery (`handshakeType` AFTER_DELIVERY), so a concluded order can have one.
const fn dispute_opened(status: OrderStatus) -> Cell {
    match status {
        Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched
        | Concluded => OpensDispute,
        Cancelled => Illegal,
    }
}

/// A cancellation closes every dispute; the settlement that belongs to it may come after it.
const fn dispute_settled(status: OrderStatus) -> Cell {
    match status {
        Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched
        | Concluded => SettlesDispute,
        Cancelled => Overtaken,
    }
}

const fn once_confirmed(status: OrderStatus) -> Cell {
    match status {
        Placed => Illegal,
        Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup | Dispatched
        | Concluded | Cancelled => Recorded,
    }
}

const fn once_dispatched(status: OrderStatus) -> Cell {
    match status {
        Placed | Confirmed | SeparationStarted | SeparationEnded | PreparationStarted | ReadyToPickup => Illegal,
        Dispatched | Concluded | Cancelled => Recorded,
    }
}

const fn with_courier(route: Route, cell: Cell) -> Cell {
    match route {
        Route::MerchantCourier | Route::MarketplaceCourier => cell,
        Route::Counter | Route::Table => Illegal,
    }
}
