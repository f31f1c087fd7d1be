//! What the bodies of PARTNER_API, section 1.6, mean. Unknown fields are tolerated and not kept.
//!
//! Pure; called by `endpoints`. Whether what they refer to exists is the menu's to say.

use std::collections::BTreeSet;

use super::edits::{CategoryChange, Change, Patch, WholeItem};
use super::entities::{
    Availability, Category, Choice, Context, GroupUse, Item, Key, Modifier, OptionGroup, Price, Product, Shift,
};
use super::limits::{
    BATCH_ENTRIES_MAX, CHOICES_MAX, CODE_MAX_CHARS, DESCRIPTION_MAX_CHARS, ENTITIES_PER_REQUEST_MAX,
    GROUPS_PER_PRODUCT_MAX, INDEX_MAX, MODIFIERS_MAX, NAME_MAX_CHARS, OPTIONS_PER_GROUP_MAX, RESTRICTIONS_MAX,
    SHIFTS_MAX,
};
use super::reader::{Body, Object};
use super::refusal::Refusal;

/// The templates of categories.
pub(crate) const TEMPLATES: [(&str, &str); 2] = [("DEFAULT", "DEFAULT"), ("PIZZA", "PIZZA")];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A new category with the id it asks for, if any.
pub(super) fn new_category(body: &[u8]) -> Result<(Option<String>, Category), Refusal> {
    let body = Object::body(body)?;
    let change = category_fields(&body)?;
    let name = body.required_text("name", NAME_MAX_CHARS)?;
    let category = Category {
        name,
        status: change.status.unwrap_or(Availability::Available),
        template: change.template.unwrap_or_else(|| TEMPLATES[0].0.to_owned()),
        index: change.index.unwrap_or(0),
        external_code: change.external_code,
    };
    Ok((body.id("id")?, category))
}

/// What is to be different about a category.
pub(super) fn category_change(body: &[u8]) -> Result<CategoryChange, Refusal> {
    let body = Object::body(body)?;
    let change = category_fields(&body)?;
    // An empty name is none, and a category has one.
    let name = if body.has("name") { Some(body.required_text("name", NAME_MAX_CHARS)?) } else { None };
    Ok(CategoryChange { name, ..change })
}

fn category_fields(body: &Object<'_>) -> Result<CategoryChange, Refusal> {
    let sequence = body.number("sequence", INDEX_MAX)?;
    Ok(CategoryChange {
        name: None,
        status: body.status("status")?,
        template: body.choice("template", &TEMPLATES)?.map(str::to_owned),
        index: body.number("index", INDEX_MAX)?.or(sequence),
        external_code: body.text("externalCode", CODE_MAX_CHARS)?,
    })
}

/// A product with the id it asks for, if any.
pub(super) fn product_body(body: &[u8]) -> Result<(Option<String>, Product), Refusal> {
    let body = Object::body(body)?;
    Ok((body.id("id")?, product(&body)?))
}

fn product(one: &Object<'_>) -> Result<Product, Refusal> {
    let groups = one.objects("optionGroups", GROUPS_PER_PRODUCT_MAX)?;
    let groups = groups.iter().map(group_use).collect::<Result<Vec<_>, _>>()?;
    let ids: BTreeSet<&String> = groups.iter().map(|group| &group.id).collect();
    if ids.len() < groups.len() {
        return Err(one.wrong("optionGroups", "an array in which each group stands once"));
    }
    Ok(Product {
        name: one.required_text("name", NAME_MAX_CHARS)?,
        description: one.text("description", DESCRIPTION_MAX_CHARS)?,
        additional_information: one.text("additionalInformation", DESCRIPTION_MAX_CHARS)?,
        external_code: one.text("externalCode", CODE_MAX_CHARS)?,
        ean: one.text("ean", CODE_MAX_CHARS)?,
        image_path: one.text("imagePath", CODE_MAX_CHARS)?,
        serving: one.word("serving")?,
        dietary_restrictions: one.words("dietaryRestrictions", RESTRICTIONS_MAX)?,
        groups,
    })
}

