//! What holds of a catalog whatever is done to it, and what bodies mean.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::edits::{Change, Expected, Patch, create_category, create_product, patch, put_item, put_product, remove};
use super::entities::{
    Availability, Category, Choice, Context, Entity, GroupUse, Item, Key, OptionGroup, Price, Product,
};
use super::limits::OPTIONS_MAX;
use super::menu::{Halt, Menu, Stored, Totals};
use super::money::Money;
use super::refusal::{Kind, Refusal};
use super::requests::{self, Target};

/// A catalog in memory, edited as the shell does it.
#[derive(Default)]
struct World {
    entities: BTreeMap<Key, Stored>,
    totals: Totals,
    revision: u64,
}

impl World {
    fn edit(&mut self, decide: impl Fn(&mut Menu) -> Result<(), Halt>) -> Result<(), Refusal> {
        let mut menu = Menu::new(self.revision, self.totals);
        for _ in 0..16 {
            match decide(&mut menu) {
                Ok(()) => {
                    for (key, now) in menu.changes() {
                        match now {
                            Some(stored) => self.entities.insert(key.clone(), stored.clone()),
                            None => self.entities.remove(key),
                        };
                    }
                    self.revision += u64::from(!menu.changes().is_empty());
                    self.totals = menu.totals_now();
                    return Ok(());
                }
                Err(Halt::Refused(refusal)) => return Err(refusal),
                Err(Halt::Unread) => {
                    let read: Vec<_> =
                        menu.unread().into_iter().map(|key| (key.clone(), self.entities.get(&key).cloned())).collect();
                    menu.learn(read);
                }
            }
        }
        panic!("a decision never ends asking");
    }

    fn put(&mut self, body: &Value) -> Result<(), Refusal> {
        let sent = requests::whole_item(body.to_string().as_bytes())?;
        self.edit(|menu| put_item(menu, &sent, Expected::Anything))
    }

    /// Every reference leads somewhere and is counted; nothing is left that nobody could see; codes are their products'.
    fn check(&self) {
        let mut uses: BTreeMap<&Key, u32> = BTreeMap::new();
        let all: Vec<(Key, String)> = self.entities.values().flat_map(|stored| stored.entity.references()).collect();
        for (target, field) in &all {
            assert!(self.entities.contains_key(target), "{field} leads to nothing: {target:?}");
            *uses.entry(target).or_default() += 1;
        }
        let mut codes = Vec::new();
        let mut totals = Totals { bytes: self.totals.bytes, ..Totals::default() };
        for (key, stored) in &self.entities {
            assert_eq!(stored.uses, uses.get(key).copied().unwrap_or(0), "{key:?}");
            match &stored.entity {
                Entity::Category(_) => totals.categories += 1,
                Entity::Item(_) => totals.items += 1,
                Entity::Group(_) => totals.groups += 1,
                Entity::Option(_) => totals.options += 1,
                Entity::Product(product) => {
                    totals.products += 1;
                    codes.extend(product.external_code.clone().map(|code| (code, key.id.clone())));
                }
                Entity::Code(claim) => {
                    assert!(self.entities.contains_key(&Key::product(&claim.product_id)), "{key:?}");
                }
            }
            if matches!(stored.entity, Entity::Group(_) | Entity::Option(_)) {
                assert!(stored.uses > 0, "{key:?} is left over");
            }
        }
        codes.sort();
        let claims: Vec<(String, String)> = self
            .entities
            .iter()
            .filter_map(|(key, stored)| match &stored.entity {
                Entity::Code(claim) => Some((key.id.clone(), claim.product_id.clone())),
                _ => None,
            })
            .collect();
        assert_eq!(claims, codes, "codes");
        assert_eq!(self.totals, totals);
        assert_eq!(self.entities.is_empty(), self.totals.bytes == 0);
    }
}

fn price(cents: &str) -> Price {
    Price { value: Money::read(cents).unwrap(), original: None }
}

fn product(groups: &[u8], code: Option<u8>) -> Product {
    let groups = groups.iter().map(|group| GroupUse { id: format!("g{group}"), min: 0, max: 1 }).collect();
    Product {
        name: "Prato".to_owned(),
        description: None,
        additional_information: None,
        external_code: code.map(|code| format!("c{code}")),
        ean: None,
        image_path: None,
        serving: None,
        dietary_restrictions: Vec::new(),
        groups,
    }
}

