//! How a catalog is answered. The fields are PARTNER_API's, section 1.6; money is written as the decimal it is.
//!
//! Pure; called by `endpoints`. What an entity refers to is looked up in a [`Lookup`]; what is not there is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::entities::{
    Availability, Category, Choice, Context, Entity, Item, Key, Modifier, OptionGroup, Price, Product, Shift,
};
use super::menu::Stored;
use super::money::Amount;
use crate::merchants::uuid_text;

/// What was read of a catalog.
pub(super) type Lookup = BTreeMap<Key, Stored>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PriceView {
    value: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_value: Option<Amount>,
}

impl From<Price> for PriceView {
    fn from(price: Price) -> Self {
        Self { value: Amount(price.value), original_value: price.original.map(Amount) }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShiftView {
    start_time: String,
    end_time: String,
    monday: bool,
    tuesday: bool,
    wednesday: bool,
    thursday: bool,
    friday: bool,
    saturday: bool,
    sunday: bool,
}

impl From<&Shift> for ShiftView {
    fn from(shift: &Shift) -> Self {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let [monday, tuesday, wednesday, thursday, friday, saturday, sunday] = shift.days;
        let (start_time, end_time) = (time(shift.start_minute), time(shift.end_minute));
        Self { start_time, end_time, monday, tuesday, wednesday, thursday, friday, saturday, sunday }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModifierView<'a> {
    catalog_context: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_context_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_option_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
}

fn modifier(one: &Modifier, item_context_id: Option<String>) -> ModifierView<'_> {
    ModifierView {
        catalog_context: one.context.text(),
        item_context_id,
        parent_option_id: one.parent_option_id.as_deref(),
        price: one.price.map(PriceView::from),
        status: one.status.map(Availability::text),
        external_code: one.external_code.as_deref(),
    }
}

/// The id an order would name the item by in one context: nothing is stored for that.
fn item_context_id(item_id: &str, context: Context) -> String {
    let mut hash = Sha256::new();
    hash.update(context.text());
    hash.update([0]);
    hash.update(item_id);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid_text(bytes)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OptionView<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_path: Option<&'a str>,
    product_id: &'a str,
    status: &'static str,
    sequence: u32,
    index: u32,
    price: PriceView,
    context_modifiers: Vec<ModifierView<'a>>,
}

pub(super) fn option<'a>(lookup: &'a Lookup, id: &'a str) -> Option<OptionView<'a>> {
    let Entity::Option(option) = &lookup.get(&Key::option(id))?.entity else { return None };
    let product = product_of(lookup, &option.product_id)?;
    Some(OptionView {
        id,
        name: &product.name,
        description: product.description.as_deref(),
        external_code: option.external_code.as_deref().or(product.external_code.as_deref()),
        image_path: product.image_path.as_deref(),
        product_id: &option.product_id,
        status: option.status.text(),
        sequence: option.index,
        index: option.index,
        price: option.price.into(),
        context_modifiers: option.modifiers.iter().map(|one| modifier(one, None)).collect(),
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
    option_group_type: &'a str,
    min: u32,
    max: u32,
    status: &'static str,
    sequence: u32,
    index: u32,
    options: Vec<OptionView<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemView<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_information: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ean: Option<&'a str>,
    r#type: &'a str,
    category_id: &'a str,
    status: &'static str,
    sequence: u32,
    index: u32,
    product_id: &'a str,
    image_path: &'a str,
    price: PriceView,
    shifts: Vec<ShiftView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<&'a str>,
    dietary_restrictions: &'a [String],
    has_option_groups: bool,
    option_groups: Vec<GroupView<'a>>,
    context_modifiers: Vec<ModifierView<'a>>,
}

pub(super) fn product_of<'a>(lookup: &'a Lookup, id: &str) -> Option<&'a Product> {
    match lookup.get(&Key::product(id)).map(|stored| &stored.entity) {
        Some(Entity::Product(product)) => Some(product),
        _ => None,
    }
}

fn group_of<'a>(lookup: &'a Lookup, id: &str) -> Option<&'a OptionGroup> {
    match lookup.get(&Key::group(id)).map(|stored| &stored.entity) {
        Some(Entity::Group(group)) => Some(group),
        _ => None,
    }
}

/// The options of a group, by their position; of what was read in the middle of a change, those that are there.
pub(super) fn choices<'a>(lookup: &'a Lookup, group: &'a OptionGroup) -> impl Iterator<Item = (&'a str, &'a Choice)> {
    group.option_ids.iter().filter_map(move |id| match lookup.get(&Key::option(id)).map(|stored| &stored.entity) {
        Some(Entity::Option(choice)) => Some((id.as_str(), choice)),
        _ => None,
    })
}

