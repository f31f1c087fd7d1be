//! What `menuUpdated` sends of a document: objects that replace those of the same id, or are new.
//!
//! Pure. The document stays text: objects that nobody sent keep every digit. Whether the outcome holds together is
//! [`super::document`]'s to say.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::document::{Checked, Wrong, check};

/// Objects that one update may send.
pub const OBJECTS_MAX: usize = 1_000;

/// What an update sends objects of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    Merchant,
    BasicInfo,
    Service,
    Menu,
    Category,
    Item,
    ItemOffer,
    OptionGroup,
    Option,
    Availability,
}

impl Entity {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Merchant,
        Self::BasicInfo,
        Self::Service,
        Self::Menu,
        Self::Category,
        Self::Item,
        Self::ItemOffer,
        Self::OptionGroup,
        Self::Option,
        Self::Availability,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merchant => "MERCHANT",
            Self::BasicInfo => "BASIC_INFO",
            Self::Service => "SERVICE",
            Self::Menu => "MENU",
            Self::Category => "CATEGORY",
            Self::Item => "ITEM",
            Self::ItemOffer => "ITEM_OFFER",
            Self::OptionGroup => "OPTION_GROUP",
            Self::Option => "OPTION",
            Self::Availability => "AVAILABILITY",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == text)
    }

    /// Where the document has its objects.
    const fn place(self) -> Place {
        match self {
            Self::Merchant => Place::Whole,
            Self::BasicInfo => Place::Field("basicInfo"),
            Self::Service => Place::List("services"),
            Self::Menu => Place::List("menus"),
            Self::Category => Place::List("categories"),
            Self::Item => Place::List("items"),
            Self::ItemOffer => Place::List("itemOffers"),
            Self::OptionGroup => Place::List("optionGroups"),
            Self::Option => Place::InGroups,
            Self::Availability => Place::List("availabilities"),
        }
    }
}