#[derive(Debug, Clone)]
enum Step {
    Category(u8),
    RemoveCategory(u8),
    Put {
        item: u8,
        category: u8,
        product: u8,
        products: Vec<(u8, Vec<u8>, Option<u8>)>,
        groups: Vec<(u8, Vec<u8>)>,
        options: Vec<(u8, u8)>,
    },
    RemoveItem(u8),
    CreateProduct(u8, Option<u8>),
    PutProduct(u8, Vec<u8>, Option<u8>),
    RemoveProduct(u8),
    Price(bool, u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0u8..4;
    let ids = || prop::collection::btree_set(0u8..4, 0..3).prop_map(|ids| ids.into_iter().collect::<Vec<_>>());
    let code = || prop::option::of(0u8..3);
    let products = prop::collection::vec((id(), ids(), code()), 0..3);
    let groups = prop::collection::vec((id(), ids()), 0..3);
    let options = prop::collection::vec((id(), id()), 0..3);
    prop_oneof![
        2 => id().prop_map(Step::Category),
        1 => id().prop_map(Step::RemoveCategory),
        8 => (id(), id(), id(), products, groups, options).prop_map(
            |(item, category, product, products, groups, options)| Step::Put { item, category, product, products, groups, options }
        ),
        2 => id().prop_map(Step::RemoveItem),
        2 => (id(), code()).prop_map(|(id, code)| Step::CreateProduct(id, code)),
        3 => (id(), ids(), code()).prop_map(|(id, groups, code)| Step::PutProduct(id, groups, code)),
        1 => id().prop_map(Step::RemoveProduct),
        2 => (any::<bool>(), id(), 0u8..9).prop_map(|(is_item, id, price)| Step::Price(is_item, id, price)),
    ]
}

fn take(world: &mut World, step: Step) -> Result<(), Refusal> {
    let anything = Expected::Anything;
    match step {
        Step::Category(id) => {
            let status = Availability::Available;
            let (name, template) = ("Pratos".to_owned(), "DEFAULT".to_owned());
            let category = Category { name, status, template, index: 0, external_code: None };
            world.edit(|menu| create_category(menu, &format!("k{id}"), &category))
        }
        Step::RemoveCategory(id) => {
            world.edit(|menu| remove(menu, &Key::category(format!("k{id}")), "category", anything))
        }
        Step::RemoveItem(id) => world.edit(|menu| remove(menu, &Key::item(format!("i{id}")), "item", anything)),
        Step::RemoveProduct(id) => {
            world.edit(|menu| remove(menu, &Key::product(format!("p{id}")), "product", anything))
        }
        Step::CreateProduct(id, code) => {
            world.edit(|menu| create_product(menu, &format!("p{id}"), &product(&[], code)))
        }
        Step::PutProduct(id, groups, code) => {
            world.edit(|menu| put_product(menu, &format!("p{id}"), &product(&groups, code), true, anything))
        }
        Step::Price(is_item, id, value) => {
            let key = if is_item { Key::item(format!("i{id}")) } else { Key::option(format!("o{id}")) };
            let price = price(&value.to_string());
            let change = Change::Price { price: Some(price), by_context: vec![(Context::Indoor, price)] };
            let wanted = Patch { key, change };
            world.edit(|menu| patch(menu, &wanted, anything))
        }
        Step::Put { item, category, product: of, products, groups, options } => {
            let sent = super::edits::WholeItem {
                id: format!("i{item}"),
                item: Item {
                    kind: "DEFAULT".to_owned(),
                    category_id: format!("k{category}"),
                    product_id: format!("p{of}"),
                    status: Availability::Available,
                    price: price("1"),
                    external_code: None,
                    index: 0,
                    shifts: Vec::new(),
                    modifiers: Vec::new(),
                },
                products: products
                    .into_iter()
                    .map(|(id, groups, code)| (format!("p{id}"), product(&groups, code)))
                    .collect(),
                groups: groups
                    .into_iter()
                    .map(|(id, options)| {
                        let group = OptionGroup {
                            name: "Grupo".to_owned(),
                            external_code: None,
                            status: Availability::Available,
                            index: 0,
                            kind: "DEFAULT".to_owned(),
                            option_ids: options.iter().map(|id| format!("o{id}")).collect(),
                        };
                        (format!("g{id}"), group)
                    })
                    .collect(),
                options: options
                    .into_iter()
                    .map(|(id, product)| {
                        let choice = Choice {
                            product_id: format!("p{product}"),
                            status: Availability::Available,
                            price: price("2"),
                            external_code: None,
                            index: 0,
                            modifiers: Vec::new(),
                        };
                        (format!("o{id}"), choice)
                    })
                    .collect(),
            };
            world.edit(|menu| put_item(menu, &sent, anything))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_sequence_of_edits_leaves_a_catalog_whose_references_all_exist(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::default();
        for step in steps {
            let (before, revision) = (world.entities.clone(), world.revision);
            let done = take(&mut world, step.clone());
            world.check();
            if done.is_err() {
                prop_assert_eq!((&world.entities, world.revision), (&before, revision), "a refusal changes nothing");
                continue;
            }
            let after = world.entities.clone();
            let again = take(&mut world, step.clone());
            let removes = matches!(step, Step::RemoveCategory(_) | Step::RemoveItem(_) | Step::RemoveProduct(_));
            prop_assert_eq!(again.is_ok(), !removes, "the same again: {:?}", step);
            prop_assert_eq!(&world.entities, &after, "and nothing is different");
        }
    }
}

fn with_category() -> World {
    let mut world = World::default();
    take(&mut world, Step::Category(0)).unwrap();
    world
}

fn burger() -> Value {
    json!({
        "item": { "id": "i", "categoryId": "k0", "productId": "p", "price": { "value": 10 } },
        "products": [{ "id": "p", "name": "X", "optionGroups": [{ "id": "g", "min": 0, "max": 1 }] }, { "id": "q", "name": "Y" }],
        "optionGroups": [{ "id": "g", "name": "G", "optionIds": ["o"] }],
        "options": [{ "id": "o", "productId": "q", "price": { "value": 1 } }],
    })
}

/// The refusal of the burger with `value` at `pointer`.
fn refused(pointer: &str, value: Value) -> Refusal {
    let mut body = burger();
    match body.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value;
        }
    }
    with_category().put(&body).expect_err(pointer)
}

#[test]
fn what_does_not_fit_is_refused_by_its_field() {
    let long = |chars: usize| json!("é".repeat(chars));
    for (pointer, value, field) in [
        ("/item", json!([]), "item"),
        ("/item/id", json!("a/b"), "item.id"),
        ("/item/id", Value::Null, "item.id"),
        ("/item/id", json!("x".repeat(65)), "item.id"),
        ("/item/categoryId", json!(7), "item.categoryId"),
        ("/item/categoryId", json!("nowhere"), "item.categoryId"),
        ("/item/productId", json!("nothing"), "item.productId"),
        ("/item/price", Value::Null, "item.price"),
        ("/item/price", json!({ "value": -0.01 }), "item.price.value"),
        ("/item/price", json!({ "value": 0.001 }), "item.price.value"),
        ("/item/price", json!({ "value": "10" }), "item.price.value"),
        ("/item/price", json!({ "value": 1_000_001 }), "item.price.value"),
        ("/item/price", json!({ "value": 1, "originalValue": true }), "item.price.originalValue"),
        ("/item/status", json!("PAUSED"), "item.status"),
        ("/item/index", json!(-1), "item.index"),
        ("/item/index", json!(1.5), "item.index"),
        ("/item/index", json!(1_000_001), "item.index"),
        ("/item/type", json!("a b"), "item.type"),
        ("/item/externalCode", long(201), "item.externalCode"),
        ("/item/shifts", json!([{ "startTime": "24:00", "endTime": "10:00" }]), "item.shifts[0].startTime"),
        ("/item/shifts", json!([{ "startTime": "10:00", "endTime": "1:00" }]), "item.shifts[0].endTime"),
        ("/item/shifts", json!([{ "startTime": "10:00", "endTime": "11:00", "monday": 1 }]), "item.shifts[0].monday"),
        ("/item/shifts", json!(vec![json!({}); 29]), "item.shifts"),
        ("/item/contextModifiers", json!([{ "catalogContext": "X" }]), "item.contextModifiers[0].catalogContext"),
        (
            "/item/contextModifiers",
            json!([{ "catalogContext": "INDOOR" }, { "catalogContext": "indoor" }]),
            "item.contextModifiers[1].catalogContext",
        ),
        ("/products", json!({}), "products"),
        ("/products", json!(vec![json!({}); 1_001]), "products"),
        ("/products/1", json!(5), "products[1]"),
        ("/products/1", json!({ "id": "q" }), "products[1].name"),
        ("/products/1", json!({ "id": "p", "name": "Y" }), "products[1].id"),
        ("/products/1/name", long(151), "products[1].name"),
        ("/products/1/name", json!("a\u{7}"), "products[1].name"),
        ("/products/1/description", long(1_001), "products[1].description"),
        ("/products/1/dietaryRestrictions", json!("VEGAN"), "products[1].dietaryRestrictions"),
        ("/products/1/dietaryRestrictions", json!(vec!["A"; 21]), "products[1].dietaryRestrictions"),
        ("/products/0/optionGroups", json!([{ "id": "g", "min": 2, "max": 1 }]), "products[0].optionGroups[0].min"),
        ("/products/0/optionGroups", json!([{ "id": "g", "min": 2 }]), "products[0].optionGroups[0].max"),
        ("/products/0/optionGroups", json!([{ "id": "no", "max": 1 }]), "products[0].optionGroups[0].id"),
        (
            "/products/0/optionGroups",
            json!([{ "id": "g", "max": 1 }, { "id": "g", "max": 1 }]),
            "products[0].optionGroups",
        ),
        ("/products/0/optionGroups", json!(vec![json!({}); 51]), "products[0].optionGroups"),
        ("/products/0/optionGroups", json!([]), "optionGroups[0]"),
        ("/optionGroups/0/optionIds", json!(["o", "no"]), "optionGroups[0].optionIds[1]"),
        ("/optionGroups/0/optionIds", json!(["o", "o"]), "optionGroups[0].optionIds"),
        ("/optionGroups/0/optionIds", json!([]), "options[0]"),
        (
            "/optionGroups/0/optionIds",
            json!((0..201).map(|id| id.to_string()).collect::<Vec<_>>()),
            "optionGroups[0].optionIds",
        ),
        ("/options/0/productId", json!("no"), "options[0].productId"),
        ("/options/0/price", json!({ "value": null }), "options[0].price.value"),
    ] {
        let refusal = refused(pointer, value.clone());
        assert_eq!(refusal.field.as_deref(), Some(field), "{pointer}: {refusal:?}");
        assert_eq!(refusal.kind, Kind::Invalid, "{pointer}");
        let shown = value.to_string();
        assert!(shown.len() < 6 || !refusal.message.contains(&shown), "no value of the request: {refusal:?}");
    }
    assert_eq!(with_category().put(&burger()), Ok(()));
}

#[test]
fn texts_at_their_limits_and_unknown_fields_are_taken() {
    let mut body = burger();
    body["products"][1]["name"] = json!("é".repeat(150));
    body["products"][1]["description"] = json!("x".repeat(1_000));
    body["products"][1]["unknown"] = json!({ "a": [1, { "b": null }] });
    body["item"]["id"] = json!("x".repeat(64));
    let mut world = with_category();
    world.put(&body).unwrap();
    world.check();
}

#[test]
fn a_limit_of_the_whole_catalog_holds_and_lets_it_shrink() {
    let full = Totals { options: OPTIONS_MAX, ..with_category().totals };
    let mut world = World { totals: full, ..with_category() };
    let refusal = world.put(&burger()).unwrap_err();
    assert_eq!((refusal.kind, &*refusal.message), (Kind::Limit, "A catalog has at most 20000 options."));
    let mut above = World { totals: Totals { options: OPTIONS_MAX + 5, ..full }, ..with_category() };
    take(&mut above, Step::RemoveCategory(0)).unwrap();
    let bytes = super::limits::STORED_BYTES_MAX;
    let mut heavy = World { totals: Totals { bytes, ..with_category().totals }, ..with_category() };
    assert_eq!(heavy.put(&burger()).unwrap_err().kind, Kind::Limit);
}

#[test]
fn a_version_that_was_not_seen_is_refused() {
    let mut world = with_category();
    world.put(&burger()).unwrap();
    let version = world.entities[&Key::item("i")].version;
    let sent = requests::whole_item(burger().to_string().as_bytes()).unwrap();
    for (expected, is_met) in
        [(Expected::Version(version), true), (Expected::Version(version + 1), false), (Expected::Something, true)]
    {
        let put = world.edit(|menu| put_item(menu, &sent, expected));
        assert_eq!(put.map_err(|refusal| refusal.kind), if is_met { Ok(()) } else { Err(Kind::Changed) });
    }
    let absent = World::default().edit(|menu| put_item(menu, &sent, Expected::Something));
    assert_eq!(absent.unwrap_err().kind, Kind::Changed);
}

#[test]
fn patches_are_read_one_by_one_and_as_batches() {
    let read = |body: Value, target| requests::patches(body.to_string().as_bytes(), target);
    let one = json!({ "itemId": "i", "price": { "value": 1.5 } });
    assert!(matches!(read(one.clone(), Target::ItemPrice), Ok(requests::Patches::One(_))));
    assert!(
        matches!(read(json!(vec![one.clone(); 2_000]), Target::ItemPrice), Ok(requests::Patches::Batch(all)) if all.len() == 2_000)
    );
    for (body, target, field) in [
        (json!(vec![one.clone(); 2_001]), Target::ItemPrice, None),
        (json!([]), Target::ItemPrice, None),
        (json!(7), Target::ItemPrice, None),
        (json!([one.clone(), 7]), Target::ItemPrice, Some("[1]")),
        (json!([one.clone(), { "itemId": "i" }]), Target::ItemPrice, Some("[1].price")),
        (json!({ "itemId": "i", "price": { "value": -1 } }), Target::ItemPrice, Some("price.value")),
        (json!({ "price": { "value": 1 } }), Target::ItemPrice, Some("itemId")),
        (one.clone(), Target::OptionPrice, Some("optionId")),
        (json!({ "itemId": "i" }), Target::ItemStatus, Some("status")),
        (json!({ "optionId": "o", "status": "ON" }), Target::OptionStatus, Some("status")),
        (
            json!({ "itemId": "i", "statusByCatalog": [{ "catalogContext": "INDOOR" }] }),
            Target::ItemStatus,
            Some("statusByCatalog[0].status"),
        ),
        (
            json!({ "itemId": "i", "priceByCatalog": [{ "catalogContext": "X", "value": 1 }] }),
            Target::ItemPrice,
            Some("priceByCatalog[0].catalogContext"),
        ),
    ] {
        let refusal = read(body.clone(), target).unwrap_err();
        assert_eq!(refusal.field.as_deref(), field, "{refusal:?}");
    }
}

mod hostile {
    use hostile_inputs::{any_bytes, json_of};

