//! Takes the files out of an `HSD`'s metadata and puts links in their place.
//!
//! An entry of `metadata.evidences` (`metadata.metadata.evidences` of the message) that has `content`, base64, is such a file. One
//! that only has a `url` of its own stays as it is, and so does every byte outside the lists. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use order_model::{EvidenceId, OrderId};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{ContentType, EVIDENCE_BYTES_MAX, EVIDENCES_MAX, Evidence};
use crate::raw_json::{Elements, Fields, position_in};

const NESTED: &str = "metadata";
const EVIDENCES: &str = "evidences";
const CONTENT: &str = "content";
const CONTENT_TYPE: &str = "contentType";
const URL: &str = "url";

/// Producers differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What links are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'a> {
    /// What they begin with, without a slash at the end; empty for paths.
    pub(crate) public_url: &'a str,
    /// The order that is disputed.
    pub(crate) order: OrderId,
}

impl Links<'_> {
    /// Where kitchen-api serves a file.
    fn to(&self, evidence: EvidenceId) -> String {
        format!("{}/order/v1.0/orders/{}/cancellationEvidences/{evidence}", self.public_url, self.order)
    }
}

/// What was taken out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// One at least.
    pub(crate) files: Vec<Evidence>,
    /// The metadata with a link for each file.
    pub(crate) with_links: String,
    /// The metadata without the files' entries.
    pub(crate) without: String,
}

/// Takes the files out of `metadata`; `None` when there is none in it.
///
/// # Errors
/// With the field that is not as it should be, and what was expected; never with what is in it.
pub(crate) fn take(metadata: &[u8], links: &Links<'_>) -> Result<Option<Taken>, Cow<'static, str>> {
    let metadata = std::str::from_utf8(metadata).map_err(|_| "metadata")?;
    let outer: Fields<'_> = serde_json::from_str(metadata).map_err(|_| "metadata")?;
    let dispute = outer.last("disputeId").and_then(|id| serde_json::from_str::<String>(id.get()).ok());
    let mut taker = Taker { links, dispute: dispute.unwrap_or_default(), files: Vec::new() };
    let (mut with_links, mut without) = (Splice::new(metadata), Splice::new(metadata));
    // A name that occurs twice counts twice: no reader of the event may find a file.
    for (_, nested) in outer.0.iter().filter(|(name, _)| name == NESTED) {
        let Ok(Fields(nested)) = serde_json::from_str::<Fields<'_>>(nested.get()) else { continue };
        for (_, list) in nested.into_iter().filter(|(name, _)| name == EVIDENCES) {
            let Ok(Elements(entries)) = serde_json::from_str::<Elements<'_>>(list.get()) else { continue };
            let before = taker.files.len();
            let entries = entries.into_iter().enumerate().map(|(place, entry)| taker.entry(place, entry));
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            if taker.files.len() > before {
                with_links.replace(list, &joined(entries.iter().map(Entry::text)));
                without.replace(list, &joined(entries.iter().filter(|entry| !entry.is_file()).map(Entry::text)));
            }
        }
    }
    let Taker { files, .. } = taker;
    if files.is_empty() {
        return Ok(None);
    }
    Ok(Some(Taken { files, with_links: with_links.finish(), without: without.finish() }))
}

fn joined<'a>(entries: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", entries.collect::<Vec<_>>().join(","))
}

/// An entry of a list, as it is to stand there.
enum Entry<'a> {
    AsSent(&'a RawValue),
    File(String),
}

impl Entry<'_> {
    fn text(&self) -> &str {
        match self {
            Self::AsSent(raw) => raw.get(),
            Self::File(text) => text,
        }
    }

    const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

struct Taker<'a> {
    links: &'a Links<'a>,
    dispute: String,
    files: Vec<Evidence>,
}

