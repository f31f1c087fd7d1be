//! The operations on a catalog that read or change one thing. Lists are in `lists`.
//!
//! Every one begins with the merchant of the path, which has to be the application's: a foreign merchant and an unknown one
//! answer identically.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use order_model::MerchantId;
use serde_json::json;

use super::answers::{expected, gone, one, refused, with_status, with_version};
use super::batch::{Entry, EntryResult};
use super::edits::{
    Patch, change_category, create_category, create_product, patch, put_item, put_product, remove, unknown,
};
use super::entities::{Entity, EntityKind, Key};
use super::limits::{OPEN_BATCHES_MAX, PAGE_MAX, PRODUCTS_MAX};
use super::reader::is_id;
use super::requests::{self, Patches, Target};
use super::store::{Found, Taken};
use super::{catalog_id, images, lists, views};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::{ApiError, Throttle};
use crate::merchants::{merchant_in_path, uuid_text};
use crate::oauth::{Authorised, form_pairs};
use crate::operations::CatalogOperation;
use crate::orders::json_response;

/// A merchant has too many batches open; a few of them take two seconds.
const TOO_MANY_BATCHES: Throttle = Throttle { limit: OPEN_BATCHES_MAX, retry_after_s: 2 };

/// One request without its body, its merchant known to be the application's.
pub(super) struct Asked<'a> {
    pub(super) api: &'a Api,
    pub(super) merchant: MerchantId,
    pub(super) parts: Parts,
}

/// Answers any operation on a catalog.
pub(crate) async fn answer(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
    operation: CatalogOperation,
) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let (parts, body) = request.into_parts();
    let asked = Asked { api: &api, merchant, parts };
    asked.check_catalog()?;
    let response = match operation {
        CatalogOperation::Catalogs => lists::catalogs(&asked).await,
        CatalogOperation::Categories => lists::categories(&asked).await,
        CatalogOperation::CategoryItems => lists::category_items(&asked).await,
        CatalogOperation::UnsellableItems => lists::unsellable_items(&asked).await,
        CatalogOperation::Products => products(&asked).await,
        CatalogOperation::CreateCategory => create_category_of(&asked, body).await,
        CatalogOperation::GetCategory => get(&asked, EntityKind::Category).await,
        CatalogOperation::ChangeCategory => change_category_of(&asked, body).await,
        CatalogOperation::RemoveCategory => remove_one(&asked, EntityKind::Category).await,
        CatalogOperation::PutItem => put_whole_item(&asked, body).await,
        CatalogOperation::GetItem => get(&asked, EntityKind::Item).await,
        CatalogOperation::RemoveItem => remove_one(&asked, EntityKind::Item).await,
        CatalogOperation::ItemPrice => change_one_or_many(&asked, body, Target::ItemPrice).await,
        CatalogOperation::ItemStatus => change_one_or_many(&asked, body, Target::ItemStatus).await,
        CatalogOperation::OptionPrice => change_one_or_many(&asked, body, Target::OptionPrice).await,
        CatalogOperation::OptionStatus => change_one_or_many(&asked, body, Target::OptionStatus).await,
        CatalogOperation::CreateProduct => create_product_of(&asked, body).await,
        CatalogOperation::GetProduct => get(&asked, EntityKind::Product).await,
        CatalogOperation::PutProduct => put_product_of(&asked, body).await,
        CatalogOperation::RemoveProduct => remove_one(&asked, EntityKind::Product).await,
        CatalogOperation::GetBatch => batch(&asked).await,
        CatalogOperation::UploadImage => images::upload(&asked, body).await,
        CatalogOperation::RemoveImage => images::remove(&asked).await,
    }?;
    api.catalog.answers_again();
    Ok(response)
}

impl Asked<'_> {
    /// The segment of the path after the last one that is `name`; empty when there is none.
    pub(super) fn after(&self, name: &str) -> String {
        let mut segments = self.parts.uri.path().rsplit('/').peekable();
        while let Some(segment) = segments.next() {
            if segments.peek() == Some(&name) {
                return segment.to_owned();
            }
        }
        String::new()
    }

    /// A path that names a catalog must name the merchant's own.
    fn check_catalog(&self) -> Result<(), ApiError> {
        let named = self.after("catalogs");
        let is_own = named.is_empty() || named == catalog_id(self.merchant);
        if is_own { Ok(()) } else { Err(ApiError::not_found("There is no such catalog.")) }
    }

    /// What the path names; what is no id is unknown.
    pub(super) fn named(&self, kind: EntityKind) -> Result<Key, ApiError> {
        let id = self.after(folder(kind));
        if is_id(&id) { Ok(Key::new(kind, id)) } else { Err(refused(unknown(name(kind)))) }
    }

    fn fresh_id(&self) -> String {
        uuid_text(self.api.entropy.bytes())
    }
}

