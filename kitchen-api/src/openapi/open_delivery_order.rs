//! The schema of an Open Delivery order, with everything that we may say in one.

use utoipa::openapi::{RefOr, Schema, Type};

use super::shapes::{Named, array, array_of, object, one_of, reference, text, texts, typed};

pub(super) fn schemas() -> Vec<Named> {
    vec![
        ("Price", object(&[("value", number()), ("currency", text())])),
        ("OrderMerchant", texts(&["id", "name"])),
        ("OrderItem", item(&[("optionsPrice?", price()), ("options?", array("OrderOption"))])),
        ("OrderOption", item(&[])),
        ("OrderFee", fee()),
        ("OrderDiscount", discount()),
        (
            "OrderTotal",
            object(&[("itemsPrice", price()), ("otherFees", price()), ("discount", price()), ("orderAmount", price())]),
        ),
        ("OrderPayments", object(&[("prepaid", number()), ("pending", number()), ("methods", array("PaymentMethod"))])),
        ("PaymentMethod", payment_method()),
        ("Phone", texts(&["number", "extension?"])),
        ("OrderCustomer", customer()),
        ("OrderSchedule", texts(&["scheduledDateTimeStart", "scheduledDateTimeEnd"])),
        ("Coordinates", object(&[("latitude", number()), ("longitude", number())])),
        ("OrderAddress", address()),
        ("OrderDelivery", delivery()),
        ("OrderTakeout", texts(&["mode", "takeoutDateTime"])),
        ("OrderIndoor", texts(&["mode", "indoorDateTime", "place?", "tab?", "seat?", "waiterCode?"])),
        ("OpenDeliveryOrder", order()),
    ]
}

fn number() -> RefOr<Schema> {
    typed(Type::Number)
}

fn price() -> RefOr<Schema> {
    reference("Price")
}

fn anything() -> RefOr<Schema> {
    typed(Type::Object)
}

fn item(more: &[(&str, RefOr<Schema>)]) -> RefOr<Schema> {
    let mut fields = vec![
        ("id", text()),
        ("index?", typed(Type::Integer)),
        ("name", text()),
        ("externalCode", text()),
        ("unit", one_of(&["UN", "KG", "L", "OZ", "LB", "GAL"])),
        ("ean?", text()),
        ("quantity", number()),
        ("specialInstructions?", text()),
        ("unitPrice", price()),
        ("originalPrice?", price()),
        ("subtotalPrice?", price()),
        ("totalPrice", price()),
        ("scalePriceApplied?", typed(Type::Boolean)),
        ("indoor?", anything()),
    ];
    fields.extend_from_slice(more);
    object(&fields)
}

fn fee() -> RefOr<Schema> {
    object(&[
        ("name", text()),
        ("type", one_of(&["DELIVERY_FEE", "SERVICE_FEE", "TIP", "MIN_ORDER_FEE"])),
        ("receivedBy", one_of(&["MARKETPLACE", "MERCHANT", "LOGISTIC_SERVICES"])),
        ("receiverDocument?", text()),
        ("price", price()),
        ("observation?", text()),
    ])
}

fn discount() -> RefOr<Schema> {
    let sponsor = object(&[
        ("name", one_of(&["MARKETPLACE", "MERCHANT", "CHAIN"])),
        ("amount", price()),
        ("discountCode?", text()),
    ]);
    object(&[
        ("amount", price()),
        ("target", one_of(&["CART", "DELIVERY_FEE", "ITEM"])),
        ("targetId?", text()),
        ("sponsorshipValues", array_of(sponsor)),
    ])
}

fn payment_method() -> RefOr<Schema> {
    object(&[
        ("value", number()),
        ("currency", text()),
        ("type", one_of(&["PREPAID", "PENDING"])),
        ("method", text()),
        ("brand?", text()),
        ("methodInfo?", text()),
        ("transaction?", anything()),
        ("changeFor?", number()),
    ])
}

fn customer() -> RefOr<Schema> {
    object(&[
        ("id", text()),
        ("name", text()),
        ("documentNumber?", text()),
        ("phone", reference("Phone")),
        ("email?", text()),
        ("ordersCountOnMerchant", number()),
    ])
}

fn address() -> RefOr<Schema> {
    object(&[
        ("country", text()),
        ("state", text()),
        ("city", text()),
        ("district", text()),
        ("street", text()),
        ("number", text()),
        ("complement?", text()),
        ("reference?", text()),
        ("formattedAddress", text()),
        ("postalCode", text()),
        ("coordinates", reference("Coordinates")),
    ])
}

fn delivery() -> RefOr<Schema> {
    object(&[
        ("deliveredBy", one_of(&["MERCHANT", "MARKETPLACE"])),
        ("deliveryAddress", reference("OrderAddress")),
        ("estimatedDeliveryDateTime", text()),
        ("deliveryDateTime?", text()),
        ("pickupCode?", text()),
    ])
}

fn order() -> RefOr<Schema> {
    let flag = || typed(Type::Boolean);
    object(&[
        ("id", text()),
        ("type", one_of(&["DELIVERY", "TAKEOUT", "INDOOR"])),
        ("displayId", text()),
        ("sourceAppId?", text()),
        ("salesChannel?", text()),
        ("virtualBrand?", text()),
        ("category?", text()),
        ("createdAt", text()),
        ("lastEvent?", reference("EventType")),
        ("orderTiming", one_of(&["INSTANT", "SCHEDULED", "ONDEMAND"])),
        ("preparationStartDateTime", text()),
        ("merchant", reference("OrderMerchant")),
        ("items", array("OrderItem")),
        ("otherFees?", array("OrderFee")),
        ("discounts?", array("OrderDiscount")),
        ("total", reference("OrderTotal")),
        ("payments", reference("OrderPayments")),
        ("taxInvoice?", anything()),
        ("customer?", reference("OrderCustomer")),
        ("schedule?", reference("OrderSchedule")),
        ("orderPriority?", text()),
        ("delivery?", reference("OrderDelivery")),
        ("takeout?", reference("OrderTakeout")),
        ("indoor?", reference("OrderIndoor")),
        ("sendPreparing", flag()),
        ("sendDelivered", flag()),
        ("sendPickedUp", flag()),
        ("sendTracking", flag()),
        ("extraInfo?", text()),
    ])
}
