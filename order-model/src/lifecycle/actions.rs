//! What merchants' applications ask: the steps of PARTNER_API 1.4, 1.7 and 4, and the cancellation of 2.5.
//!
//! Unlike an update, an action says what shall happen now, so that past its state it is a repeat (409), never recorded.

use crate::event_code::EventCode;
use crate::lifecycle::cancellation::CancellationCode;
use crate::lifecycle::command::Action;
use crate::lifecycle::decision::{CancelOrigin, Cancellation, Decision, EventMetadata};
use crate::lifecycle::draft::{Draft, already, already_if, wanted};
use crate::lifecycle::kind::{Goods, Route};
use crate::lifecycle::state::{Lifecycle, MerchantRequest};
use crate::lifecycle::status::OrderStatus;
use crate::lifecycle::table::{Cell, cell};
use crate::timestamp::Timestamp;

/// The decision about an action; `None` when it is illegal.
pub(crate) fn acted(lifecycle: &Lifecycle, at: Timestamp, action: Action) -> Option<Decision> {
    match action {
        Action::Confirm => stepped(lifecycle, at, EventCode::Confirmed),
        Action::StartPreparation => match lifecycle.kind.goods {
            Goods::Meals => stepped(lifecycle, at, EventCode::PreparationStarted),
            Goods::Groceries => stepped(lifecycle, at, EventCode::SeparationStarted),
        },
        Action::ReadyToPickup => stepped(lifecycle, at, EventCode::ReadyToPickup),
        Action::Dispatch => match lifecycle.kind.route() {
            Route::MerchantCourier => stepped(lifecycle, at, EventCode::Dispatched),
            Route::MarketplaceCourier | Route::Counter | Route::Table => None,
        },
        Action::RequestCancellation(code) => cancellation_requested(lifecycle, at, code),
        Action::AcceptCancellation => answered_by_merchant(lifecycle, at, EventCode::ConsumerCancellationAccepted),
        Action::DenyCancellation => answered_by_merchant(lifecycle, at, EventCode::ConsumerCancellationDenied),
        Action::PickedUp => picked_up(lifecycle, at),
        Action::Delivered => delivered(lifecycle, at),
        Action::ValidatePickupCode => told(lifecycle, at, EventCode::PickupCodeValidated),
        Action::VerifyDeliveryCode | Action::VerifyCodeAtDestination => {
            told(lifecycle, at, EventCode::DropCodeValidated)
        }
        Action::RequestDriver => match lifecycle.status {
            OrderStatus::Dispatched => None,
            _ => on_demand(lifecycle, at, EventCode::RequestDriver),
        },
        Action::CancelDriverRequest => on_demand(lifecycle, at, EventCode::DeliveryCancellationRequested),
        Action::AssignDriver => told(lifecycle, at, EventCode::AssignDriver),
        Action::GoToOrigin => told(lifecycle, at, EventCode::GoingToOrigin),
        Action::ArriveAtOrigin => told(lifecycle, at, EventCode::ArrivedAtOrigin),
        Action::Collect => collected(lifecycle, at),
        Action::ArriveAtDestination => told(lifecycle, at, EventCode::ArrivedAtDestination),
        Action::RequestAddressChange => told(lifecycle, at, EventCode::AddressChangeRequested),
        Action::ConfirmAddressChange => told(lifecycle, at, EventCode::AddressChangeUserConfirmed),
        Action::AcceptAddressChange => told(lifecycle, at, EventCode::AddressChangeAccepted),
        Action::DenyAddressChange => told(lifecycle, at, EventCode::AddressChangeDenied),
    }
}

/// Something that moves no order: an event, wherever the table records it. Unlike a late update, an action comes to nothing
/// once the order is final.
fn told(lifecycle: &Lifecycle, at: Timestamp, code: EventCode) -> Option<Decision> {
    if lifecycle.status.is_final() {
        return None;
    }
    match cell(lifecycle.kind, lifecycle.status, code) {
        Cell::Recorded => Draft::new(lifecycle, at).record_as(code, EventMetadata::OfUpdateOrApplication),
        Cell::To(_)
        | Cell::Overtaken
        | Cell::Repeated
        | Cell::Asks
        | Cell::Answers
        | Cell::OpensDispute
        | Cell::SettlesDispute
        | Cell::Illegal => None,
    }
}

/// As [`told`], about the marketplace's courier for an order that the merchant delivers: any other needs none, or has one.
fn on_demand(lifecycle: &Lifecycle, at: Timestamp, code: EventCode) -> Option<Decision> {
    match lifecycle.kind.route() {
        Route::MerchantCourier => told(lifecycle, at, code),
        Route::MarketplaceCourier | Route::Counter | Route::Table => None,
    }
}