fn group_use(one: &Object<'_>) -> Result<GroupUse, Refusal> {
    let id = one.required_id("id")?;
    let (min, max) = (one.number("min", CHOICES_MAX)?.unwrap_or(0), one.number("max", CHOICES_MAX)?);
    let max = max.ok_or_else(|| one.wrong("max", &format!("a whole number from 0 to {CHOICES_MAX}")))?;
    if min > max {
        return Err(one.wrong("min", "at most max"));
    }
    Ok(GroupUse { id, min, max })
}

/// The body of `PUT /items`.
pub(super) fn whole_item(body: &[u8]) -> Result<WholeItem, Refusal> {
    let body = Object::body(body)?;
    let sent = body.object("item")?.ok_or_else(|| body.wrong("item", "an object"))?;
    let (id, item) = item(&sent)?;
    let all = |name| body.objects(name, ENTITIES_PER_REQUEST_MAX);
    let with_id = |one: &Object<'_>| one.required_id("id");
    Ok(WholeItem {
        id,
        item,
        products: all("products")?
            .iter()
            .map(|one| Ok((with_id(one)?, product(one)?)))
            .collect::<Result<_, Refusal>>()?,
        groups: all("optionGroups")?
            .iter()
            .map(|one| Ok((with_id(one)?, group(one)?)))
            .collect::<Result<_, Refusal>>()?,
        options: all("options")?.iter().map(|one| Ok((with_id(one)?, option(one)?))).collect::<Result<_, Refusal>>()?,
    })
}

fn item(one: &Object<'_>) -> Result<(String, Item), Refusal> {
    let shifts = one.objects("shifts", SHIFTS_MAX)?;
    let item = Item {
        kind: one.word("type")?.unwrap_or_else(|| "DEFAULT".to_owned()),
        category_id: one.required_id("categoryId")?,
        product_id: one.required_id("productId")?,
        status: one.status("status")?.unwrap_or(Availability::Available),
        price: price_of(one)?.ok_or_else(|| one.wrong("price", "an object with a value"))?,
        external_code: one.text("externalCode", CODE_MAX_CHARS)?,
        index: one.number("index", INDEX_MAX)?.unwrap_or(0),
        shifts: shifts.iter().map(shift).collect::<Result<_, _>>()?,
        modifiers: modifiers(one)?,
    };
    Ok((one.required_id("id")?, item))
}

fn group(one: &Object<'_>) -> Result<OptionGroup, Refusal> {
    Ok(OptionGroup {
        name: one.required_text("name", NAME_MAX_CHARS)?,
        external_code: one.text("externalCode", CODE_MAX_CHARS)?,
        status: one.status("status")?.unwrap_or(Availability::Available),
        index: one.number("index", INDEX_MAX)?.unwrap_or(0),
        kind: one.word("optionGroupType")?.unwrap_or_else(|| "DEFAULT".to_owned()),
        option_ids: one.ids("optionIds", OPTIONS_PER_GROUP_MAX)?,
    })
}

fn option(one: &Object<'_>) -> Result<Choice, Refusal> {
    Ok(Choice {
        product_id: one.required_id("productId")?,
        status: one.status("status")?.unwrap_or(Availability::Available),
        price: price_of(one)?.ok_or_else(|| one.wrong("price", "an object with a value"))?,
        external_code: one.text("externalCode", CODE_MAX_CHARS)?,
        index: one.number("index", INDEX_MAX)?.unwrap_or(0),
        modifiers: modifiers(one)?,
    })
}

fn price_of(one: &Object<'_>) -> Result<Option<Price>, Refusal> {
    one.object("price")?.map(|price| price_fields(&price)).transpose()
}

fn price_fields(price: &Object<'_>) -> Result<Price, Refusal> {
    let value = price.money("value")?.ok_or_else(|| price.wrong("value", super::money::EXPECTED))?;
    Ok(Price { value, original: price.money("originalValue")? })
}

