//! Shipping (PARTNER_API, 1.7): what a courier of the platform costs, orders made outside, asking for a courier, taking that back,
//! cancelling, and changes of an address. Tracking is `order`'s; the `trackingUrl` of an order made outside is absent: we have no
//! page that would show it.

use super::orders::action;
use super::{Answers, IDEMPOTENCY_KEY, Operation, Parameter, Row, Shape, Takes, Verb, get, per_minute, query};

const fn step(
    operation: Operation,
    id: &'static str,
    paths: &'static [&'static str],
    requests_per_minute: u32,
    summary: &'static str,
) -> Row {
    Row { tag: "shipping", per_minute: per_minute(requests_per_minute), ..action(operation, id, paths, summary) }
}

/// Degrees with six decimals: 11 cm.
const PLACE: &[Parameter] = &[
    query("latitude", "Where the order goes, in degrees from -90 to 90.")
        .shaped(Shape::Pattern(r"^-?([0-8]?[0-9](\.[0-9]{1,6})?|90(\.0{1,6})?)$"))
        .required(),
    query("longitude", "The same, in degrees from -180 to 180.")
        .shaped(Shape::Pattern(r"^-?((1[0-7][0-9]|[0-9]?[0-9])(\.[0-9]{1,6})?|180(\.0{1,6})?)$"))
        .required(),
];

const fn quote(operation: Operation, id: &'static str, paths: &'static [&'static str], summary: &'static str) -> Row {
    Row {
        tag: "shipping",
        summary,
        answers: Answers::One("DeliveryAvailability"),
        errors: &[400, 404],
        per_minute: per_minute(4_000),
        ..get(operation, id, paths)
    }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        parameters: PLACE,
        errors: &[400],
        ..quote(
            Operation::QuoteForPlace,
            "quote_for_place",
            &["/shipping/v1.0/merchants/{id}/deliveryAvailabilities"],
            "What a courier of the platform to this place would cost, or why there is none.",
        )
    },
    quote(
        Operation::QuoteForOrder,
        "quote_for_order",
        &["/shipping/v1.0/orders/{id}/deliveryAvailabilities"],
        "What a courier of the platform for this order would cost, or why there is none.",
    ),
    Row {
        tag: "shipping",
        verb: Verb::Post,
        summary: "Places an order that was made outside, takes it and asks for a courier. A quote is good for one order; the same \
                  request again finishes what was begun.",
        takes: Takes::One("OutsideOrder"),
        answers: Answers::Taken("OutsideOrderPlaced"),
        parameters: IDEMPOTENCY_KEY,
        errors: &[400, 408, 409, 413, 422],
        per_minute: per_minute(4_000),
        ..get(Operation::PlaceOutsideOrder, "place_outside_order", &["/shipping/v1.0/merchants/{id}/orders"])
    },
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
        takes: Takes::Optional("CancellationRequest"),
        ..step(
            Operation::ShippingCancel,
            "shipping_cancel",
            &["/shipping/v1.0/orders/{id}/cancel"],
            600,
            "Asks for the order to be cancelled.",
        )
    },
    Row {
        takes: Takes::One("NewDeliveryAddress"),
        ..step(
            Operation::RequestAddressChange,
            "request_delivery_address_change",
            &["/shipping/v1.0/orders/{id}/deliveryAddressChangeRequest"],
            500,
            "Asks that the order goes to another address; the order shows it as `delivery.newAddress` until that is answered.",
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
