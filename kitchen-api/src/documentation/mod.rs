//! `/docs`: the OpenAPI documents as a page to read and to try requests on, without a network beyond this server.
//!
//! Called by the routes. Swagger UI is part of the executable, compressed as it is sent (`vendor/swagger-ui`); what is ours is a page
//! that chooses a document, its script and its style. The policy lets a browser load nothing from elsewhere. What is deliberately
//! absent: answers for clients that take no gzip (there is no such browser), and the documents, which `openapi` renders.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use crate::errors::ApiError;
use crate::routes::path_segment;

/// Where a file's name stands in `/docs/{file}`.
const FILE_SEGMENT: usize = 1;
/// Nothing from elsewhere, no script and no style in the page itself; Swagger UI's pictures are in its style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// For how long a browser need not ask again: the files change with our own version only, and nobody waits for that.
const CACHE: &str = "public, max-age=3600";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// A file of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    is_compressed: bool,
    content: &'static [u8],
}

const fn file(name: &'static str, content_type: &'static str, content: &'static [u8]) -> File {
    File { name, content_type, is_compressed: false, content }
}

const fn compressed(name: &'static str, content_type: &'static str, content: &'static [u8]) -> File {
    File { is_compressed: true, ..file(name, content_type, content) }
}

const PAGE: File = file("", "text/html; charset=utf-8", include_bytes!("page.html"));
const FILES: [File; 4] = [
    file("page.js", JAVASCRIPT, include_bytes!("page.js")),
    file("page.css", CSS, include_bytes!("page.css")),
    compressed("swagger-ui-bundle.js", JAVASCRIPT, include_bytes!("../../vendor/swagger-ui/swagger-ui-bundle.js.gz")),
    compressed("swagger-ui.css", CSS, include_bytes!("../../vendor/swagger-ui/swagger-ui.css.gz")),
];

/// Answers with the page.
pub(crate) fn page() -> Response {
    respond(&PAGE)
}

/// Answers with a file of the page.
pub(crate) fn page_file(request: &Request) -> Result<Response, ApiError> {
    let name = path_segment(request.uri().path(), FILE_SEGMENT);
    let found = FILES.iter().find(|file| file.name == name);
    found.map(respond).ok_or_else(|| ApiError::not_found("There is no such file."))
}

fn respond(file: &File) -> Response {
    let mut response = Response::new(Body::from(file.content));
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, file.content_type);
    set(header::CACHE_CONTROL, CACHE);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if file.is_compressed {
        set(header::CONTENT_ENCODING, "gzip");
    }
    response
}
