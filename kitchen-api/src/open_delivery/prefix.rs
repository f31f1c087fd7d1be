//! Where the Open Delivery paths are mounted: a setting, because real hosts have them below `/v4/opendelivery` and the like.
//!
//! Used by the router, by the OpenAPI document and for links. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::operations::Document;

/// The longest prefix, in bytes; a URI has 8 KiB in all.
const PREFIX_MAX_BYTES: usize = 128;
/// First segments that are other dialects': below them their own errors are answered.
const TAKEN: [&str; 13] = [
    "authentication",
    "catalog",
    "comanda",
    "events",
    "financial",
    "logistics",
    "merchant",
    "oauth",
    "openapi",
    "order",
    "review",
    "shipping",
    "v1",
];
/// The token endpoint, which is also served without the prefix: some clients configure it apart.
const TOKEN_PATH: &str = "/oauth/token";

/// A prefix of paths, such as `/v4/opendelivery`; empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenDeliveryPrefix(String);

/// A text is no prefix. Says what is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a path such as /v4/opendelivery: segments of letters, digits, '-', '_', '.' and '~', none at the end empty, \
     the first one not that of another API, at most {PREFIX_MAX_BYTES} bytes"
)]
pub struct InvalidPrefix;

impl FromStr for OpenDeliveryPrefix {
    type Err = InvalidPrefix;

    /// Reads a prefix; a slash at its end is dropped.
    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let segments = text.strip_prefix('/').filter(|_| text.len() <= PREFIX_MAX_BYTES).ok_or(InvalidPrefix)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let is_segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().any(|byte| byte != b'.') && segment.bytes().all(is_plain)
        };
        let is_free = segments.split('/').next().is_some_and(|first| !TAKEN.contains(&first));
        if is_free && segments.split('/').all(is_segment) { Ok(Self(text.to_owned())) } else { Err(InvalidPrefix) }
    }
}

impl fmt::Display for OpenDeliveryPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OpenDeliveryPrefix {
    /// Where `path` of an operation of `document` is served.
    pub(crate) fn mount(&self, document: Document, path: &'static str) -> Vec<Cow<'static, str>> {
        if document != Document::OpenDelivery || self.0.is_empty() {
            return vec![Cow::Borrowed(path)];
        }
        let mut paths = vec![Cow::Owned(format!("{self}{path}"))];
        if path == TOKEN_PATH {
            paths.push(Cow::Borrowed(path));
        }
        paths
    }

    /// Whether `path` is this dialect's, whatever is served there: its errors are then, too.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let is_own = |path: &str| path.starts_with("/v1/") || path.starts_with("/oauth/");
        if self.0.is_empty() { is_own(path) } else { below || path == TOKEN_PATH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> OpenDeliveryPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_are_plain_paths_that_nobody_else_has() {
        for good in ["/v4/opendelivery", "/api/open_delivery", "/api/open/opendelivery/v1", "/od/"] {
            assert_eq!(prefix(good).to_string(), good.trim_end_matches('/'));
        }
        assert_eq!(prefix(""), OpenDeliveryPrefix::default());
        assert_eq!(prefix("/"), OpenDeliveryPrefix::default());
        let long = format!("/{}", "a".repeat(128));
        for bad in ["od", "/a//b", "//", "/{id}", "/a b", "/a?b", "/a%2Fb", "/..", "/a/.", "/order", "/v1/x", &long] {
            assert_eq!(bad.parse::<OpenDeliveryPrefix>(), Err(InvalidPrefix), "{bad}");
        }
    }

    #[test]
    fn only_this_dialects_paths_are_moved() {
        let od = prefix("/od");
        assert_eq!(od.mount(Document::OpenDelivery, "/v1/x"), ["/od/v1/x"]);
        assert_eq!(od.mount(Document::OpenDelivery, "/oauth/token"), ["/od/oauth/token", "/oauth/token"]);
        assert_eq!(od.mount(Document::Merchant, "/v1/x"), ["/v1/x"]);
        assert_eq!(OpenDeliveryPrefix::default().mount(Document::OpenDelivery, "/v1/x"), ["/v1/x"]);
    }

    #[test]
    fn errors_are_this_dialects_below_the_prefix() {
        let od = prefix("/od");
        for own in ["/od/v1/x", "/od/anything", "/oauth/token"] {
            assert!(od.covers(own), "{own}");
        }
        for other in ["/odd/v1/x", "/v1/x", "/order/v1.0/orders/1", "/"] {
            assert!(!od.covers(other), "{other}");
        }
        let none = OpenDeliveryPrefix::default();
        assert!(none.covers("/v1/x") && none.covers("/oauth/token"));
        assert!(!none.covers("/order/v1.0/orders/1") && !none.covers("/nothing"));
    }
}
