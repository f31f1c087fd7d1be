//! Every way to change a catalog, as decisions over a [`Menu`].
//!
//! Pure; run by `editing` and by the batches. A decision may run several times, so it finds out what has been done already:
//! the same edit again changes nothing.

use super::entities::{
    Availability, Category, Choice, Claim, Context, Entity, Item, Key, Modifier, OptionGroup, Price, Product,
};
use super::menu::{Halt, Menu, Staged, Stored};
use super::refusal::{Kind, Refusal};

/// What a client says about the version it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Nothing.
    Anything,
    /// `If-Match: *`
    Something,
    /// `If-Match: "r7"`
    Version(u64),
}

impl Expected {
    fn check(self, found: Option<&Stored>) -> Result<(), Refusal> {
        let is_met = match self {
            Self::Anything => true,
            Self::Something => found.is_some(),
            Self::Version(version) => found.is_some_and(|stored| stored.version == version),
        };
        if is_met { Ok(()) } else { Err(Refusal::new(Kind::Changed, "It is not the version that If-Match names.")) }
    }
}

/// An item with everything it consists of, as one request sends it.
#[derive(Debug, Clone)]
pub(crate) struct WholeItem {
    pub(crate) id: String,
    pub(crate) item: Item,
    pub(crate) products: Vec<(String, Product)>,
    pub(crate) groups: Vec<(String, OptionGroup)>,
    pub(crate) options: Vec<(String, Choice)>,
}

/// Puts an item and what comes with it, all or nothing.
pub(crate) fn put_item(menu: &mut Menu, sent: &WholeItem, expected: Expected) -> Result<(), Halt> {
    let key = Key::item(&sent.id);
    // Asked for together, to be read together.
    let mut wanted = vec![key.clone()];
    wanted.extend(sent.products.iter().map(|(id, _)| Key::product(id)));
    wanted.extend(sent.products.iter().filter_map(|(_, product)| product.external_code.as_ref()).map(Key::code));
    menu.want(&wanted)?;
    expected.check(menu.find(&key)?)?;
    let mut staged = Vec::new();
    for (at, (id, product)) in sent.products.iter().enumerate() {
        stage_product(menu, &mut staged, id, product, &format!("products[{at}]"))?;
    }
    for (at, (id, group)) in sent.groups.iter().enumerate() {
        staged.push(put(Key::group(id), Entity::Group(group.clone()), format!("optionGroups[{at}]")));
    }
    for (at, (id, option)) in sent.options.iter().enumerate() {
        staged.push(put(Key::option(id), Entity::Option(option.clone()), format!("options[{at}]")));
    }
    staged.push(put(key, Entity::Item(sent.item.clone()), "item".to_owned()));
    menu.settle(staged)
}

fn put(key: Key, entity: Entity, field: String) -> Staged {
    Staged { key, entity: Some(entity), field }
}

/// A product with the claim of its external code, which no two products of a merchant share.
fn stage_product(
    menu: &mut Menu,
    staged: &mut Vec<Staged>,
    id: &str,
    product: &Product,
    field: &str,
) -> Result<(), Halt> {
    let key = Key::product(id);
    let old_code = match menu.find(&key)?.map(|stored| &stored.entity) {
        Some(Entity::Product(before)) => before.external_code.clone(),
        _ => None,
    };
    if let Some(code) = old_code.filter(|code| product.external_code.as_ref() != Some(code)) {
        // Another product of the same request may have taken it over already.
        let key = Key::code(code);
        if !staged.iter().any(|one| one.key == key) {
            staged.push(Staged { key, entity: None, field: field.to_owned() });
        }
    }
    if let Some(code) = &product.external_code {
        claim(menu, staged, code, id, field)?;
    }
    staged.push(put(key, Entity::Product(product.clone()), field.to_owned()));
    Ok(())
}

fn claim(menu: &mut Menu, staged: &mut Vec<Staged>, code: &str, id: &str, field: &str) -> Result<(), Halt> {
    let key = Key::code(code);
    let claimed = Entity::Code(Claim { product_id: id.to_owned() });
    let earlier = staged.iter().position(|one| one.key == key);
    let is_taken = match earlier {
        // Given up by another product of the same request, or wanted by two.
        Some(at) => staged[at].entity.is_some(),
        None => menu.find(&key)?.is_some_and(|stored| stored.entity != claimed),
    };
    if is_taken {
        let field = join(field, "externalCode");
        let message = format!("Another product has this {field}.");
        return Err(Refusal::new(Kind::Conflict, message).at(field).into());
    }
    if let Some(at) = earlier {
        staged.remove(at);
    }
    staged.push(put(key, claimed, field.to_owned()));
    Ok(())
}

/// The name of a field within another one, or of a body's own field.
fn join(field: &str, sub_field: &str) -> String {
    if field.is_empty() { sub_field.to_owned() } else { format!("{field}.{sub_field}") }
}

/// Puts a product; `must_exist` where the path names it.
pub(crate) fn put_product(
    menu: &mut Menu,
    id: &str,
    product: &Product,
    must_exist: bool,
    expected: Expected,
) -> Result<(), Halt> {
    let found = menu.find(&Key::product(id))?;
    if must_exist && found.is_none() {
        return Err(unknown("product").into());
    }
    expected.check(found)?;
    let mut staged = Vec::new();
    stage_product(menu, &mut staged, id, product, "")?;
    menu.settle(staged)
}

