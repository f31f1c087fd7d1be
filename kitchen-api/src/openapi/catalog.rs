//! Schemas of the catalog.

use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema, Type};

use super::shapes::{Named, array, either, object, one_of, reference, shaped, some_of, text, typed, up_to};
use crate::catalog::requests::TEMPLATES;
use crate::catalog::{CONTEXTS, limits};

pub(super) fn schemas() -> Vec<Named> {
    answered().into_iter().chain(sent()).chain(changes()).collect()
}

fn status() -> RefOr<Schema> {
    one_of(&["AVAILABLE", "UNAVAILABLE"])
}

fn context() -> RefOr<Schema> {
    one_of(&["DEFAULT", "WHITELABEL", "INDOOR"])
}

fn flag() -> RefOr<Schema> {
    typed(Type::Boolean)
}

fn words() -> RefOr<Schema> {
    let word = shaped(&format!("^[A-Z0-9_]{{1,{}}}$", limits::WORD_MAX_CHARS));
    RefOr::T(Schema::Array(ArrayBuilder::new().items(word).max_items(Some(limits::RESTRICTIONS_MAX)).build()))
}

fn word() -> RefOr<Schema> {
    shaped(&format!("^[A-Z0-9_]{{1,{}}}$", limits::WORD_MAX_CHARS))
}

fn id() -> RefOr<Schema> {
    shaped(&format!("^[A-Za-z0-9_-]{{1,{}}}$", limits::ID_MAX_BYTES))
}

/// A text that may not be empty.
fn named(most_chars: usize) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(most_chars));
    RefOr::T(Schema::Object(
        text.pattern(Some(r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$")).build(),
    ))
}

fn any_text(most_chars: usize) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(most_chars));
    RefOr::T(Schema::Object(text.pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$")).build()))
}

fn number(most: u32) -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(most));
    RefOr::T(Schema::Object(number.build()))
}

fn money() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1_000_000));
    RefOr::T(Schema::Object(number.build()))
}

/// As it is sent: whoever reads answers with binary floating point would not find them multiples of anything.
fn cents() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1_000_000));
    RefOr::T(Schema::Object(number.multiple_of(Some(0.01)).build()))
}

fn day_flags() -> Vec<(&'static str, RefOr<Schema>)> {
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    days.iter().map(|day| (*day, flag())).collect()
}