    use super::*;

    fn price_of(item: &Item) -> u64 {
        item.price.value.cents()
    }

    proptest! {
        /// A body is put and leaves the catalog whole, or is refused, and nothing of it is there.
        #[test]
        fn an_item_is_put_whole_or_refused(body in json_of(burger())) {
            let mut world = with_category();
            let sent = requests::whole_item(body.as_bytes());
            if let Ok(sent) = &sent {
                prop_assert!(price_of(&sent.item) <= super::super::limits::PRICE_MAX_CENTS);
                let before = world.entities.clone();
                if world.edit(|menu| put_item(menu, sent, Expected::Anything)).is_err() {
                    prop_assert_eq!(&world.entities, &before);
                }
                world.check();
            }
        }

        #[test]
        fn a_batch_is_read_or_refused(
            body in json_of(json!([{ "itemId": "i", "price": { "value": 1.5 } }, { "itemId": "j", "price": { "value": 2 } }])),
            target in prop::sample::select(vec![
                Target::ItemPrice, Target::ItemStatus, Target::OptionPrice, Target::OptionStatus,
            ]),
        ) {
            if let Ok(requests::Patches::Batch(all)) = requests::patches(body.as_bytes(), target) {
                prop_assert!((1..=super::super::limits::BATCH_ENTRIES_MAX).contains(&all.len()));
            }
        }

        #[test]
        fn bytes_are_no_item(bytes in any_bytes()) {
            prop_assert!(requests::whole_item(&bytes).is_err());
        }
    }
}