/// Puts a product under an id that may be taken: only by the very same one.
pub(crate) fn create_product(menu: &mut Menu, id: &str, product: &Product) -> Result<(), Halt> {
    let is_other = |stored: &Stored| stored.entity != Entity::Product(product.clone());
    if menu.find(&Key::product(id))?.is_some_and(is_other) {
        return Err(Refusal::new(Kind::Conflict, "Another product has this id.").at("id").into());
    }
    put_product(menu, id, product, false, Expected::Anything)
}

/// Puts a category under an id that may be taken: only by the very same one.
pub(crate) fn create_category(menu: &mut Menu, id: &str, category: &Category) -> Result<(), Halt> {
    let key = Key::category(id);
    let entity = Entity::Category(category.clone());
    if menu.find(&key)?.is_some_and(|stored| stored.entity != entity) {
        return Err(Refusal::new(Kind::Conflict, "Another category has this id.").at("id").into());
    }
    menu.settle(vec![put(key, entity, String::new())])
}

/// What a request changes of a category; the rest stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct CategoryChange {
    pub(crate) name: Option<String>,
    pub(crate) status: Option<Availability>,
    pub(crate) template: Option<String>,
    pub(crate) index: Option<u32>,
    pub(crate) external_code: Option<String>,
}

pub(crate) fn change_category(
    menu: &mut Menu,
    id: &str,
    change: &CategoryChange,
    expected: Expected,
) -> Result<(), Halt> {
    let key = Key::category(id);
    let found = menu.find(&key)?;
    let Some(Stored { entity: Entity::Category(category), .. }) = found else {
        return Err(unknown("category").into());
    };
    expected.check(found)?;
    let CategoryChange { name, status, template, index, external_code } = change.clone();
    let category = Category {
        name: name.unwrap_or_else(|| category.name.clone()),
        status: status.unwrap_or(category.status),
        template: template.unwrap_or_else(|| category.template.clone()),
        index: index.unwrap_or(category.index),
        external_code: external_code.or_else(|| category.external_code.clone()),
    };
    menu.settle(vec![put(key, Entity::Category(category), String::new())])
}

/// Removes a category, an item or a product that nobody uses.
pub(crate) fn remove(menu: &mut Menu, key: &Key, what: &'static str, expected: Expected) -> Result<(), Halt> {
    let Some(found) = menu.find(key)?.cloned() else {
        return Err(unknown(what).into());
    };
    expected.check(Some(&found))?;
    let mut staged = vec![Staged { key: key.clone(), entity: None, field: String::new() }];
    if let Entity::Product(Product { external_code: Some(code), .. }) = &found.entity {
        staged.push(Staged { key: Key::code(code), entity: None, field: String::new() });
    }
    menu.settle(staged)
}

pub(crate) fn unknown(what: &'static str) -> Refusal {
    Refusal::new(Kind::NotFound, format!("There is no such {what}."))
}

/// Whether a price or a status of an item or an option is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Price { price: Option<Price>, by_context: Vec<(Context, Price)> },
    Status { status: Option<Availability>, by_context: Vec<(Context, Availability)> },
}

/// A change of one item or option; a batch is many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    /// An item or an option.
    pub(crate) key: Key,
    pub(crate) change: Change,
}

/// Changes price or status and nothing else, so that two such edits at once are both kept.
pub(crate) fn patch(menu: &mut Menu, patch: &Patch, expected: Expected) -> Result<(), Halt> {
    let found = menu.find(&patch.key)?;
    let entity = match found.map(|stored| stored.entity.clone()) {
        Some(Entity::Item(mut item)) => {
            alter(&patch.change, &mut item.price, &mut item.status, &mut item.modifiers);
            Entity::Item(item)
        }
        Some(Entity::Option(mut option)) => {
            alter(&patch.change, &mut option.price, &mut option.status, &mut option.modifiers);
            Entity::Option(option)
        }
        Some(Entity::Category(_) | Entity::Code(_) | Entity::Group(_) | Entity::Product(_)) | None => {
            return Err(Refusal::new(Kind::NotFound, "There is no such item or option.").into());
        }
    };
    expected.check(found)?;
    menu.settle(vec![put(patch.key.clone(), entity, String::new())])
}

fn alter(change: &Change, price: &mut Price, status: &mut Availability, modifiers: &mut Vec<Modifier>) {
    match change {
        Change::Price { price: new, by_context } => {
            *price = new.unwrap_or(*price);
            for (context, price) in by_context {
                modifier_of(modifiers, *context).price = Some(*price);
            }
        }
        Change::Status { status: new, by_context } => {
            *status = new.unwrap_or(*status);
            for (context, status) in by_context {
                modifier_of(modifiers, *context).status = Some(*status);
            }
        }
    }
}

fn modifier_of(modifiers: &mut Vec<Modifier>, context: Context) -> &mut Modifier {
    let known = modifiers.iter().position(|one| one.context == context && one.parent_option_id.is_none());
    let at = known.unwrap_or_else(|| {
        modifiers.push(Modifier::empty(context));
        modifiers.len() - 1
    });
    &mut modifiers[at]
}
