//! Schemas of shipping.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use super::shapes::{Named, array, object, one_of, reference, shaped, some_of, text, texts, typed, up_to, uuid};
use crate::shipping::{
    DISPLAY_ID_MAX_CHARS, ITEMS_MAX, METHODS_MAX, NAME_MAX_CHARS, OPTIONAL, OPTIONAL_MAX_CHARS, OPTIONS_MAX,
    PREPARATION_MAX_S, REQUIRED,
};

/// The highest amount.
const AMOUNT_MAX: u32 = 1_000_000;

pub(super) fn schemas() -> Vec<Named> {
    quote_schemas().into_iter().chain(address_schemas()).chain(order_schemas()).collect()
}

fn quote_schemas() -> Vec<Named> {
    let (whole, number) = (|| typed(Type::Integer), || typed(Type::Number));
    let price = ["grossValue", "discount", "raise", "netValue"].map(|name| (name, number()));
    vec![
        (
            "DeliveryAvailability",
            object(&[
                ("id", text()),
                ("expirationAt", text()),
                ("createdAt", text()),
                ("distance", whole()),
                ("preparationTime", whole()),
                ("quote", reference("DeliveryQuote")),
                ("deliveryTime", object(&[("min", whole()), ("max", whole())])),
                ("hasPaymentMethods", typed(Type::Boolean)),
                ("paymentMethods", array("DeliveryPaymentMethod")),
            ]),
        ),
        ("DeliveryQuote", object(&price)),
        ("DeliveryPaymentMethod", texts(&["id", "brand?", "liability", "paymentType", "method"])),
    ]
}

fn address_schemas() -> Vec<Named> {
    let required = REQUIRED.map(|(name, most)| (name.to_owned(), said(most)));
    let optional = OPTIONAL.map(|name| (format!("{name}?"), maybe_said(OPTIONAL_MAX_CHARS)));
    let coordinates = ("coordinates".to_owned(), reference("Coordinates"));
    let fields: Vec<(String, RefOr<Schema>)> = required.into_iter().chain(optional).chain([coordinates]).collect();
    let fields: Vec<(&str, RefOr<Schema>)> =
        fields.iter().map(|(name, schema)| (name.as_str(), schema.clone())).collect();
    vec![
        ("NewDeliveryAddress", object(&fields)),
        ("Coordinates", object(&[("latitude", degrees(90.0)), ("longitude", degrees(180.0))])),
    ]
}

fn order_schemas() -> Vec<Named> {
    let name = || said(NAME_MAX_CHARS);
    let priced = || {
        vec![
            ("id", said(100)),
            ("name", name()),
            ("quantity", quantity()),
            ("unitPrice", amount()),
            ("price", amount()),
        ]
    };
    let maybe = || {
        vec![("externalCode?", maybe_said(100)), ("groupName?", maybe_said(NAME_MAX_CHARS)), ("unit?", maybe_said(40))]
    };
    let of_item = vec![
        ("optionsPrice?", amount()),
        ("totalPrice", amount()),
        ("observations?", maybe_said(1_000)),
        ("options?", up_to(OPTIONS_MAX, reference("OutsideOption"))),
    ];
    let phone =
        [("type?", text()), ("countryCode?", maybe_said(20)), ("areaCode?", maybe_said(20)), ("number", said(20))];
    vec![
        (
            "OutsideOrder",
            object(&[
                ("customer", object(&[("name", name()), ("phone", object(&phone))])),
                ("delivery", reference("OutsideDelivery")),
                ("items", some_of(ITEMS_MAX, reference("OutsideItem"))),
                ("payments", object(&[("methods", some_of(METHODS_MAX, reference("OutsidePayment")))])),
                ("displayId?", maybe_said(DISPLAY_ID_MAX_CHARS)),
                ("metadata?", typed(Type::Object)),
            ]),
        ),
        (
            "OutsideDelivery",
            object(&[
                ("merchantFee", amount()),
                ("preparationTime?", whole_up_to(PREPARATION_MAX_S)),
                ("quoteId", uuid()),
                ("deliveryAddress", reference("NewDeliveryAddress")),
            ]),
        ),
        ("OutsideItem", object(&[priced(), maybe(), of_item].concat())),
        ("OutsideOption", object(&[priced(), maybe()].concat())),
        (
            "OutsidePayment",
            object(&[
                ("method", said(40)),
                ("type", one_of(&["ONLINE", "OFFLINE"])),
                ("value", amount()),
                ("card?", object(&[("brand?", maybe_said(40))])),
            ]),
        ),
        ("OutsideOrderPlaced", texts(&["id"])),
    ]
}

/// A text that says something, of at most so many characters.
fn said(most_chars: usize) -> RefOr<Schema> {
    let between = most_chars.saturating_sub(2);
    shaped(&format!(r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{{0,{between}}}[^\s\x00-\x1f\x7f-\x9f])?$"))
}

/// A text of at most so many characters.
fn maybe_said(most_chars: usize) -> RefOr<Schema> {
    shaped(&format!(r"^[^\x00-\x1f\x7f-\x9f]{{0,{most_chars}}}$"))
}

fn whole_up_to(most: u32) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    RefOr::T(Schema::Object(number.maximum(Some(most)).build()))
}

/// An amount: at most two decimals.
fn amount() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).multiple_of(Some(0.01));
    RefOr::T(Schema::Object(number.maximum(Some(AMOUNT_MAX)).build()))
}

fn quantity() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number).exclusive_minimum(Some(0)).multiple_of(Some(0.001));
    RefOr::T(Schema::Object(number.maximum(Some(AMOUNT_MAX)).build()))
}

fn degrees(most: f64) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-most));
    RefOr::T(Schema::Object(number.maximum(Some(most)).build()))
}
