//! What an internal app's `OPA` changes of an order: a JSON Merge Patch (RFC 7396) under `metadata.patch`.
//!
//! Read by `wire`, applied to the body by `planning`. What the patch leaves alone stays the text it was, numbers included: they
//! are decimals. Who an order is, and what its events inherit from it, cannot be patched. The patch itself is published
//! nowhere: it may hold personal data; whoever sees the `OPA` reads the order again.

use std::collections::BTreeMap;

use bytes::Bytes;
use order_model::Timestamp;

use crate::codes::OrderBody;
use crate::raw_json::Fields;

const PATCH: &str = "patch";
/// Deeper patches are refused: orders have a depth of about 6.
const DEPTH_MAX: usize = 32;

/// What is fixed when an order is placed, and what a patch that touches it is refused for.
const FIXED: [(&str, &str); 6] = [
    ("id", "metadata.patch.id, which is fixed,"),
    ("merchant", "metadata.patch.merchant, which is fixed,"),
    ("createdAt", "metadata.patch.createdAt, which is fixed,"),
    ("orderType", "metadata.patch.orderType, which is fixed,"),
    ("category", "metadata.patch.category, which is fixed,"),
    ("salesChannel", "metadata.patch.salesChannel, which is fixed,"),
];
/// What every order has, and how its value begins.
const REQUIRED: [(&str, char, &str); 3] = [
    ("displayId", '"', "metadata.patch.displayId"),
    ("items", '[', "metadata.patch.items"),
    ("total", '{', "metadata.patch.total"),
];

/// A patch that touches nothing fixed. Has no `Debug` of its text: it may hold personal data.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OrderPatch(String);

impl std::fmt::Debug for OrderPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderPatch")
    }
}

impl OrderPatch {
    /// The patch of an `OPA`'s metadata, and the metadata without it; no patch where there is none.
    ///
    /// # Errors
    /// With the field that cannot be patched so.
    pub(crate) fn take(metadata: &[u8]) -> Result<(Option<Self>, String), &'static str> {
        let mut fields: Fields<'_> = serde_json::from_slice(metadata).map_err(|_| "metadata")?;
        let patch = fields.last(PATCH);
        fields.0.retain(|(name, _)| name != PATCH);
        let rest = fields.to_json();
        let Some(patch) = patch else { return Ok((None, rest)) };
        let parts: Fields<'_> = serde_json::from_str(patch.get()).map_err(|_| "metadata.patch")?;
        if let Some((_, what)) = FIXED.into_iter().find(|(name, _)| parts.last(name).is_some()) {
            return Err(what);
        }
        let breaks = |(name, first, _): &(&str, char, &str)| {
            parts.0.iter().any(|(known, value)| known == name && !value.get().starts_with(*first))
        };
        if let Some((_, _, what)) = REQUIRED.into_iter().find(breaks) {
            return Err(what);
        }
        Ok((Some(Self(patch.get().to_owned())), rest))
    }

    /// Another instant for the kitchen to begin.
    pub(crate) fn preparation_start(start: Timestamp) -> Self {
        Self(format!("{{\"preparationStartDateTime\":\"{start}\"}}"))
    }

    /// `field` of the order's object `of` is to be `value`, a JSON text; `null` takes it away.
    pub(crate) fn of_field(of: &'static str, field: &'static str, value: &str) -> Self {
        Self(format!("{{\"{of}\":{{\"{field}\":{value}}}}}"))
    }

    /// `body` with the patch applied; `None` when it is nested too deeply.
    pub(crate) fn apply(&self, body: &OrderBody) -> Option<OrderBody> {
        let json = merge(std::str::from_utf8(&body.json).ok()?, &self.0, 0)?;
        let patched = OrderBody::split(&Bytes::from(json));
        Some(OrderBody { drop_code: patched.drop_code.or_else(|| body.drop_code.clone()), ..patched })
    }
}

