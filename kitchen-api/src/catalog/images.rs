//! Pictures of menus: taken from whoever keeps the catalog, shown to everybody (PARTNER_API, 1.6).
//!
//! Called by `endpoints` and, for what is shown, by the routes: menus are public, and apps show their pictures without a token.
//! An address holds the digest of what it shows, so it never shows anything else and cannot be guessed. Its merchant's POS may
//! remove one that no product has; other instances and caches may show it for a while longer. Deliberately absent: a list of
//! them, and removing one unasked, because nobody knows which addresses apps still show.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Catalog;
use super::answers::{gone, refused, with_status};
use super::endpoints::Asked;
use super::entities::{Entity, EntityKind};
use super::limits::{IMAGES_MAX, PRODUCTS_MAX};
use super::picture::{FIELD, Media, Picture, PictureName};
use super::picture_cache::{PictureCache, PictureKey};
use super::refusal::{Kind, Refusal};
use super::store::{CatalogError, Kept, Removed};
use crate::api::Api;
use crate::body::{BODY_MAX_BYTES, read_json};
use crate::errors::ApiError;
use crate::orders::json_response;
use crate::routes::path_segment;

/// Pictures read from the table at the same time: whoever asks for many must not take the table from edits.
const READS_AT_ONCE: usize = 16;
/// How long somebody waits for their turn to read.
const TURN_WAIT: Duration = Duration::from_secs(2);
/// Where the merchant and the picture's name stand in the path.
const MERCHANT_SEGMENT: usize = 3;
const NAME_SEGMENT: usize = 4;
/// Nobody has to ask again: what an address shows never changes.
const CACHE: &str = "public, max-age=31536000, immutable";
/// A picture that is opened by itself runs nothing and loads nothing, whatever its bytes are.
const POLICY: &str = "default-src 'none'; sandbox";

/// What pictures are served from.
pub(super) struct Pictures {
    cache: Mutex<PictureCache>,
    reads: Semaphore,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { cache: Mutex::default(), reads: Semaphore::new(READS_AT_ONCE) }
    }
}

/// Keeps a picture and answers with where it is served.
pub(super) async fn upload(asked: &Asked<'_>, body: Body) -> Result<Response, ApiError> {
    let body = read_json(&asked.parts.headers, body, BODY_MAX_BYTES).await?;
    // Off the threads that answer polls.
    let read = tokio::task::spawn_blocking(move || Picture::read(&body)).await;
    let picture = read.map_err(|_| ApiError::unavailable())?.map_err(refused)?;
    let catalog = &asked.api.catalog;
    match keep(asked, &picture).await.map_err(|error| catalog.unavailable(&error))? {
        Kept::Here => {}
        Kept::TooMany => {
            let message = format!("A merchant has at most {IMAGES_MAX} pictures.");
            return Err(refused(Refusal::new(Kind::Limit, message).at(FIELD)));
        }
    }
    let body = json!({ "imagePath": picture.name.path(asked.merchant) }).to_string();
    Ok(with_status(json_response(Bytes::from(body)), StatusCode::CREATED))
}

/// Keeps it unless it is kept already. Pictures of one merchant are counted one after another.
async fn keep(asked: &Asked<'_>, picture: &Picture) -> Result<Kept, CatalogError> {
    let editor = &asked.api.catalog.editor;
    let digest = picture.name.digest();
    if editor.table.has_image(asked.merchant, &digest).await? {
        return Ok(Kept::Here);
    }
    let mut attempts = editor.attempts();
    while attempts.another().await {
        if let Some(kept) = editor.table.keep_image(asked.merchant, &digest, &picture.bytes).await? {
            return Ok(kept);
        }
    }
    Err(CatalogError::Contended)
}

/// Removes a picture that no product has, and gives its place back.
pub(super) async fn remove(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let (catalog, path) = (&asked.api.catalog, asked.parts.uri.path());
    let name = PictureName::read(path_segment(path, NAME_SEGMENT)).ok_or_else(no_picture)?;
    match take_away(asked, &name).await.map_err(|error| catalog.unavailable(&error))? {
        Removal::Done => {}
        Removal::NotThere => return Err(no_picture()),
        Removal::InUse(product) => {
            let message = format!("The product {product} has this picture.");
            return Err(refused(Refusal::new(Kind::Conflict, message)));
        }
    }
    catalog.pictures.cache.lock().forget(&(asked.merchant, name));
    Ok(gone())
}

/// What became of a picture that was to be removed.
enum Removal {
    Done,
    NotThere,
    /// A product has it: the one of this id.
    InUse(String),
}

