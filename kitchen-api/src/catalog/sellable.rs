//! Which items cannot be ordered as things stand, and why.
//!
//! Pure; called by `endpoints`. Hours of sale are deliberately absent: an item out of its hours is not out of order.

use serde::Serialize;

use super::entities::{Availability, Category, Entity, Item, Key};
use super::views::{Lookup, choices, groups, product_of};

/// The category is paused.
pub(crate) const CATEGORY_PAUSED: &str = "CATEGORY_PAUSED";
/// The item is paused.
pub(crate) const ITEM_PAUSED: &str = "ITEM_PAUSED";
/// Of an option group there are fewer options on sale than have to be chosen.
pub(crate) const OPTIONS_MISSING: &str = "REQUIRED_OPTIONS_UNAVAILABLE";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnsellableItem<'a> {
    id: &'a str,
    product_id: &'a str,
    restrictions: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UnsellableCategory<'a> {
    id: &'a str,
    name: &'a str,
    status: &'static str,
    restrictions: Vec<&'static str>,
    unsellable_items: Vec<UnsellableItem<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Unsellable<'a> {
    categories: Vec<UnsellableCategory<'a>>,
}

/// The categories that have such items, or are paused.
pub(super) fn unsellable(lookup: &Lookup) -> Unsellable<'_> {
    let mut categories: std::collections::BTreeMap<&str, UnsellableCategory<'_>> = lookup
        .iter()
        .filter_map(|(key, stored)| match &stored.entity {
            Entity::Category(category) => Some((key.id.as_str(), empty(key, category))),
            _ => None,
        })
        .collect();
    for (key, stored) in lookup {
        let Entity::Item(item) = &stored.entity else { continue };
        let Some(category) = categories.get_mut(item.category_id.as_str()) else { continue };
        let mut restrictions = category.restrictions.clone();
        restrictions.extend(restrictions_of(lookup, item));
        if !restrictions.is_empty() {
            category.unsellable_items.push(UnsellableItem { id: &key.id, product_id: &item.product_id, restrictions });
        }
    }
    let with_any =
        |category: &UnsellableCategory<'_>| !category.restrictions.is_empty() || !category.unsellable_items.is_empty();
    Unsellable { categories: categories.into_values().filter(with_any).collect() }
}

fn empty<'a>(key: &'a Key, category: &'a Category) -> UnsellableCategory<'a> {
    let is_paused = category.status == Availability::Unavailable;
    UnsellableCategory {
        id: &key.id,
        name: &category.name,
        status: category.status.text(),
        restrictions: if is_paused { vec![CATEGORY_PAUSED] } else { Vec::new() },
        unsellable_items: Vec::new(),
    }
}

fn restrictions_of(lookup: &Lookup, item: &Item) -> Vec<&'static str> {
    let mut restrictions = Vec::new();
    if item.status == Availability::Unavailable {
        restrictions.push(ITEM_PAUSED);
    }
    let lacks_options = product_of(lookup, &item.product_id).is_some_and(|product| {
        groups(lookup, product).any(|(wanted, group)| {
            let on_sale = choices(lookup, group).filter(|(_, choice)| choice.status == Availability::Available).count();
            let on_sale = if group.status == Availability::Available { on_sale } else { 0 };
            // One option may be chosen several times.
            wanted.min > 0 && on_sale == 0
        })
    });
    if lacks_options {
        restrictions.push(OPTIONS_MISSING);
    }
    restrictions
}