const fn name(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Category => "category",
        EntityKind::Code => "code",
        EntityKind::Group => "option group",
        EntityKind::Item => "item",
        EntityKind::Option => "option",
        EntityKind::Product => "product",
    }
}

/// Where a kind stands in paths.
const fn folder(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Category => "categories",
        EntityKind::Code => "codes",
        EntityKind::Group => "optionGroups",
        EntityKind::Item => "items",
        EntityKind::Option => "options",
        EntityKind::Product => "products",
    }
}

/// Answers with an entity as it is now, and with its version.
async fn entity(asked: &Asked<'_>, key: &Key) -> Result<Response, ApiError> {
    let catalog = &asked.api.catalog;
    // A category or a product stands for itself; what an item or an option shows is elsewhere.
    let lookup = match key.kind {
        EntityKind::Item | EntityKind::Option => {
            lists::consistently(asked, || catalog.editor.read_with_references(asked.merchant, vec![key.clone()]))
                .await?
        }
        EntityKind::Category | EntityKind::Code | EntityKind::Group | EntityKind::Product => {
            catalog.editor.table.head(asked.merchant).await.map_err(|error| catalog.unavailable(&error))?;
            let read = catalog.editor.table.load(asked.merchant, std::slice::from_ref(key)).await;
            let read = read.map_err(|error| catalog.unavailable(&error))?;
            read.into_iter().filter_map(|(key, stored)| Some((key, stored?))).collect()
        }
    };
    let missing = || refused(unknown(name(key.kind)));
    let stored = lookup.get(key).ok_or_else(missing)?;
    let response = match &stored.entity {
        Entity::Category(category) => one(&views::category(&key.id, category)),
        Entity::Product(product) => one(&views::product(&key.id, product)),
        Entity::Item(item) => one(&views::item(&lookup, &key.id, item).ok_or_else(missing)?),
        Entity::Option(_) => one(&views::option(&lookup, &key.id).ok_or_else(missing)?),
        Entity::Code(_) | Entity::Group(_) => Err(missing()),
    }?;
    Ok(with_version(response, stored.version))
}

async fn get(asked: &Asked<'_>, kind: EntityKind) -> Result<Response, ApiError> {
    entity(asked, &asked.named(kind)?).await
}

async fn remove_one(asked: &Asked<'_>, kind: EntityKind) -> Result<Response, ApiError> {
    let (key, expected) = (asked.named(kind)?, expected(&asked.parts.headers)?);
    let catalog = &asked.api.catalog;
    let removed = catalog.editor.edit(asked.merchant, |menu| remove(menu, &key, name(kind), expected)).await;
    removed.map_err(|error| catalog.refusal(error))?;
    Ok(gone())
}

async fn create_category_of(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    let (id, category) = requests::new_category(&body).map_err(refused)?;
    let key = Key::category(id.unwrap_or_else(|| asked.fresh_id()));
    let catalog = &asked.api.catalog;
    let created = catalog.editor.edit(asked.merchant, |menu| create_category(menu, &key.id, &category)).await;
    created.map_err(|error| catalog.refusal(error))?;
    Ok(with_status(entity(asked, &key).await?, StatusCode::CREATED))
}

async fn change_category_of(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    let change = requests::category_change(&body).map_err(refused)?;
    let (key, expected) = (asked.named(EntityKind::Category)?, expected(&asked.parts.headers)?);
    let catalog = &asked.api.catalog;
    let changed = catalog.editor.edit(asked.merchant, |menu| change_category(menu, &key.id, &change, expected)).await;
    changed.map_err(|error| catalog.refusal(error))?;
    entity(asked, &key).await
}

async fn put_whole_item(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    let sent = requests::whole_item(&body).map_err(refused)?;
    let expected = expected(&asked.parts.headers)?;
    let catalog = &asked.api.catalog;
    let put = catalog.editor.edit(asked.merchant, |menu| put_item(menu, &sent, expected)).await;
    put.map_err(|error| catalog.refusal(error))?;
    entity(asked, &Key::item(&sent.id)).await
}

async fn create_product_of(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    let (id, product) = requests::product_body(&body).map_err(refused)?;
    let key = Key::product(id.unwrap_or_else(|| asked.fresh_id()));
    let catalog = &asked.api.catalog;
    let created = catalog.editor.edit(asked.merchant, |menu| create_product(menu, &key.id, &product)).await;
    created.map_err(|error| catalog.refusal(error))?;
    Ok(with_status(entity(asked, &key).await?, StatusCode::CREATED))
}

