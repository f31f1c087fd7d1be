//! Whole catalogs: the list of catalogs, categories with or without their items, the items of one, what cannot be ordered.
//!
//! Called by `endpoints`. A list is read strongly consistently and once more when somebody edited meanwhile; what a catalog may hold
//! bounds what is read, and an answer has a limit of its own. Rendered off the threads that answer polls.

use axum::response::Response;
use bytes::Bytes;
use order_model::Timestamp;
use serde_json::json;

use super::answers::{Json, one, refused};
use super::catalog_id;
use super::edits::unknown;
use super::endpoints::Asked;
use super::entities::{Category, Entity, EntityKind, Item, Key};
use super::limits::CATEGORIES_MAX;
use super::sellable::unsellable;
use super::store::CatalogError;
use super::views::{self, Lookup};
use crate::errors::ApiError;
use crate::merchants::find_one;
use crate::oauth::form_pairs;
use crate::orders::json_response;

/// How often something is read because somebody edited meanwhile. A batch under way edits all the time: then the last reading
/// counts, in which what is missing is left out.
const READS_MAX: u32 = 8;

async fn revision(asked: &Asked<'_>) -> Result<u64, ApiError> {
    let catalog = &asked.api.catalog;
    let head = catalog.editor.table.head(asked.merchant).await;
    head.map(|head| head.revision).map_err(|error| catalog.unavailable(&error))
}