fn answered() -> Vec<Named> {
    let category = || vec![("id", text()), ("name", text()), ("status", status()), ("template", text())];
    let position = || vec![("sequence", number(limits::INDEX_MAX)), ("index", number(limits::INDEX_MAX))];
    let codes = || vec![("externalCode?", text()), ("ean?", text()), ("serving?", text())];
    let texts = || vec![("id", text()), ("name", text()), ("additionalInformation?", text())];
    let times = vec![("startTime", text()), ("endTime", text())];
    let contexts = ("contextModifiers", array("ContextModifier"));
    vec![
        (
            "Catalog",
            object(&[
                ("catalogId", text()),
                ("groupId", text()),
                ("context", RefOr::T(Schema::Array(ArrayBuilder::new().items(context()).build()))),
                ("status", status()),
                ("modifiedAt", text()),
            ]),
        ),
        (
            "Category",
            object(&[category(), position(), vec![("externalCode?", text()), ("items?", array("Item"))]].concat()),
        ),
        ("ImagePath", object(&[("imagePath", text())])),
        ("Price", object(&[("value", money()), ("originalValue?", money())])),
        ("ItemShift", object(&[times, day_flags()].concat())),
        (
            "ContextModifier",
            object(&[
                ("catalogContext", context()),
                ("itemContextId?", text()),
                ("parentOptionId?", text()),
                ("price?", reference("Price")),
                ("status?", status()),
                ("externalCode?", text()),
            ]),
        ),
        (
            "Option",
            object(
                &[
                    vec![("id", text()), ("name", text()), ("description?", text()), ("externalCode?", text())],
                    vec![("imagePath?", text()), ("productId", text()), ("status", status())],
                    position(),
                    vec![("price", reference("Price")), contexts.clone()],
                ]
                .concat(),
            ),
        ),
        (
            "OptionGroup",
            object(
                &[
                    vec![("id", text()), ("name", text()), ("externalCode?", text()), ("optionGroupType", text())],
                    vec![("min", number(limits::CHOICES_MAX)), ("max", number(limits::CHOICES_MAX))],
                    vec![("status", status())],
                    position(),
                    vec![("options", array("Option"))],
                ]
                .concat(),
            ),
        ),
        (
            "Item",
            object(
                &[
                    texts(),
                    codes(),
                    vec![("description", text()), ("type", text()), ("categoryId", text()), ("status", status())],
                    position(),
                    vec![("productId", text()), ("imagePath", text()), ("price", reference("Price"))],
                    vec![("shifts", array("ItemShift")), ("dietaryRestrictions", words())],
                    vec![("hasOptionGroups", flag()), ("optionGroups", array("OptionGroup")), contexts],
                ]
                .concat(),
            ),
        ),
        ("GroupUse", {
            let times = number(limits::CHOICES_MAX);
            object(&[("id", text()), ("min", times.clone()), ("max", times)])
        }),
        (
            "Product",
            object(
                &[
                    texts(),
                    codes(),
                    vec![("description?", text()), ("imagePath?", text()), ("dietaryRestrictions", words())],
                    vec![("optionGroups", array("GroupUse"))],
                ]
                .concat(),
            ),
        ),
        ("CategoryItems", object(&[("categoryId", text()), ("items", array("Item")), ("products", array("Product"))])),
        ("Unsellable", object(&[("categories", array("UnsellableCategory"))])),
        (
            "UnsellableCategory",
            object(&[
                ("id", text()),
                ("name", text()),
                ("status", status()),
                ("restrictions", words()),
                ("unsellableItems", array("UnsellableItem")),
            ]),
        ),
        ("UnsellableItem", object(&[("id", text()), ("productId", text()), ("restrictions", words())])),
        ("BatchAccepted", object(&[("batchId", text())])),
        (
            "Batch",
            object(&[
                ("batchId", text()),
                ("batchStatus", one_of(&["PENDING", "PROCESSING", "COMPLETED"])),
                ("createdAt", text()),
                ("finishedAt?", text()),
                ("total", typed(Type::Integer)),
                ("processed", typed(Type::Integer)),
                ("failed", typed(Type::Integer)),
                ("results", array("BatchResult")),
            ]),
        ),
        (
            "BatchResult",
            object(&[
                ("index", typed(Type::Integer)),
                ("resourceId", text()),
                ("result", one_of(&["PENDING", "SUCCESS", "FAILED"])),
                ("field?", text()),
                ("message?", text()),
            ]),
        ),
    ]
}

