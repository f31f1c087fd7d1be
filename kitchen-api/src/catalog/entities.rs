//! What a catalog consists of: categories, items, products, option groups, options, and the codes that products have claimed.
//!
//! Pure values, read by `requests`, kept consistent by `menu`, rendered by `views`. The derived serialisation is what the
//! table keeps, under the format that `store` writes beside it; it is never a body's.

use serde::{Deserialize, Serialize};

use super::money::Money;

/// What an entity is. The order is that of the table's sort keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EntityKind {
    Category,
    Code,
    Group,
    Item,
    Option,
    Product,
}

/// Which entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: EntityKind,
    pub(crate) id: String,
}

impl Key {
    pub(crate) fn new(kind: EntityKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }

    pub(crate) fn category(id: impl Into<String>) -> Self {
        Self::new(EntityKind::Category, id)
    }

    pub(crate) fn item(id: impl Into<String>) -> Self {
        Self::new(EntityKind::Item, id)
    }

    pub(crate) fn product(id: impl Into<String>) -> Self {
        Self::new(EntityKind::Product, id)
    }

    pub(crate) fn group(id: impl Into<String>) -> Self {
        Self::new(EntityKind::Group, id)
    }

    pub(crate) fn option(id: impl Into<String>) -> Self {
        Self::new(EntityKind::Option, id)
    }

    /// The claim of a product's external code.
    pub(crate) fn code(code: impl Into<String>) -> Self {
        Self::new(EntityKind::Code, code)
    }
}

/// Whether something is on sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Availability {
    Available,
    Unavailable,
}

impl Availability {
    pub(crate) const ALL: [(&str, Self); 2] = [("AVAILABLE", Self::Available), ("UNAVAILABLE", Self::Unavailable)];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Available => "AVAILABLE",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// Where a menu is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Context {
    Default,
    Whitelabel,
    Indoor,
}

impl Context {
    pub(crate) const ALL: [(&str, Self); 3] =
        [("DEFAULT", Self::Default), ("WHITELABEL", Self::Whitelabel), ("INDOOR", Self::Indoor)];

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::Whitelabel => "WHITELABEL",
            Self::Indoor => "INDOOR",
        }
    }
}

/// What something costs, and what it cost before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Price {
    pub(crate) value: Money,
    pub(crate) original: Option<Money>,
}

/// What differs in one context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Modifier {
    pub(crate) context: Context,
    /// Of an option: the option it hangs on, such as a pizza's size. Kept as it was sent.
    pub(crate) parent_option_id: Option<String>,
    pub(crate) price: Option<Price>,
    pub(crate) status: Option<Availability>,
    pub(crate) external_code: Option<String>,
}

impl Modifier {
    pub(crate) const fn empty(context: Context) -> Self {
        Self { context, parent_option_id: None, price: None, status: None, external_code: None }
    }
}

/// Hours of sale: minutes of the day, the end included, and Monday to Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shift {
    pub(crate) start_minute: u16,
    pub(crate) end_minute: u16,
    pub(crate) days: [bool; 7],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Category {
    pub(crate) name: String,
    pub(crate) status: Availability,
    pub(crate) template: String,
    pub(crate) index: u32,
    pub(crate) external_code: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) kind: String,
    pub(crate) category_id: String,
    pub(crate) product_id: String,
    pub(crate) status: Availability,
    pub(crate) price: Price,
    pub(crate) external_code: Option<String>,
    pub(crate) index: u32,
    pub(crate) shifts: Vec<Shift>,
    pub(crate) modifiers: Vec<Modifier>,
}

/// How a product's option group is to be chosen from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupUse {
    pub(crate) id: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) additional_information: Option<String>,
    pub(crate) external_code: Option<String>,
    pub(crate) ean: Option<String>,
    pub(crate) image_path: Option<String>,
    pub(crate) serving: Option<String>,
    pub(crate) dietary_restrictions: Vec<String>,
    pub(crate) groups: Vec<GroupUse>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OptionGroup {
    pub(crate) name: String,
    pub(crate) external_code: Option<String>,
    pub(crate) status: Availability,
    pub(crate) index: u32,
    pub(crate) kind: String,
    pub(crate) option_ids: Vec<String>,
}

/// An option of a group: a product, and what it adds to the price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    pub(crate) product_id: String,
    pub(crate) status: Availability,
    pub(crate) price: Price,
    pub(crate) external_code: Option<String>,
    pub(crate) index: u32,
    pub(crate) modifiers: Vec<Modifier>,
}

/// Whose external code it is: that of the product of this id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) product_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entity {
    Category(Category),
    Code(Claim),
    Group(OptionGroup),
    Item(Item),
    Option(Choice),
    Product(Product),
}

impl Entity {
    pub(crate) const fn kind(&self) -> EntityKind {
        match self {
            Self::Category(_) => EntityKind::Category,
            Self::Code(_) => EntityKind::Code,
            Self::Group(_) => EntityKind::Group,
            Self::Item(_) => EntityKind::Item,
            Self::Option(_) => EntityKind::Option,
            Self::Product(_) => EntityKind::Product,
        }
    }

    /// What has to exist for this to make sense, each with the field that names it. A claim's product is not among them: the
    /// claim comes and goes with its product.
    pub(crate) fn references(&self) -> Vec<(Key, String)> {
        match self {
            Self::Category(_) | Self::Code(_) => Vec::new(),
            Self::Item(item) => vec![
                (Key::category(&item.category_id), "categoryId".to_owned()),
                (Key::product(&item.product_id), "productId".to_owned()),
            ],
            Self::Option(choice) => vec![(Key::product(&choice.product_id), "productId".to_owned())],
            Self::Product(product) => {
                let groups = product.groups.iter().enumerate();
                groups.map(|(at, group)| (Key::group(&group.id), format!("optionGroups[{at}].id"))).collect()
            }
            Self::Group(group) => {
                let options = group.option_ids.iter().enumerate();
                options.map(|(at, id)| (Key::option(id), format!("optionIds[{at}]"))).collect()
            }
        }
    }
}