impl Taker<'_> {
    fn entry<'a>(&mut self, place: usize, raw: &'a RawValue) -> Result<Entry<'a>, Cow<'static, str>> {
        let wrong = |field: &str, expected: &str| Err(format!("{}[{place}].{field} ({expected})", full_name()).into());
        let Ok(fields) = serde_json::from_str::<Fields<'_>>(raw.get()) else { return Ok(Entry::AsSent(raw)) };
        let is_content = |(name, value): &&(String, &RawValue)| name == CONTENT && value.get() != "null";
        let Some((_, content)) = fields.0.iter().rev().find(is_content) else {
            // A file written as a link would be published with it.
            let is_data = |(name, value): &(String, &RawValue)| name == URL && is_data_url(value);
            let hides_file = fields.0.iter().any(is_data);
            return if hides_file { wrong(URL, "a link; a file is content") } else { Ok(Entry::AsSent(raw)) };
        };
        let Some(content) = decoded(content) else { return wrong(CONTENT, "base64 expected") };
        if content.len() > EVIDENCE_BYTES_MAX {
            return wrong(CONTENT, &format!("at most {EVIDENCE_BYTES_MAX} bytes expected"));
        }
        let Some(content_type) = ContentType::of_content(&content) else {
            return wrong(CONTENT, "a file of image/jpeg, image/png, image/webp or application/pdf expected");
        };
        if self.files.len() == EVIDENCES_MAX {
            return Err(format!("{} (at most {EVIDENCES_MAX} files expected)", full_name()).into());
        }
        let id = self.id_of(&content);
        self.files.push(Evidence { id, content_type, content: content.into() });
        Ok(Entry::File(self.linked(&fields, id, content_type)))
    }

    /// The entry with its link and without its file; what else it says stays.
    fn linked(&self, fields: &Fields<'_>, id: EvidenceId, content_type: ContentType) -> String {
        let url = serde_json::Value::from(self.links.to(id));
        let mut text = format!("{{\"{CONTENT_TYPE}\":\"{}\",\"{URL}\":{url}", content_type.name());
        let replaced = [CONTENT, CONTENT_TYPE, URL];
        for (name, value) in fields.0.iter().filter(|(name, _)| !replaced.contains(&name.as_str())) {
            text.push_str(&format!(",{}:{}", serde_json::Value::from(name.as_str()), value.get()));
        }
        text.push('}');
        text
    }

    /// The id of the next file: a pure function of what the message says, so that whoever decides again writes the same item.
    fn id_of(&self, content: &[u8]) -> EvidenceId {
        let count = |count: usize| (count as u64).to_be_bytes();
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"evidence")
            .chain_update(self.links.order.as_bytes())
            .chain_update(count(self.dispute.len()))
            .chain_update(&self.dispute)
            .chain_update(count(self.files.len()))
            .chain_update(content)
            .finalize()
            .into();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        // A UUID of version 8: made as its maker likes.
        id[6] = (id[6] & 0x0F) | 0x80;
        id[8] = (id[8] & 0x3F) | 0x80;
        EvidenceId::from_bytes(id)
    }
}

/// Where the list stands in a message.
fn full_name() -> String {
    format!("metadata.{NESTED}.{EVIDENCES}")
}

fn decoded(content: &RawValue) -> Option<Vec<u8>> {
    let text: String = serde_json::from_str(content.get()).ok()?;
    BASE64.decode(text).ok()
}

fn is_data_url(url: &RawValue) -> bool {
    let text = serde_json::from_str::<String>(url.get()).unwrap_or_default();
    text.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// A text with parts replaced, front to back.
struct Splice<'a> {
    text: &'a str,
    copied: usize,
    out: String,
}

impl<'a> Splice<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, copied: 0, out: String::new() }
    }

    /// Puts `new` in the place of `part`, which was borrowed from the text behind the last one.
    fn replace(&mut self, part: &RawValue, new: &str) {
        let Some(start) = position_in(self.text.as_bytes(), part) else { return };
        let Some(between) = self.text.get(self.copied..start) else { return };
        self.out.push_str(between);
        self.out.push_str(new);
        self.copied = start + part.get().len();
    }

    fn finish(mut self) -> String {
        self.out.push_str(self.text.get(self.copied..).unwrap_or_default());
        self.out
    }
}

#[cfg(test)]
#[path = "taking_tests.rs"]
mod tests;