fn sent() -> Vec<Named> {
    let code = || any_text(limits::CODE_MAX_CHARS);
    let templates = TEMPLATES.map(|(name, _)| name);
    let index = || number(limits::INDEX_MAX);
    let named = || named(limits::NAME_MAX_CHARS);
    let modifiers = || ("contextModifiers?", up_to(limits::MODIFIERS_MAX, reference("NewContextModifier")));
    let many = |name| up_to(limits::ENTITIES_PER_REQUEST_MAX, reference(name));
    let category = vec![
        ("status?", status()),
        ("template?", one_of(&templates)),
        ("index?", index()),
        ("sequence?", index()),
        ("externalCode?", code()),
    ];
    let time = || shaped(r"^([01]\d|2[0-3]):[0-5]\d(:00)?$");
    let days: Vec<(String, RefOr<Schema>)> =
        day_flags().into_iter().map(|(day, flag)| (format!("{day}?"), flag)).collect();
    let days: Vec<(&str, RefOr<Schema>)> = days.iter().map(|(day, flag)| (day.as_str(), flag.clone())).collect();
    let product = vec![
        ("name", named()),
        ("description?", any_text(limits::DESCRIPTION_MAX_CHARS)),
        ("additionalInformation?", any_text(limits::DESCRIPTION_MAX_CHARS)),
        ("externalCode?", code()),
        ("ean?", code()),
        ("imagePath?", code()),
        ("serving?", word()),
        ("dietaryRestrictions?", words()),
        ("optionGroups?", up_to(limits::GROUPS_PER_PRODUCT_MAX, reference("NewGroupUse"))),
    ];
    let sale = || {
        vec![
            ("productId", id()),
            ("status?", status()),
            ("price", reference("NewPrice")),
            ("externalCode?", code()),
            ("index?", index()),
            modifiers(),
        ]
    };
    let shifts = up_to(limits::SHIFTS_MAX, reference("NewItemShift"));
    vec![
        (
            "NewImage",
            object(&[("image", shaped("^[dD][aA][tT][aA]:[^,]*; *[bB][aA][sS][eE]64 *,[A-Za-z0-9+/]+={0,2}$"))]),
        ),
        ("NewPrice", object(&[("value", cents()), ("originalValue?", cents())])),
        ("NewCategory", object(&[vec![("id?", id()), ("name", named())], category.clone()].concat())),
        ("CategoryChange", object(&[vec![("name?", named())], category].concat())),
        ("NewGroupUse", {
            let times = number(limits::CHOICES_MAX);
            object(&[("id", id()), ("min?", times.clone()), ("max", times)])
        }),
        ("NewProduct", object(&[vec![("id?", id())], product.clone()].concat())),
        ("SentProduct", object(&[vec![("id", id())], product].concat())),
        ("NewItemShift", object(&[vec![("startTime", time()), ("endTime", time())], days].concat())),
        (
            "NewContextModifier",
            object(&[
                ("catalogContext", context()),
                ("parentOptionId?", id()),
                ("price?", reference("NewPrice")),
                ("status?", status()),
                ("externalCode?", code()),
            ]),
        ),
        (
            "SentItem",
            object(
                &[vec![("id", id()), ("type?", word()), ("categoryId", id()), ("shifts?", shifts)], sale()].concat(),
            ),
        ),
        (
            "SentGroup",
            object(&[
                ("id", id()),
                ("name", named()),
                ("externalCode?", code()),
                ("status?", status()),
                ("index?", index()),
                ("optionGroupType?", word()),
                ("optionIds?", up_to(limits::OPTIONS_PER_GROUP_MAX, id())),
            ]),
        ),
        ("SentOption", object(&[vec![("id", id())], sale()].concat())),
        (
            "WholeItem",
            object(&[
                ("item", reference("SentItem")),
                ("products?", many("SentProduct")),
                ("optionGroups?", many("SentGroup")),
                ("options?", many("SentOption")),
            ]),
        ),
    ]
}

fn changes() -> Vec<Named> {
    let contexts = CONTEXTS;
    let by = |name: &str| up_to(contexts, reference(name));
    // One of the two has to be there, and says something.
    let change = |of: &str, name: &str, value: RefOr<Schema>, by_name: &str, by_schema: &str| {
        let (name_or_none, by_or_none) = (format!("{name}?"), format!("{by_name}?"));
        either(
            object(&[(of, id()), (name, value.clone()), (&by_or_none, by(by_schema))]),
            object(&[(of, id()), (&name_or_none, value), (by_name, some_of(contexts, reference(by_schema)))]),
        )
    };
    let price = |of| change(of, "price", reference("NewPrice"), "priceByCatalog", "PriceInContext");
    let status_by = |of| change(of, "status", status(), "statusByCatalog", "StatusInContext");
    vec![
        ("PriceInContext", object(&[("catalogContext", context()), ("value", cents()), ("originalValue?", cents())])),
        ("StatusInContext", object(&[("catalogContext", context()), ("status", status())])),
        ("ItemPrice", price("itemId")),
        ("ItemStatus", status_by("itemId")),
        ("OptionPrice", price("optionId")),
        ("OptionStatus", status_by("optionId")),
    ]
}