/// Reads, and reads again if the catalog has changed meanwhile.
pub(super) async fn consistently<T, F>(asked: &Asked<'_>, read: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, CatalogError>>,
{
    let catalog = &asked.api.catalog;
    let mut before = revision(asked).await?;
    for _ in 1..READS_MAX {
        let found = read().await.map_err(|error| catalog.unavailable(&error))?;
        let after = revision(asked).await?;
        if after == before {
            return Ok(found);
        }
        before = after;
    }
    read().await.map_err(|error| catalog.unavailable(&error))
}

async fn rendered(render: impl FnOnce() -> Result<Response, ApiError> + Send + 'static) -> Result<Response, ApiError> {
    tokio::task::spawn_blocking(render).await.unwrap_or_else(|_| Err(ApiError::unavailable()))
}

/// The one catalog that each merchant has.
pub(super) async fn catalogs(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let catalog = &asked.api.catalog;
    let head = catalog.editor.table.head(asked.merchant).await.map_err(|error| catalog.unavailable(&error))?;
    let id = catalog_id(asked.merchant);
    let modified_at =
        if head.revision == 0 { made_at(asked).await.unwrap_or(head.modified_at) } else { head.modified_at };
    let body = json!([{
        "catalogId": id,
        "groupId": id,
        "context": ["DEFAULT"],
        "status": "AVAILABLE",
        "modifiedAt": modified_at.to_string(),
    }]);
    Ok(json_response(Bytes::from(body.to_string())))
}

/// When the merchant was added, and its empty catalog with it. Nothing is said while nobody can be asked: a catalog that can be
/// read is not refused for that.
async fn made_at(asked: &Asked<'_>) -> Option<Timestamp> {
    let merchant = find_one(asked.api, asked.merchant).await.ok().flatten()?;
    Some(Timestamp::from_unix_ms(merchant.created_at_ms))
}

async fn everything(asked: &Asked<'_>) -> Result<Lookup, ApiError> {
    let (table, merchant) = (&asked.api.catalog.editor.table, asked.merchant);
    let read = consistently(asked, || table.load_all(merchant)).await?;
    Ok(read.into_iter().collect())
}

/// The categories in their order, with `include_items` also what is in them.
pub(super) async fn categories(asked: &Asked<'_>) -> Result<Response, ApiError> {
    if includes_items(asked.parts.uri.query())? {
        let lookup = everything(asked).await?;
        return rendered(move || render_categories(&lookup)).await;
    }
    let (table, merchant) = (&asked.api.catalog.editor.table, asked.merchant);
    let read = || table.load_kind(merchant, EntityKind::Category, CATEGORIES_MAX as usize);
    let lookup: Lookup = consistently(asked, read).await?.into_iter().collect();
    let mut json = Json::default();
    json.add_text("[")?;
    json.add_all(in_order(&lookup).into_iter().map(|(id, category)| views::category(id, category)))?;
    json.add_text("]")?;
    Ok(json.finish())
}

fn includes_items(query: Option<&str>) -> Result<bool, ApiError> {
    let mut includes = false;
    for (name, value) in form_pairs(query.unwrap_or_default()) {
        let field = match &*name {
            "include_items" => "include_items",
            "includeItems" => "includeItems",
            _ => continue,
        };
        includes = match value.trim() {
            "true" | "True" | "1" => true,
            "false" | "False" | "0" | "" => false,
            _ => return Err(ApiError::bad_request(format!("{field} must be true or false.")).at_field(field)),
        };
    }
    Ok(includes)
}

fn in_order(lookup: &Lookup) -> Vec<(&str, &Category)> {
    let mut categories: Vec<(&str, &Category)> = lookup
        .iter()
        .filter_map(|(key, stored)| match &stored.entity {
            Entity::Category(category) => Some((key.id.as_str(), category)),
            _ => None,
        })
        .collect();
    categories.sort_by_key(|(id, category)| (category.index, *id));
    categories
}

/// The items in their order, each with its category's id.
fn items(lookup: &Lookup) -> Vec<(&str, &Item)> {
    let mut items: Vec<(&str, &Item)> = lookup
        .iter()
        .filter_map(|(key, stored)| match &stored.entity {
            Entity::Item(item) => Some((key.id.as_str(), item)),
            _ => None,
        })
        .collect();
    items.sort_by_key(|(id, item)| (item.category_id.as_str(), item.index, *id));
    items
}

/// One item at a time is rendered: with all its options a catalog may be much larger than it is stored.
fn render_categories(lookup: &Lookup) -> Result<Response, ApiError> {
    let items = items(lookup);
    let mut json = Json::default();
    json.add_text("[")?;
    for (at, (id, category)) in in_order(lookup).into_iter().enumerate() {
        if at > 0 {
            json.add_text(",")?;
        }
        json.open(&views::category(id, category))?;
        json.add_text(",\"items\":[")?;
        let start = items.partition_point(|(_, item)| item.category_id.as_str() < id);
        let of_category = items[start..].iter().take_while(|(_, item)| item.category_id == id);
        json.add_all(of_category.filter_map(|(item_id, item)| views::item(lookup, item_id, item)))?;
        json.add_text("]}")?;
    }
    json.add_text("]")?;
    Ok(json.finish())
}

/// The items of one category, and their products.
pub(super) async fn category_items(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let key = asked.named(EntityKind::Category)?;
    let (editor, merchant) = (&asked.api.catalog.editor, asked.merchant);
    let read = || async {
        let mut keys = editor.table.items_in(merchant, &key.id).await?;
        keys.push(key.clone());
        editor.read_with_references(merchant, keys).await
    };
    let lookup = consistently(asked, read).await?;
    if !lookup.contains_key(&key) {
        return Err(refused(unknown("category")));
    }
    rendered(move || render_items(&lookup, &key)).await
}

fn render_items(lookup: &Lookup, category: &Key) -> Result<Response, ApiError> {
    let items = items(lookup);
    let mut json = Json::default();
    json.add_text("{\"categoryId\":")?;
    json.add(&category.id)?;
    json.add_text(",\"items\":[")?;
    json.add_all(items.iter().filter_map(|(id, item)| views::item(lookup, id, item)))?;
    json.add_text("],\"products\":[")?;
    let mut ids: Vec<&str> = items.iter().map(|(_, item)| item.product_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    json.add_all(ids.into_iter().filter_map(|id| Some(views::product(id, views::product_of(lookup, id)?))))?;
    json.add_text("]}")?;
    Ok(json.finish())
}

/// What cannot be ordered as things stand.
pub(super) async fn unsellable_items(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let lookup = everything(asked).await?;
    rendered(move || one(&unsellable(&lookup))).await
}

#[cfg(test)]
mod tests {
    use order_model::MerchantId;

    use super::*;

    #[test]
    fn items_are_asked_for_in_both_spellings() {
        for (query, includes) in [
            (None, Some(false)),
            (Some("include_items=true"), Some(true)),
            (Some("x=1&includeItems=true"), Some(true)),
            (Some("include_items=false"), Some(false)),
            (Some("include_items=yes"), None),
        ] {
            assert_eq!(includes_items(query).ok(), includes, "{query:?}");
        }
        assert_ne!(catalog_id(MerchantId::from_bytes([1; 16])), catalog_id(MerchantId::from_bytes([2; 16])));
    }
}
