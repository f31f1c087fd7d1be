//! Shipping (PARTNER_API, 1.7): asking for a courier, taking that back, cancelling, and answers to a change of address. Quotes
//! (`deliveryAvailabilities`), orders made from outside and changes of address asked for from outside are absent: nobody of ours
//! says what a delivery costs.

use super::orders::action;
use super::{Operation, Row, Takes, per_minute};

const fn step(
    operation: Operation,
    id: &'static str,
    paths: &'static [&'static str],
    requests_per_minute: u32,
    summary: &'static str,
) -> Row {
    Row { tag: "shipping", per_minute: per_minute(requests_per_minute), ..action(operation, id, paths, summary) }
}

pub(super) const ROWS: &[Row] = &[
    step(
        Operation::ShippingRequestDriver,
        "shipping_request_driver",
        &["/shipping/v1.0/orders/{id}/requestDriver"],
        4_000,
        "Asks the marketplace for a courier.",
    ),
    step(
        Operation::CancelDriverRequest,
        "cancel_request_driver",
        &["/shipping/v1.0/orders/{id}/cancelRequestDriver", "/order/v1.0/orders/{id}/cancelRequestDriver"],
        600,
        "Asks that the courier does not come after all.",
    ),
    Row {
        takes: Takes::One("CancellationRequest"),
        ..step(
            Operation::ShippingCancel,
            "shipping_cancel",
            &["/shipping/v1.0/orders/{id}/cancel"],
            600,
            "Asks for the order to be cancelled.",
        )
    },
    step(
        Operation::ConfirmAddressChange,
        "user_confirm_address",
        &["/shipping/v1.0/orders/{id}/userConfirmAddress"],
        500,
        "The customer confirmed the new address.",
    ),
    step(
        Operation::AcceptAddressChange,
        "accept_delivery_address_change",
        &["/shipping/v1.0/orders/{id}/acceptDeliveryAddressChange"],
        500,
        "Accepts the new address.",
    ),
    step(
        Operation::DenyAddressChange,
        "deny_delivery_address_change",
        &["/shipping/v1.0/orders/{id}/denyDeliveryAddressChange"],
        500,
        "Denies the new address.",
    ),
];
