//! The files that come with a dispute, a photo most often: what one is, and how they are taken out of an `HSD`'s metadata.
//!
//! A photo of a customer is personal data: it never stands in an event, on a topic or in a feed. It is an item of its own in the
//! order's table, which the event links to. Called by `wire` (taking out), `planning` (what is kept), `store` and `core`.

mod taking;

use bytes::Bytes;
use order_model::EvidenceId;

pub(crate) use taking::{Links, take};

/// Files of one dispute. Entries that only link to something elsewhere do not count.
pub(crate) const EVIDENCES_MAX: usize = 8;
/// The largest file. As base64 it needs 171 KiB of the 192 KiB that a message may have; an item of DynamoDB holds 400 KB.
pub(crate) const EVIDENCE_BYTES_MAX: usize = 128 * 1024;
/// Files of one order, over all its disputes: what erasing an order deletes fits one transaction (100 items), and their ids the
/// order's own item.
pub(crate) const EVIDENCES_PER_ORDER_MAX: usize = 32;

/// What a file is, judged by its first bytes and never by what somebody calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    Jpeg,
    Png,
    Webp,
    Pdf,
}

impl ContentType {
    const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Pdf];

    /// What `content` is; `None` for anything else.
    pub(crate) fn of_content(content: &[u8]) -> Option<Self> {
        let is_riff = content.starts_with(b"RIFF");
        if content.starts_with(b"\xFF\xD8\xFF") {
            Some(Self::Jpeg)
        } else if content.starts_with(b"\x89PNG\r\n\x1A\n") {
            Some(Self::Png)
        } else if is_riff && content.get(8..12).is_some_and(|format| format == b"WEBP") {
            Some(Self::Webp)
        } else if content.starts_with(b"%PDF-") {
            Some(Self::Pdf)
        } else {
            None
        }
    }

    /// Its name on the wire and in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// The type of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The same whenever its message comes again.
    pub(crate) id: EvidenceId,
    pub(crate) content_type: ContentType,
    pub(crate) content: Bytes,
}

/// Its size only: it is personal data.
impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.content.len();
        f.debug_struct("Evidence").field("id", &self.id).field("content_bytes", &bytes).finish_non_exhaustive()
    }
}

/// What a message brings along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    /// One at least, in the order of their entries.
    pub(crate) files: Vec<Evidence>,
    /// The event's metadata without their entries, cleaned: for an order whose personal data is gone.
    pub(crate) metadata_without: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_with() {
        for (content, expected) in [
            (&b"\xFF\xD8\xFF\xE0rest"[..], Some("image/jpeg")),
            (b"\x89PNG\r\n\x1A\nrest", Some("image/png")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"%PDF-1.7", Some("application/pdf")),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"RIFF\x10\0\0\0WEB", None),
            (b"GIF89a", None),
            (b"<svg xmlns", None),
            (b"\xFF\xD8", None),
            (b"", None),
        ] {
            let judged = ContentType::of_content(content);
            assert_eq!(judged.map(ContentType::name), expected, "{content:?}");
            assert_eq!(judged.map(ContentType::name).and_then(ContentType::from_name), judged);
        }
        assert_eq!(ContentType::from_name("image/gif"), None);
    }

    #[test]
    fn no_log_shows_a_file() {
        let content = Bytes::from_static(b"canary");
        let file = Evidence { id: EvidenceId::from_bytes([1; 16]), content_type: ContentType::Png, content };
        let shown = format!("{file:?}");
        assert!(shown.contains("content_bytes: 6") && !shown.contains("canary"), "{shown}");
    }
}