enum Place {
    Whole,
    Field(&'static str),
    List(&'static str),
    InGroups,
}

type Object = BTreeMap<String, Box<RawValue>>;

/// The document with `objects` in it.
///
/// # Errors
/// What does not fit; nothing has changed then.
pub fn apply(
    document: &str,
    entity: Entity,
    objects: &[&RawValue],
    names: &[&str],
) -> Result<(String, Checked), Wrong> {
    let unreadable = |_| Wrong::new("updatedObjects", "expected objects");
    let mut updated: Object = serde_json::from_str(document).map_err(unreadable)?;
    match (entity.place(), objects) {
        (Place::Whole, [whole]) => {
            let whole: Object = serde_json::from_str(whole.get()).map_err(unreadable)?;
            // It comes without a time and a TTL: those of the document before stay.
            updated.extend(whole);
        }
        (Place::Field(name), [object]) => {
            updated.insert(name.to_owned(), (*object).to_owned());
        }
        (Place::Whole | Place::Field(_), _) => return Err(Wrong::new("updatedObjects", "expected one object")),
        (Place::List(list), objects) => {
            let mut stored = list_of(&updated, list)?;
            for object in objects {
                put(&mut stored, object)?;
            }
            updated.insert(list.to_owned(), raw(&stored)?);
        }
        (Place::InGroups, objects) => {
            let groups = list_of(&updated, "optionGroups")?;
            updated.insert("optionGroups".to_owned(), raw(&with_options(groups, objects)?)?);
        }
    }
    let text = raw(&updated)?.get().to_owned();
    let checked = check(text.as_bytes(), names)?;
    Ok((text, checked))
}

fn list_of(document: &Object, list: &str) -> Result<Vec<Box<RawValue>>, Wrong> {
    match document.get(list).filter(|list| list.get() != "null") {
        Some(list) => serde_json::from_str(list.get()).map_err(|_| Wrong::new("updatedObjects", "expected objects")),
        None => Ok(Vec::new()),
    }
}

/// Replaces the object of the same id, or adds a new one.
fn put(stored: &mut Vec<Box<RawValue>>, object: &RawValue) -> Result<(), Wrong> {
    let id = id_of(object).ok_or_else(|| Wrong::new("updatedObjects", "expected objects with an id"))?;
    match stored.iter_mut().find(|known| id_of(known).as_ref() == Some(&id)) {
        Some(known) => *known = object.to_owned(),
        None => stored.push(object.to_owned()),
    }
    Ok(())
}

fn id_of(object: &RawValue) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_str::<Named>(object.get()).ok().map(|named| named.id)
}

/// Options stand in their groups, maybe in several: each is replaced wherever it stands.
fn with_options(groups: Vec<Box<RawValue>>, objects: &[&RawValue]) -> Result<Vec<Box<RawValue>>, Wrong> {
    let mut missing: Vec<&RawValue> = objects.to_vec();
    let mut changed = Vec::with_capacity(groups.len());
    for group in groups {
        let mut fields: Object =
            serde_json::from_str(group.get()).map_err(|_| Wrong::new("optionGroups", "expected objects"))?;
        let mut options = list_of(&fields, "options")?;
        for object in objects {
            let id = id_of(object).ok_or_else(|| Wrong::new("updatedObjects", "expected objects with an id"))?;
            for option in options.iter_mut().filter(|known| id_of(known).as_ref() == Some(&id)) {
                *option = (*object).to_owned();
                missing.retain(|one| id_of(one).as_ref() != Some(&id));
            }
        }
        fields.insert("options".to_owned(), raw(&options)?);
        changed.push(raw(&fields)?);
    }
    if missing.is_empty() {
        Ok(changed)
    } else {
        Err(Wrong::new("updatedObjects", "expected options that a group has"))
    }
}

fn raw(value: &impl serde::Serialize) -> Result<Box<RawValue>, Wrong> {
    serde_json::value::to_raw_value(value).map_err(|_| Wrong::new("updatedObjects", "expected objects"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::document::tests::{NAME, menu};
    use super::*;

    fn updated(entity: Entity, objects: &Value) -> Result<Value, String> {
        let texts: Vec<Box<RawValue>> = serde_json::from_str(&objects.to_string()).unwrap();
        let objects: Vec<&RawValue> = texts.iter().map(AsRef::as_ref).collect();
        let (text, _) = apply(&menu().to_string(), entity, &objects, &[NAME]).map_err(|wrong| wrong.at)?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn objects_replace_those_of_the_same_id_or_are_new() {
        let items = json!([{ "id": "i", "name": "Novo", "description": "", "externalCode": "i", "unit": "KG" },
            { "id": "n", "name": "N", "description": "", "externalCode": "n", "unit": "UN" }]);
        let document = updated(Entity::Item, &items).unwrap();
        assert_eq!((&document["items"][0]["name"], document["items"].as_array().unwrap().len()), (&json!("Novo"), 3));
        let option = json!([{ "id": "p", "itemId": "i" }]);
        let document = updated(Entity::Option, &option).unwrap();
        assert_eq!(document["optionGroups"][0]["options"], option);
        let mut info = menu()["basicInfo"].clone();
        info["name"] = json!("Outro");
        assert_eq!(updated(Entity::BasicInfo, &json!([info])).unwrap()["basicInfo"]["name"], "Outro");
        let mut whole = menu();
        whole.as_object_mut().unwrap().retain(|name, _| name != "TTL" && name != "lastUpdate");
        whole["status"] = json!("UNAVAILABLE");
        let document = updated(Entity::Merchant, &json!([whole])).unwrap();
        assert_eq!((&document["status"], &document["TTL"]), (&json!("UNAVAILABLE"), &json!(600)));
    }

    #[test]
    fn amounts_that_nobody_sent_keep_their_digits() {
        let text = menu().to_string().replacen("\"originalValue\":50.1", "\"originalValue\":50.1000", 1);
        let text = text.replace("\"averagePreparationTime\":30", "\"averagePreparationTime\":12345678901234567890.10");
        assert!(text.contains("50.1000") && text.contains("12345678901234567890.10"));
        let item = r#"{"id":"i","name":"N","description":"","externalCode":"i","unit":"UN","x":0.10}"#;
        let item: Box<RawValue> = serde_json::from_str(item).unwrap();
        let (after, _) = apply(&text, Entity::Item, &[&item], &[NAME]).unwrap();
        for digits in ["50.1000", "12345678901234567890.10", "0.10"] {
            assert!(after.contains(digits), "{digits}");
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        assert_eq!(updated(Entity::Item, &json!([{ "name": "x" }])), Err("updatedObjects".to_owned()));
        assert_eq!(updated(Entity::Item, &json!([7])), Err("updatedObjects".to_owned()));
        assert_eq!(updated(Entity::Option, &json!([{ "id": "unknown" }])), Err("updatedObjects".to_owned()));
        assert_eq!(updated(Entity::BasicInfo, &json!([{}, {}])), Err("updatedObjects".to_owned()));
        assert_eq!(updated(Entity::BasicInfo, &json!([{}])), Err("basicInfo.name".to_owned()));
        let offer = json!([{ "id": "o", "itemId": "gone", "index": 0, "price": menu()["itemOffers"][0]["price"] }]);
        assert_eq!(updated(Entity::ItemOffer, &offer), Err("itemOffers[0].itemId".to_owned()));
        assert!(Entity::ALL.iter().all(|entity| Entity::parse(entity.name()) == Some(*entity)));
    }
}
