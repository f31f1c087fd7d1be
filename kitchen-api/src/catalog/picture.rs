//! A picture as it is sent and as it is called: a `data:` URL whose bytes are a PNG, a JPEG or a WebP (PARTNER_API, 1.6).
//!
//! Pure; used by `images`. What a picture is, its first bytes say; the media type that the text claims is not looked at. Whether
//! the rest of it can be drawn is deliberately not looked at either: that would mean decoding what strangers send.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use order_model::MerchantId;
use sha2::{Digest, Sha256};

use super::limits::IMAGE_MAX_BYTES;
use super::reader::Object;
use super::refusal::{Kind, Refusal};
use crate::body::BODY_MAX_BYTES;

/// Where the picture stands in the body.
pub(super) const FIELD: &str = "image";
/// What a URL of data begins with, in any case.
const SCHEME: &str = "data:";
/// What stands before the comma then, in any case.
const ENCODING: &str = "base64";

/// What a picture can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Media {
    Png,
    Jpeg,
    Webp,
}

impl Media {
    const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// What these bytes are, by how they begin.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let is = |media: &Self| match media {
            Self::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::Jpeg => bytes.starts_with(b"\xff\xd8\xff"),
            // Between the two stands the length.
            Self::Webp => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        };
        Self::ALL.into_iter().find(is)
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }
}

/// A picture that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) name: PictureName,
    pub(super) bytes: Vec<u8>,
}

impl Picture {
    /// The picture of a body `{"image": "data:image/png;base64,…"}`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let body = Object::body(body)?;
        let url = body.required_text(FIELD, BODY_MAX_BYTES)?;
        let encoded = data_of(&url);
        let encoded =
            encoded.ok_or_else(|| body.wrong(FIELD, "a data URL such as data:image/png;base64,iVBORw0KGgo="))?;
        let bytes = STANDARD.decode(encoded);
        let bytes = bytes.map_err(|_| body.wrong(FIELD, "a data URL with padded base64 after its comma"))?;
        if bytes.len() > IMAGE_MAX_BYTES {
            let message = format!("{FIELD} must be a picture of at most {IMAGE_MAX_BYTES} bytes.");
            return Err(Refusal::new(Kind::Limit, message).at(FIELD));
        }
        let media = Media::of(&bytes);
        let media = media.ok_or_else(|| body.wrong(FIELD, "a PNG, a JPEG or a WebP, whatever its media type says"))?;
        Ok(Self { name: PictureName { digest: Sha256::digest(&bytes).into(), media }, bytes })
    }
}

/// What stands after the comma of a URL of data in base64.
fn data_of(url: &str) -> Option<&str> {
    let (head, data) = url.split_once(',')?;
    let (scheme, parameters) = head.split_at_checked(SCHEME.len())?;
    let (_, encoding) = parameters.rsplit_once(';')?;
    let is_encoded = scheme.eq_ignore_ascii_case(SCHEME) && encoding.trim().eq_ignore_ascii_case(ENCODING);
    is_encoded.then_some(data)
}

/// What a picture is called: by its bytes, so that the same one has one name. Written `<digest>.<extension>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PictureName {
    digest: [u8; 32],
    pub(super) media: Media,
}

impl PictureName {
    /// Reads exactly what is written.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (digits, extension) = text.split_once('.')?;
        let media = Media::ALL.into_iter().find(|media| media.extension() == extension)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).ok()?;
        let name = Self { digest, media };
        // Another spelling would be another address of the same picture.
        (name.to_string() == text).then_some(name)
    }

    /// The digest of the bytes, in hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        hex::encode(self.digest)
    }

    /// Where it is served.
    pub(super) fn path(&self, merchant: MerchantId) -> String {
        format!("/catalog/v2.0/images/{merchant}/{self}")
    }
}