/// The option groups of a product, each with how it is to be chosen from.
pub(super) fn groups<'a>(
    lookup: &'a Lookup,
    product: &'a Product,
) -> impl Iterator<Item = (&'a super::entities::GroupUse, &'a OptionGroup)> {
    product.groups.iter().filter_map(move |wanted| group_of(lookup, &wanted.id).map(|group| (wanted, group)))
}

fn group_views<'a>(lookup: &'a Lookup, product: &'a Product) -> Vec<GroupView<'a>> {
    let mut views: Vec<GroupView<'a>> = groups(lookup, product)
        .map(|(wanted, group)| {
            let mut options: Vec<OptionView<'a>> =
                choices(lookup, group).filter_map(|(id, _)| option(lookup, id)).collect();
            options.sort_by_key(|option| option.index);
            GroupView {
                id: &wanted.id,
                name: &group.name,
                external_code: group.external_code.as_deref(),
                option_group_type: &group.kind,
                min: wanted.min,
                max: wanted.max,
                status: group.status.text(),
                sequence: group.index,
                index: group.index,
                options,
            }
        })
        .collect();
    views.sort_by_key(|group| group.index);
    views
}

/// An item as it is answered; nothing when its product is not there.
pub(super) fn item<'a>(lookup: &'a Lookup, id: &'a str, item: &'a Item) -> Option<ItemView<'a>> {
    let product = product_of(lookup, &item.product_id)?;
    let own = |context| item.modifiers.iter().find(move |one| one.context == context);
    let contexts = Context::ALL.iter().filter_map(|(_, context)| {
        let context_id = Some(item_context_id(id, *context));
        match own(*context) {
            Some(one) => Some(modifier(one, context_id)),
            None if *context == Context::Default => {
                let catalog_context = context.text();
                let (price, status, external_code, parent_option_id) = (None, None, None, None);
                let item_context_id = context_id;
                Some(ModifierView { catalog_context, item_context_id, parent_option_id, price, status, external_code })
            }
            None => None,
        }
    });
    Some(ItemView {
        id,
        name: &product.name,
        description: product.description.as_deref().unwrap_or_default(),
        additional_information: product.additional_information.as_deref(),
        external_code: item.external_code.as_deref().or(product.external_code.as_deref()),
        ean: product.ean.as_deref(),
        r#type: &item.kind,
        category_id: &item.category_id,
        status: item.status.text(),
        sequence: item.index,
        index: item.index,
        product_id: &item.product_id,
        image_path: product.image_path.as_deref().unwrap_or_default(),
        price: item.price.into(),
        shifts: item.shifts.iter().map(ShiftView::from).collect(),
        serving: product.serving.as_deref(),
        dietary_restrictions: &product.dietary_restrictions,
        has_option_groups: !product.groups.is_empty(),
        option_groups: group_views(lookup, product),
        context_modifiers: contexts.collect(),
    })
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CategoryView<'a> {
    id: &'a str,
    name: &'a str,
    status: &'static str,
    sequence: u32,
    index: u32,
    template: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
}

pub(super) fn category<'a>(id: &'a str, category: &'a Category) -> CategoryView<'a> {
    CategoryView {
        id,
        name: &category.name,
        status: category.status.text(),
        sequence: category.index,
        index: category.index,
        template: &category.template,
        external_code: category.external_code.as_deref(),
    }
}

#[derive(Debug, Serialize)]
struct GroupUseView<'a> {
    id: &'a str,
    min: u32,
    max: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProductView<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_information: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ean: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<&'a str>,
    dietary_restrictions: &'a [String],
    option_groups: Vec<GroupUseView<'a>>,
}

pub(super) fn product<'a>(id: &'a str, product: &'a Product) -> ProductView<'a> {
    let groups = product.groups.iter().map(|group| GroupUseView { id: &group.id, min: group.min, max: group.max });
    ProductView {
        id,
        name: &product.name,
        description: product.description.as_deref(),
        additional_information: product.additional_information.as_deref(),
        external_code: product.external_code.as_deref(),
        ean: product.ean.as_deref(),
        image_path: product.image_path.as_deref(),
        serving: product.serving.as_deref(),
        dietary_restrictions: &product.dietary_restrictions,
        option_groups: groups.collect(),
    }
}