/// RFC 7396 on texts. What the patch does not name stays where it is and as it was written, names that occur twice included.
fn merge(target: &str, patch: &str, depth: usize) -> Option<String> {
    if depth >= DEPTH_MAX {
        return None;
    }
    let Ok(Fields(changes)) = serde_json::from_str::<Fields<'_>>(patch) else { return Some(patch.to_owned()) };
    let target = serde_json::from_str::<Fields<'_>>(target).map(|fields| fields.0).unwrap_or_default();
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut merged: Vec<Option<(String, String)>> = Vec::with_capacity(target.len() + changes.len());
    for (name, value) in target {
        places.entry(name.clone()).or_default().push(merged.len());
        merged.push(Some((name, value.get().to_owned())));
    }
    for (name, change) in changes {
        let places = places.entry(name.clone()).or_default();
        if places.is_empty() {
            places.push(merged.len());
            merged.push(None);
        }
        // Of a name that occurs twice the last value counts; what comes of it stands where the first was.
        let mut before = None;
        for place in places.iter() {
            before = merged[*place].take().or(before);
        }
        places.truncate(1);
        if change.get() != "null" {
            let before = before.map_or_else(|| "null".to_owned(), |(_, value)| value);
            merged[places[0]] = Some((name, merge(&before, change.get(), depth + 1)?));
        }
    }
    let fields = merged.iter().flatten();
    let fields = fields.map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str())));
    Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patched(body: &str, patch: &str) -> (String, Option<String>) {
        let (patch, _) = OrderPatch::take(format!(r#"{{"patch":{patch}}}"#).as_bytes()).unwrap();
        let body = patch.unwrap().apply(&OrderBody::split(&Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        (String::from_utf8(body.json.to_vec()).unwrap(), body.drop_code)
    }

    #[test]
    fn a_patch_changes_what_it_names_and_every_other_decimal_stays() {
        let body = r#"{"id":"1","total":{"orderAmount":68.10,"fee":1.10e1},"note":"x","long":123456789012345678901234567890.12}"#;
        let patch = r#"{"total":{"orderAmount":70.00},"note":null,"new":{"a":1.0,"b":null}}"#;
        let expected = r#"{"id":"1","total":{"orderAmount":70.00,"fee":1.10e1},"long":123456789012345678901234567890.12,"new":{"a":1.0}}"#;
        assert_eq!(patched(body, patch).0, expected);
        assert_eq!(
            patched(r#"{"items":[1,2]}"#, r#"{"items":[{"quantity":1.50}]}"#).0,
            r#"{"items":[{"quantity":1.50}]}"#
        );
    }

    #[test]
    fn a_new_customers_code_replaces_the_old_one_and_stays_out_of_the_body() {
        let body = r#"{"delivery":{"dropCode":"1","x":1}}"#;
        let patch = r#"{"delivery":{"dropCode":"2"}}"#;
        assert_eq!(patched(body, patch), (r#"{"delivery":{"x":1}}"#.to_owned(), Some("2".to_owned())));
        assert_eq!(patched(body, "{}").1.as_deref(), Some("1"));
    }

    #[test]
    fn what_is_fixed_or_needed_is_refused_by_name() {
        for (patch, what) in [
            (r#"{"id":"1"}"#, "metadata.patch.id, which is fixed,"),
            (r#"{"merchant":null}"#, "metadata.patch.merchant, which is fixed,"),
            (r#"{"createdAt":"x"}"#, "metadata.patch.createdAt, which is fixed,"),
            (r#"{"orderType":"TAKEOUT"}"#, "metadata.patch.orderType, which is fixed,"),
            (r#"{"\u0069d":"1"}"#, "metadata.patch.id, which is fixed,"),
            (r#"{"items":null}"#, "metadata.patch.items"),
            (r#"{"total":7}"#, "metadata.patch.total"),
            ("[]", "metadata.patch"),
            ("null", "metadata.patch"),
        ] {
            let metadata = format!(r#"{{"patch":{patch}}}"#);
            assert_eq!(OrderPatch::take(metadata.as_bytes()), Err(what), "{patch}");
        }
        assert_eq!(OrderPatch::take(br#"{"x":1.50}"#), Ok((None, r#"{"x":1.50}"#.to_owned())));
        let (patch, rest) = OrderPatch::take(br#"{"patch":{"note":"Ana"},"x":1}"#).unwrap();
        assert_eq!((format!("{patch:?}"), rest.as_str()), ("Some(OrderPatch)".to_owned(), r#"{"x":1}"#));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(40), "}".repeat(40));
        assert_eq!(merge("{}", &deep, 0), None);
    }

    proptest! {
        /// On JSON that no reader can mistake, it is RFC 7396 as written there.
        #[test]
        fn it_is_the_merge_patch_of_the_rfc(target in json(), patch in json()) {
            fn reference(target: serde_json::Value, patch: &serde_json::Value) -> serde_json::Value {
                let serde_json::Value::Object(changes) = patch else { return patch.clone() };
                let mut target = match target {
                    serde_json::Value::Object(target) => target,
                    _ => serde_json::Map::new(),
                };
                for (name, change) in changes {
                    if change.is_null() {
                        target.remove(name);
                    } else {
                        let before = target.remove(name).unwrap_or_default();
                        target.insert(name.clone(), reference(before, change));
                    }
                }
                target.into()
            }
            let merged = merge(&target.to_string(), &patch.to_string(), 0).unwrap();
            let merged: serde_json::Value = serde_json::from_str(&merged).unwrap();
            prop_assert_eq!(merged, reference(target, &patch));
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i32>().prop_map(serde_json::Value::from),
            "[a-c]{0,2}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