/// The courier of a logistics integrator leaves: `DSP` for the merchant's delivery, `CLT` for the marketplace's. An order
/// that the merchant has dispatched already is collected all the same.
fn collected(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    match (lifecycle.kind.route(), lifecycle.status) {
        (Route::Counter | Route::Table, _) => None,
        (Route::MerchantCourier | Route::MarketplaceCourier, OrderStatus::Dispatched) => {
            told(lifecycle, at, EventCode::Collected)
        }
        (Route::MerchantCourier, _) => stepped(lifecycle, at, EventCode::Dispatched),
        (Route::MarketplaceCourier, status) if status.is_final() => None,
        (Route::MarketplaceCourier, _) => stepped(lifecycle, at, EventCode::Collected),
    }
}

/// Fetched at the counter, which concludes the order: it was ready, whether or not somebody said so.
fn picked_up(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    match lifecycle.kind.route() {
        Route::Counter => {}
        Route::MerchantCourier | Route::MarketplaceCourier | Route::Table => return None,
    }
    match lifecycle.status {
        OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup => handed_over(lifecycle, at, EventCode::Collected),
        OrderStatus::Concluded => already(lifecycle),
        OrderStatus::Placed | OrderStatus::Dispatched | OrderStatus::Cancelled => None,
    }
}

/// Handed over by the merchant's courier. What has not left yet cannot be: `delivered` before `dispatch` is refused, so
/// that a slip of the finger in the kitchen does not conclude an order.
fn delivered(lifecycle: &Lifecycle, at: Timestamp) -> Option<Decision> {
    match lifecycle.kind.route() {
        Route::MerchantCourier => {}
        Route::MarketplaceCourier | Route::Counter | Route::Table => return None,
    }
    match lifecycle.status {
        OrderStatus::Dispatched => handed_over(lifecycle, at, EventCode::Delivered),
        OrderStatus::Concluded => already(lifecycle),
        OrderStatus::Placed
        | OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup
        | OrderStatus::Cancelled => None,
    }
}

/// The customer has it: `code`, and the platform's own `CON` with it.
fn handed_over(lifecycle: &Lifecycle, at: Timestamp, code: EventCode) -> Option<Decision> {
    let mut draft = Draft::new(lifecycle, at);
    draft.append(code, EventMetadata::OfApplication);
    draft.append(EventCode::Concluded, EventMetadata::None);
    draft.enter(OrderStatus::Concluded);
    draft.changed()
}

/// A step of the merchant's, judged by the table's cell for its code.
fn stepped(lifecycle: &Lifecycle, at: Timestamp, code: EventCode) -> Option<Decision> {
    match cell(lifecycle.kind, lifecycle.status, code) {
        Cell::To(status) => {
            let mut draft = Draft::new(lifecycle, at);
            draft.append(code, EventMetadata::OfApplication);
            draft.enter(status);
            draft.changed()
        }
        Cell::Overtaken | Cell::Repeated => already(lifecycle),
        Cell::Recorded | Cell::Asks | Cell::Answers | Cell::OpensDispute | Cell::SettlesDispute | Cell::Illegal => None,
    }
}

/// The platform grants a merchant's request at once while the goods are still in the house. Once they have left, the
/// request stays open until an internal app answers `CAN` or `CARF`: somebody has to think of the courier.
fn cancellation_requested(lifecycle: &Lifecycle, at: Timestamp, code: CancellationCode) -> Option<Decision> {
    let granted = match lifecycle.status {
        OrderStatus::Placed
        | OrderStatus::Confirmed
        | OrderStatus::SeparationStarted
        | OrderStatus::SeparationEnded
        | OrderStatus::PreparationStarted
        | OrderStatus::ReadyToPickup => true,
        OrderStatus::Dispatched => false,
        OrderStatus::Concluded => return None,
        OrderStatus::Cancelled => return already(lifecycle),
    };
    if lifecycle.merchant_request.is_some() {
        return already(lifecycle);
    }
    let mut draft = Draft::new(lifecycle, at);
    let cancellation = Cancellation { code: Some(code), ..wanted(lifecycle, CancelOrigin::Restaurant, None) };
    let sequence = draft.append(EventCode::CancellationRequested, EventMetadata::Cancellation(cancellation));
    if granted {
        draft.cancel(Cancellation { requested_by: Some(sequence), ..cancellation });
    } else {
        draft.next.merchant_request = Some(MerchantRequest { sequence, code: Some(code) });
    }
    draft.changed()
}

fn answered_by_merchant(lifecycle: &Lifecycle, at: Timestamp, code: EventCode) -> Option<Decision> {
    let Some(request) = lifecycle.consumer_request else {
        return already_if(lifecycle.happened.contains(code), lifecycle);
    };
    let mut draft = Draft::new(lifecycle, at);
    let cancellation = wanted(lifecycle, CancelOrigin::Consumer, Some(request));
    draft.append(code, EventMetadata::Cancellation(cancellation));
    if matches!(code, EventCode::ConsumerCancellationAccepted) {
        draft.cancel(cancellation);
    } else {
        draft.next.consumer_request = None;
    }
    draft.changed()
}
