//! Paths that are served for clients of before, what took their place, and how an answer there says so (RFC 9745, RFC 8288). Pure.
//!
//! Used by `routes` for every answer on such a path and by `openapi`. Deliberately absent: a date on which they end. Most POSes still
//! poll here, and nothing but the headers differs.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A path of before, what took its place, and the header that says so.
struct Deprecated {
    path: &'static str,
    link: &'static str,
}

const PATHS: [Deprecated; 2] = [
    Deprecated { path: "/order/v1.0/events:polling", link: "</events/v1.0/events:polling>; rel=\"successor-version\"" },
    Deprecated {
        path: "/order/v1.0/events/acknowledgment",
        link: "</events/v1.0/events/acknowledgment>; rel=\"successor-version\"",
    },
];

/// Since when, as a structured date: 1 January 2026. They have been aliases from our first version on.
pub(crate) const SINCE: &str = "@1767225600";
/// The header that says since when.
pub(crate) const HEADER: &str = "deprecation";

/// What an answer on `path` links to; `None` where the path is not deprecated.
pub(crate) fn link_of(path: &str) -> Option<&'static str> {
    PATHS.iter().find(|deprecated| deprecated.path == path).map(|deprecated| deprecated.link)
}

/// Says in an answer that its path is deprecated.
pub(crate) fn say(headers: &mut HeaderMap, link: &'static str) {
    headers.insert(HeaderName::from_static(HEADER), HeaderValue::from_static(SINCE));
    headers.insert(header::LINK, HeaderValue::from_static(link));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    #[test]
    fn every_deprecated_path_and_its_successor_are_of_one_operation() {
        for deprecated in &PATHS {
            let row = operations::all().find(|row| row.paths.contains(&deprecated.path)).unwrap();
            assert_ne!(row.paths[0], deprecated.path);
            assert_eq!(deprecated.link, format!("<{}>; rel=\"successor-version\"", row.paths[0]));
            assert_eq!(link_of(row.paths[0]), None);
        }
    }
}