async fn put_product_of(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    let (id, product) = requests::product_body(&body).map_err(refused)?;
    let (key, expected) = (asked.named(EntityKind::Product)?, expected(&asked.parts.headers)?);
    if id.is_some_and(|id| id != key.id) {
        return Err(ApiError::bad_request("id must be that of the path.").at_field("id"));
    }
    let catalog = &asked.api.catalog;
    let put = catalog.editor.edit(asked.merchant, |menu| put_product(menu, &key.id, &product, true, expected)).await;
    put.map_err(|error| catalog.refusal(error))?;
    entity(asked, &key).await
}

/// A page of the products, by their ids.
async fn products(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let (mut page, mut limit) = (1usize, PAGE_MAX as usize);
    for (field, value) in form_pairs(asked.parts.uri.query().unwrap_or_default()) {
        let (field, place, most) = match &*field {
            "page" => ("page", &mut page, PRODUCTS_MAX as usize),
            "limit" => ("limit", &mut limit, PAGE_MAX as usize),
            _ => continue,
        };
        let number = value.trim().parse().ok().filter(|number| (1..=most).contains(number));
        let expected = || ApiError::bad_request(format!("{field} must be a number from 1 to {most}.")).at_field(field);
        *place = number.ok_or_else(expected)?;
    }
    let (table, merchant) = (&asked.api.catalog.editor.table, asked.merchant);
    let end = page.saturating_mul(limit);
    let read = lists::consistently(asked, || table.load_kind(merchant, EntityKind::Product, end)).await?;
    let products = read.iter().skip(end - limit).filter_map(|(key, stored)| match &stored.entity {
        Entity::Product(product) => Some(views::product(&key.id, product)),
        _ => None,
    });
    one(&products.collect::<Vec<_>>())
}

/// One change is made at once; an array of them becomes a batch.
async fn change_one_or_many(asked: &Asked<'_>, body: Body, target: Target) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    match requests::patches(&body, target).map_err(refused)? {
        Patches::One(wanted) => {
            let expected = expected(&asked.parts.headers)?;
            let catalog = &asked.api.catalog;
            let patched = catalog.editor.edit(asked.merchant, |menu| patch(menu, &wanted, expected)).await;
            patched.map_err(|error| catalog.refusal(error))?;
            entity(asked, &wanted.key).await
        }
        Patches::Batch(patches) => take_batch(asked, patches).await,
    }
}

/// Stores a batch; it is worked off by whoever comes to it first.
async fn take_batch(asked: &Asked<'_>, patches: Vec<Patch>) -> Result<Response, ApiError> {
    let catalog = &asked.api.catalog;
    let entries: Vec<Entry> = patches.into_iter().map(Entry::new).collect();
    let batch = asked.fresh_id();
    let stored = catalog.editor.table.store_batch(asked.merchant, &batch, &entries, asked.api.clock.now()).await;
    match stored.map_err(|error| catalog.unavailable(&error))? {
        Taken::Stored => catalog.worker.wake(),
        Taken::TooMany => return Err(ApiError::too_many_requests(TOO_MANY_BATCHES)),
    }
    let body = json!({ "batchId": batch }).to_string();
    Ok(with_status(json_response(Bytes::from(body)), StatusCode::ACCEPTED))
}

/// How far a batch is, with the result of each entry.
async fn batch(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("There is no such batch, or it was finished long ago.");
    let id = asked.after("batch");
    if !is_id(&id) {
        return Err(missing());
    }
    let catalog = &asked.api.catalog;
    let found = catalog.editor.table.batch(asked.merchant, &id).await;
    let Found { record, entries } = found.map_err(|error| catalog.unavailable(&error))?.ok_or_else(missing)?;
    let mut failed = 0;
    let results: Vec<serde_json::Value> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| match &entry.result {
            EntryResult::Pending => json!({ "index": index, "resourceId": entry.id, "result": "PENDING" }),
            EntryResult::Success => json!({ "index": index, "resourceId": entry.id, "result": "SUCCESS" }),
            EntryResult::Failed { field, message } => {
                failed += 1;
                let mut result =
                    json!({ "index": index, "resourceId": entry.id, "result": "FAILED", "message": message });
                if let Some(field) = field {
                    result["field"] = json!(field);
                }
                result
            }
        })
        .collect();
    let status = match (record.finished_at, record.done) {
        (Some(_), _) => "COMPLETED",
        (None, 0) => "PENDING",
        (None, _) => "PROCESSING",
    };
    let mut body = json!({
        "batchId": id,
        "batchStatus": status,
        "createdAt": record.created_at.to_string(),
        "total": record.total,
        "processed": record.done,
        "failed": failed,
        "results": results,
    });
    if let Some(finished_at) = record.finished_at {
        body["finishedAt"] = json!(finished_at.to_string());
    }
    Ok(json_response(Bytes::from(body.to_string())))
}
