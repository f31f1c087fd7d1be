//! Entities, heads, journals and batches as a stranger might have written them: each is refused, with the name of what is wrong,
//! or survives being written and read again.

use aws_sdk_dynamodb::types::AttributeValue;
use hostile_inputs::{Item, item_of, survives, unnamed_attributes};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::batches::{page_item, read_entries, read_record};
use super::items::{Write, entity_item, item, number, read_entity, read_head};
use super::journal::{read_writes, to_attribute};
use crate::catalog::batch::Entry;
use crate::catalog::entities::{Category, Claim, Entity, Key};
use crate::catalog::limits::BATCH_ENTRIES_MAX;
use crate::catalog::menu::{Menu, Stored};
use crate::catalog::requests::{Patches, Target, new_category, patches, whole_item};

const PK: &str = "merchant#1";

/// One of each kind, as requests make them.
fn entities() -> Vec<(Key, Entity)> {
    let price = json!({ "value": 10.5, "originalValue": 12 });
    let modifiers = json!([{ "catalogContext": "INDOOR", "price": price, "status": "UNAVAILABLE" }]);
    let body = json!({
        "item": { "id": "i", "categoryId": "c", "productId": "p", "price": price, "externalCode": "I", "index": 1,
            "shifts": [{ "startTime": "10:00", "endTime": "15:30", "monday": true }], "contextModifiers": modifiers },
        "products": [{ "id": "p", "name": "P", "optionGroups": [{ "id": "g", "min": 0, "max": 1 }] }],
        "optionGroups": [{ "id": "g", "name": "G", "optionIds": ["o"] }],
        "options": [{ "id": "o", "productId": "p", "price": price }],
    });
    let whole = whole_item(body.to_string().as_bytes()).unwrap();
    let category: Category = new_category(br#"{"name":"C"}"#).unwrap().1;
    let mut all = vec![
        (Key::item(&whole.id), Entity::Item(whole.item)),
        (Key::category("c"), Entity::Category(category)),
        (Key::code("P"), Entity::Code(Claim { product_id: "p".to_owned() })),
    ];
    all.extend(whole.products.into_iter().map(|(id, product)| (Key::product(id), Entity::Product(product))));
    all.extend(whole.groups.into_iter().map(|(id, group)| (Key::group(id), Entity::Group(group))));
    all.extend(whole.options.into_iter().map(|(id, option)| (Key::option(id), Entity::Option(option))));
    all
}

fn of_entity((key, stored): &(Key, Stored)) -> Item {
    entity_item(PK, key, stored).unwrap()
}

fn entity_items() -> Vec<Item> {
    let stored = |entity| Stored { entity, version: 3, uses: 1 };
    entities().into_iter().map(|(key, entity)| of_entity(&(key, stored(entity)))).collect()
}

fn any_entity() -> impl Strategy<Value = Item> {
    prop::sample::select(entity_items()).prop_flat_map(item_of)
}

fn head() -> Item {
    let mut head = item(PK, "head");
    for name in ["revision", "categories", "items", "products", "groups", "options", "bytes", "modified_at_ms"] {
        head.insert(name.to_owned(), number(7));
    }
    head.insert("journal".to_owned(), AttributeValue::S("journal#0000000000000007#00".to_owned()));
    head.insert("journal_pages".to_owned(), number(2));
    head
}

fn entries() -> Vec<Entry> {
    let read = |body: Value, target| match patches(body.to_string().as_bytes(), target) {
        Ok(Patches::One(patch)) => Entry::new(patch),
        other => panic!("{other:?}"),
    };
    vec![
        read(json!({ "itemId": "i", "price": { "value": 1.5 } }), Target::ItemPrice),
        read(json!({ "optionId": "o", "status": "AVAILABLE" }), Target::OptionStatus),
    ]
}

fn of_entries(entries: &[Entry]) -> Item {
    page_item(PK, "b", 0, entries).unwrap()
}

fn record() -> Item {
    let mut record = item(PK, "batch#b");
    for (name, value) in [("total", 120), ("done", 50), ("created_at_ms", 7), ("finished_at_ms", 8)] {
        record.insert(name.to_owned(), number(value));
    }
    record
}

fn of_writes(writes: &[Write]) -> Item {
    let writes = writes.iter().map(to_attribute).collect();
    Item::from([("writes".to_owned(), AttributeValue::L(writes))])
}

fn writes() -> Item {
    of_writes(&[Write::Put(item(PK, "e#item#1")), Write::Delete("e#item#2".to_owned())])
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(entity_items().len(), 6);
    for item in entity_items() {
        assert_eq!(unnamed_attributes(&item, read_entity), nothing);
    }
    assert_eq!(unnamed_attributes(&head(), read_head), nothing);
    assert_eq!(unnamed_attributes(&of_entries(&entries()), read_entries), nothing);
    assert_eq!(unnamed_attributes(&record(), read_record), nothing);
    assert_eq!(unnamed_attributes(&writes(), read_writes), nothing);
}

/// Whoever works a batch off goes on until as many are done as there are: a page of nothing would never end.
#[test]
fn a_batch_that_could_not_be_worked_off_is_refused() {
    assert!(read_entries(&of_entries(&entries())).is_ok());
    assert!(read_entries(&of_entries(&[])).is_err());
    let with = |total: usize, done: usize| {
        let mut record = record();
        record.extend([("total".to_owned(), number(total)), ("done".to_owned(), number(done))]);
        read_record(&record).is_ok()
    };
    assert!(with(0, 0) && with(50, 50) && with(BATCH_ENTRIES_MAX, 0));
    assert!(!with(50, 51) && !with(BATCH_ENTRIES_MAX + 1, 0) && !with(usize::MAX, usize::MAX));
}

proptest! {
    #[test]
    fn an_entity_is_refused_or_survives(item in any_entity()) {
        let read = read_entity(&item).ok();
        if let Some((key, stored)) = &read {
            prop_assert_eq!(key.kind, stored.entity.kind());
        }
        survives(read, |entity| read_entity(&of_entity(entity)).ok());
    }

    /// A head that is read can be edited: there is a revision after it.
    #[test]
    fn a_head_is_refused_or_can_grow(item in item_of(head())) {
        if let Ok(head) = read_head(&item) {
            prop_assert!(Menu::new(head.revision, head.totals).revision() < i64::MAX.unsigned_abs());
        }
    }

    #[test]
    fn entries_are_refused_or_survive(item in item_of(of_entries(&entries()))) {
        survives(read_entries(&item).ok(), |entries| read_entries(&of_entries(entries)).ok());
    }

    #[test]
    fn a_batch_is_refused_or_can_end(item in item_of(record())) {
        if let Ok(record) = read_record(&item) {
            prop_assert!(record.done <= record.total && record.total <= BATCH_ENTRIES_MAX);
        }
    }

    #[test]
    fn writes_are_refused_or_survive(item in item_of(writes())) {
        survives(read_writes(&item).ok(), |writes| read_writes(&of_writes(writes)).ok());
    }
}
