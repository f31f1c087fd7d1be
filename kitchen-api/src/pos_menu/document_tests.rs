//! Documents that hold together, and those that do not.

use serde_json::json;

use super::*;

pub(in crate::pos_menu) const NAME: &str = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824";

pub(in crate::pos_menu) fn menu() -> Value {
    let price = json!({ "value": 50.10, "originalValue": 50.10, "currency": "BRL" });
    json!({
        "id": NAME, "lastUpdate": "2026-11-20T12:00:00Z", "TTL": 600, "status": "AVAILABLE",
        "basicInfo": { "name": "P", "document": "22815773000169", "corporateName": "P", "description": "p",
            "averagePreparationTime": 30, "minOrderValue": { "value": 1, "currency": "BRL" },
            "merchantType": "RESTAURANT", "merchantCategories": ["PIZZA"], "address": {}, "contactEmails": [],
            "contactPhones": {}, "logoImage": {} },
        "services": [{ "id": "s", "status": "AVAILABLE", "serviceType": "DELIVERY", "menuId": "m", "serviceHours": {} }],
        "menus": [{ "id": "m", "name": "M", "externalCode": "m", "categoryId": ["c"] }],
        "categories": [{ "id": "c", "index": 0, "name": "C", "externalCode": "c", "status": "AVAILABLE",
            "itemOfferId": ["o"], "availabilityId": ["a"] }],
        "itemOffers": [{ "id": "o", "itemId": "i", "index": 0, "price": price, "optionGroupsId": ["g"] }],
        "items": [{ "id": "i", "name": "I", "description": "", "externalCode": "i", "unit": "UN" },
            { "id": "e", "name": "E", "description": "", "externalCode": "e", "unit": "UN" }],
        "optionGroups": [{ "id": "g", "index": 0, "name": "G", "externalCode": "g", "status": "AVAILABLE",
            "minPermitted": 0, "maxPermitted": 1, "options": [{ "id": "p", "itemId": "e", "price": price }] }],
        "availabilities": [{ "id": "a", "hours": [] }],
    })
}

fn checked(document: &Value) -> Result<Checked, String> {
    check(document.to_string().as_bytes(), &[NAME]).map_err(|wrong| wrong.at)
}

#[test]
fn a_document_that_holds_together_is_taken_and_its_time_is_bounded() {
    assert_eq!(checked(&menu()), Ok(Checked { ttl_s: 600 }));
    for (sent, taken) in [(1, 500), (90_000, 86_400)] {
        assert_eq!(
            checked(&Value::Object({
                let mut menu = menu().as_object().unwrap().clone();
                menu.insert("TTL".to_owned(), json!(sent));
                menu
            })),
            Ok(Checked { ttl_s: taken })
        );
    }
    let mut without = menu();
    for optional in ["optionGroups", "availabilities"] {
        without.as_object_mut().unwrap().remove(optional);
    }
    without["itemOffers"][0]["optionGroupsId"] = Value::Null;
    without["categories"][0]["availabilityId"] = json!([]);
    assert!(checked(&without).is_ok());
}

#[test]
fn what_is_wrong_is_named_by_its_place() {
    for (pointer, value, at) in [
        ("/id", json!("another"), "id"),
        ("/TTL", json!("soon"), "TTL"),
        ("/status", json!("OPEN"), "status"),
        ("/basicInfo/address", json!(null), "basicInfo.address"),
        ("/items", json!({}), "items"),
        ("/items/0", json!(7), "items[0]"),
        ("/items/1/id", json!("i"), "items[1].id"),
        ("/items/0/name", json!(7), "items[0].name"),
        ("/items/0/unit", json!("BAG"), "items[0].unit"),
        ("/itemOffers/0/price/value", json!("1"), "itemOffers[0].price"),
        ("/itemOffers/0/price/value", json!(-0.5), "itemOffers[0].price"),
        ("/itemOffers/0/price/currency", json!("reais"), "itemOffers[0].price"),
        ("/itemOffers/0/itemId", json!("x"), "itemOffers[0].itemId"),
        ("/itemOffers/0/optionGroupsId", json!(["x"]), "itemOffers[0].optionGroupsId"),
        ("/categories/0/itemOfferId", json!(["o", "x"]), "categories[0].itemOfferId"),
        ("/categories/0/index", json!(1.5), "categories[0].index"),
        ("/menus/0/categoryId", json!(["x"]), "menus[0].categoryId"),
        ("/services/0/menuId", json!("x"), "services[0].menuId"),
        ("/optionGroups/0/options/0/itemId", json!("x"), "optionGroups[0].options[0].itemId"),
        ("/optionGroups/0/options/0/id", json!(null), "optionGroups[0].options[0].id"),
    ] {
        let mut wrong = menu();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert_eq!(checked(&wrong), Err(at.to_owned()), "{pointer}");
    }
    for text in ["", "[]", "null", "{"] {
        assert_eq!(check(text.as_bytes(), &[NAME]).unwrap_err().at, "the document", "{text}");
    }
    assert!(check("[".repeat(100_000).as_bytes(), &[NAME]).is_err(), "deep JSON is refused");
}

mod hostile {
    use hostile_inputs::{any_bytes, json_of};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A document is taken for as long as Open Delivery allows, or refused by a place that is named.
        #[test]
        fn a_document_is_taken_or_refused_by_its_place(document in json_of(menu())) {
            match check(document.as_bytes(), &[NAME]) {
                Ok(Checked { ttl_s }) => {
                    prop_assert!(TTL_S.contains(&ttl_s) && !is_too_deep(document.as_bytes()));
                    prop_assert!(serde_json::from_str::<Value>(&document).is_ok_and(|read| read["id"] == NAME));
                }
                Err(wrong) => prop_assert!(wrong.at.len() < 200, "{} names no place", wrong.at.len()),
            }
        }

        #[test]
        fn bytes_are_no_document(bytes in any_bytes()) {
            prop_assert!(check(&bytes, &[NAME]).is_err());
        }
    }
}