impl fmt::Display for PictureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.digest(), self.media.extension())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::catalog::limits::CODE_MAX_CHARS;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest.";

    fn body(head: &str, bytes: &[u8]) -> Vec<u8> {
        json!({ "image": format!("{head}{}", STANDARD.encode(bytes)), "more": [1] }).to_string().into_bytes()
    }

    fn refusal(body: &[u8]) -> (Kind, String) {
        let refusal = Picture::read(body).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some("image"), "{refusal:?}");
        (refusal.kind, refusal.message.into_owned())
    }

    #[test]
    fn the_first_bytes_say_what_it_is_and_the_text_does_not() {
        for (bytes, extension) in
            [(PNG, "png"), (&b"\xff\xd8\xff\xe0 JFIF"[..], "jpg"), (&b"RIFF\x10\x00\x00\x00WEBPVP8 "[..], "webp")]
        {
            for head in
                ["data:image/png;base64,", "data:text/plain;charset=utf-8;base64,", "DATA:;BASE64,", "data:; base64,"]
            {
                let picture = Picture::read(&body(head, bytes)).unwrap();
                assert_eq!((picture.bytes.as_slice(), picture.name.media.extension()), (bytes, extension), "{head}");
            }
        }
        for other in [
            &b"GIF89a"[..],
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            b"RIFF\x10\x00\x00\x00WAVE",
            b"\x89PNG",
            b"",
        ] {
            assert!(refusal(&body("data:image/png;base64,", other)).1.contains("PNG"), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_data_url_in_base64_is_refused_with_its_field() {
        let encoded = STANDARD.encode(PNG);
        for url in [
            encoded.clone(),
            format!("data:image/png,{encoded}"),
            format!("data:base64,{encoded}"),
            format!("http://host/a.png;base64,{encoded}"),
            "data:image/png;base64".to_owned(),
            "d\u{e4}ta:;base64,".to_owned(),
            "data:image/png;base64,iVBOR!".to_owned(),
            format!("data:image/png;base64,{}", encoded.trim_end_matches('=')),
        ] {
            assert_eq!(refusal(json!({ "image": url }).to_string().as_bytes()).0, Kind::Invalid, "{url}");
        }
        for body in ["{}", "{\"image\":\"\"}", "{\"image\":null}", "{\"image\":5}", "{\"image\":[\"data:\"]}"] {
            assert_eq!(refusal(body.as_bytes()).0, Kind::Invalid, "{body}");
        }
        for body in ["", "[]", "{", "\"data:;base64,\""] {
            assert_eq!(Picture::read(body.as_bytes()).unwrap_err().field, None, "{body}");
        }
    }

    #[test]
    fn the_largest_one_fits_into_a_body_and_one_byte_more_is_too_large() {
        let picture = |bytes: usize| [PNG, &vec![7; bytes - PNG.len()][..]].concat();
        let largest =
            json!({ "image": format!("data:image/jpeg;base64,{}", STANDARD.encode(picture(IMAGE_MAX_BYTES))) });
        let largest = largest.to_string();
        assert!(largest.len() <= BODY_MAX_BYTES, "{}", largest.len());
        assert!(Picture::read(largest.as_bytes()).is_ok());
        assert_eq!(refusal(&body("data:;base64,", &picture(IMAGE_MAX_BYTES + 1))).0, Kind::Limit);
    }

    #[test]
    fn the_same_bytes_have_one_name_which_a_product_can_hold() {
        let name = Picture::read(&body("data:image/png;base64,", PNG)).unwrap().name;
        assert_eq!(Picture::read(&body("data:image/webp;base64,", PNG)).unwrap().name, name);
        assert_ne!(Picture::read(&body("data:;base64,", b"\x89PNG\r\n\x1a\n and another")).unwrap().name, name);
        let path = name.path(MerchantId::from_bytes([1; 16]));
        assert!(path.ends_with(&format!("/{}.png", hex::encode(Sha256::digest(PNG)))), "{path}");
        assert!(path.len() <= CODE_MAX_CHARS, "{path}");
        assert_eq!(PictureName::read(&name.to_string()), Some(name));
        let text = name.to_string();
        for other in
            [text.to_uppercase(), text.replace("png", "gif"), format!("{text}.png"), format!("0{text}"), String::new()]
        {
            assert_eq!(PictureName::read(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_breaks_it(body in prop::collection::vec(any::<u8>(), 0..200), url in "\\PC{0,80}") {
            let _ = Picture::read(&body);
            let _ = Picture::read(json!({ "image": url }).to_string().as_bytes());
            let _ = PictureName::read(&url);
        }
    }
}