fn modifiers(one: &Object<'_>) -> Result<Vec<Modifier>, Refusal> {
    let sent = one.objects("contextModifiers", MODIFIERS_MAX)?;
    let mut seen = BTreeSet::new();
    let mut modifiers = Vec::with_capacity(sent.len());
    for modifier in &sent {
        let parent_option_id = modifier.id("parentOptionId")?;
        let context = modifier.context("catalogContext")?;
        if !seen.insert((context, parent_option_id.clone())) {
            return Err(modifier.wrong("catalogContext", "another context than those before"));
        }
        modifiers.push(Modifier {
            context,
            parent_option_id,
            price: price_of(modifier)?,
            status: modifier.status("status")?,
            external_code: modifier.text("externalCode", CODE_MAX_CHARS)?,
        });
    }
    Ok(modifiers)
}

fn shift(one: &Object<'_>) -> Result<Shift, Refusal> {
    let minute = |name| -> Result<u16, Refusal> {
        let text = one.text(name, 8)?;
        text.and_then(|text| minute_of(&text)).ok_or_else(|| one.wrong(name, "a time of day such as 18:30"))
    };
    let mut days = [false; 7];
    for (day, name) in days.iter_mut().zip(DAYS) {
        *day = one.flag(name)?.unwrap_or(false);
    }
    Ok(Shift { start_minute: minute("startTime")?, end_minute: minute("endTime")?, days })
}

/// Reads `18:30` and `18:30:00`.
fn minute_of(text: &str) -> Option<u16> {
    let mut parts = text.split(':').map(|part| part.parse::<u16>().ok().filter(|_| part.len() == 2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    (hour < 24 && minute < 60 && seconds == 0 && parts.next().is_none()).then_some(hour * 60 + minute)
}

/// What a patch changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    ItemPrice,
    ItemStatus,
    OptionPrice,
    OptionStatus,
}

/// One change, or a batch of them.
#[derive(Debug)]
pub(super) enum Patches {
    One(Patch),
    Batch(Vec<Patch>),
}

pub(super) fn patches(body: &[u8], target: Target) -> Result<Patches, Refusal> {
    match Body::read(body, BATCH_ENTRIES_MAX)? {
        Body::One(one) => patch(&one, target).map(Patches::One),
        Body::Many(all) => Ok(Patches::Batch(all.iter().map(|one| patch(one, target)).collect::<Result<_, _>>()?)),
    }
}

fn patch(one: &Object<'_>, target: Target) -> Result<Patch, Refusal> {
    let key = match target {
        Target::ItemPrice | Target::ItemStatus => Key::item(one.required_id("itemId")?),
        Target::OptionPrice | Target::OptionStatus => Key::option(one.required_id("optionId")?),
    };
    let change = match target {
        Target::ItemPrice | Target::OptionPrice => {
            let price = price_of(one)?;
            let by_context = by_context(one, "priceByCatalog", price_fields)?;
            if price.is_none() && by_context.is_empty() {
                return Err(one.wrong("price", "an object with a value, or priceByCatalog be given"));
            }
            Change::Price { price, by_context }
        }
        Target::ItemStatus | Target::OptionStatus => {
            let status = one.status("status")?;
            let status_of = |entry: &Object<'_>| {
                entry.status("status")?.ok_or_else(|| entry.wrong("status", "AVAILABLE or UNAVAILABLE"))
            };
            let by_context = by_context(one, "statusByCatalog", status_of)?;
            if status.is_none() && by_context.is_empty() {
                return Err(one.wrong("status", "AVAILABLE or UNAVAILABLE, or statusByCatalog be given"));
            }
            Change::Status { status, by_context }
        }
    };
    Ok(Patch { key, change })
}

fn by_context<T>(
    one: &Object<'_>,
    name: &str,
    read: impl Fn(&Object<'_>) -> Result<T, Refusal>,
) -> Result<Vec<(Context, T)>, Refusal> {
    let entries = one.objects(name, Context::ALL.len())?;
    entries.iter().map(|entry| Ok((entry.context("catalogContext")?, read(entry)?))).collect()
}