/// Looks which products there are and removes the picture if they are the same still: no product comes by it in between.
async fn take_away(asked: &Asked<'_>, name: &PictureName) -> Result<Removal, CatalogError> {
    let (editor, merchant, digest) = (&asked.api.catalog.editor, asked.merchant, name.digest());
    // Under the name of another kind of picture there is none.
    if editor.table.image(merchant, &digest).await?.is_none_or(|bytes| Media::of(&bytes) != Some(name.media)) {
        return Ok(Removal::NotThere);
    }
    let mut attempts = editor.attempts();
    while attempts.another().await {
        let revision = editor.table.head(merchant).await?.revision;
        let products = editor.table.load_kind(merchant, EntityKind::Product, PRODUCTS_MAX as usize).await?;
        // However its address is written, with a host or without.
        let shows = |entity: &Entity| matches!(entity, Entity::Product(product) if product.image_path.as_ref().is_some_and(|path| path.contains(&digest)));
        if let Some((key, _)) = products.into_iter().find(|(_, stored)| shows(&stored.entity)) {
            return Ok(Removal::InUse(key.id));
        }
        match editor.table.remove_image(merchant, &digest, revision).await? {
            Removed::Done => return Ok(Removal::Done),
            Removed::NotThere => return Ok(Removal::NotThere),
            Removed::Overtaken => {}
        }
    }
    Err(CatalogError::Contended)
}

/// Shows a picture to whoever asks.
pub(crate) async fn image(api: Arc<Api>, request: Request) -> Result<Response, ApiError> {
    let key = named(request.uri().path()).ok_or_else(no_picture)?;
    let bytes = api.catalog.picture(&key).await?.ok_or_else(no_picture)?;
    let (_, name) = key;
    let tag = format!("\"{}\"", name.digest());
    let is_known = is_named(request.headers(), &tag);
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(bytes) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(name.media.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Digits and quotes.
    headers.extend(HeaderValue::try_from(tag).ok().map(|tag| (header::ETAG, tag)));
    Ok(response)
}

/// Which picture a path names; `None` where no picture can be.
fn named(path: &str) -> Option<PictureKey> {
    let merchant = path_segment(path, MERCHANT_SEGMENT).parse().ok()?;
    Some((merchant, PictureName::read(path_segment(path, NAME_SEGMENT))?))
}

fn no_picture() -> ApiError {
    ApiError::not_found("There is no such picture.")
}

/// Whether `If-None-Match` names what would be answered.
fn is_named(headers: &HeaderMap, tag: &str) -> bool {
    let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = sent.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(sent) == tag)
}

impl Catalog {
    /// A picture's bytes, from memory or from the table; `None` when there is none.
    async fn picture(&self, key: &PictureKey) -> Result<Option<Bytes>, ApiError> {
        let Pictures { cache, reads } = &self.pictures;
        if let Some(found) = cache.lock().get(key) {
            return Ok(Some(found));
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN_WAIT, reads.acquire()).await else {
            return Err(ApiError::unavailable());
        };
        // Somebody who had their turn before may have brought it.
        if let Some(found) = cache.lock().get(key) {
            return Ok(Some(found));
        }
        let (merchant, name) = key;
        let read =
            self.editor.table.image(*merchant, &name.digest()).await.map_err(|error| self.unavailable(&error))?;
        self.answers_again();
        let found = read.map(Bytes::from).filter(|bytes| Media::of(bytes) == Some(name.media));
        if let Some(found) = &found {
            cache.lock().put(*key, found.clone());
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_picture_is_named_in_every_way_tags_are_written() {
        let is_named = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            super::is_named(&headers, "\"ab\"")
        };
        for known in ["\"ab\"", "W/\"ab\"", "*", "\"cd\" , \"ab\""] {
            assert!(is_named(known), "{known}");
        }
        for other in ["ab", "\"abc\"", "\"cd\"", "", "w/\"ab\""] {
            assert!(!is_named(other), "{other}");
        }
        assert!(!super::is_named(&HeaderMap::new(), "\"ab\""));
    }

    #[test]
    fn only_a_merchant_and_a_name_of_a_picture_are_looked_for() {
        let digest = "0".repeat(64);
        let merchant = "00000000-0000-4000-8000-000000000001";
        assert!(named(&format!("/catalog/v2.0/images/{merchant}/{digest}.png")).is_some());
        for tail in ["", "x.png", &format!("{digest}.svg"), &digest, &format!("{digest}.png%00")] {
            assert_eq!(named(&format!("/catalog/v2.0/images/{merchant}/{tail}")), None, "{tail}");
        }
        assert_eq!(named(&format!("/catalog/v2.0/images/none/{digest}.png")), None);
    }
}
