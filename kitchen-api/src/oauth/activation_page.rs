//! The activation page as HTML: one file without scripts, pictures or anything from elsewhere, under a policy that allows no more.
//!
//! Pure; used by `activation`. Whatever a request or a table brings along passes [`escaped`] on its way in. The portal key is
//! never in it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::activation_texts::Texts;
use crate::errors::{RETRY_AFTER_S, Throttle};
use crate::merchants::language::Language;

/// Characters of a typed code that are shown again.
const CODE_SHOWN_CHARS: usize = 32;

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem;color:#222}\
label{display:block;margin-top:1rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}\
button{font:inherit;margin-top:1.5rem;padding:.6rem 1.5rem}.problem{border-left:.3rem solid #b00020;padding-left:.8rem}\
.code{font:bold 2rem/2 ui-monospace,monospace;letter-spacing:.1em;text-align:center}";

/// Nothing but the style above, by its digest, and a form that is sent here.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("the policy is plain ASCII")
});

/// What is shown.
pub(super) enum View<'a> {
    /// The form, with what was typed for the code.
    Form { code: &'a str, problem: Option<Problem> },
    /// The authorization code for this application.
    Approved { application: &'a str, code: &'a SecretString },
}

/// Why the form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// A field was left out.
    Incomplete,
    /// The code or the key does not count; which is not said.
    Refused,
    TooMany(Throttle),
    Unavailable,
}

impl Problem {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Refused => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Says when to try again.
    fn set_headers(self, headers: &mut HeaderMap) {
        match self {
            Self::Incomplete | Self::Refused => {}
            Self::TooMany(throttle) => throttle.set(headers),
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
        }
    }

    const fn said_in(self, texts: &Texts) -> &'static str {
        match self {
            Self::Incomplete => texts.incomplete,
            Self::Refused => texts.refused,
            Self::TooMany(_) => texts.too_many,
            Self::Unavailable => texts.unavailable,
        }
    }
}

/// The whole answer.
pub(super) fn render(language: Language, status: StatusCode, view: &View<'_>) -> Response {
    let texts = Texts::of(language);
    let mut response = Response::new(Body::from(html(texts, view)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(header::CONTENT_LANGUAGE, texts.language);
    set(header::VARY, "Accept-Language");
    set(header::CACHE_CONTROL, "no-store");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    if let View::Form { problem: Some(problem), .. } = view {
        problem.set_headers(headers);
    }
    response
}

fn html(texts: &Texts, view: &View<'_>) -> String {
    let (language, title) = (texts.language, texts.title);
    let body = match view {
        View::Form { code, problem } => form(texts, code, *problem),
        View::Approved { application, code } => approved(texts, application, code),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// The form has no `action`: it is sent to where the page came from, whatever a proxy in front calls it.
fn form(texts: &Texts, code: &str, problem: Option<Problem>) -> String {
    let code: String = code.trim().chars().take(CODE_SHOWN_CHARS).collect();
    let code = escaped(&code);
    let problem = problem.map(|problem| {
        let said = problem.said_in(texts);
        format!("<p class=\"problem\" role=\"alert\">{said}</p>\n")
    });
    let problem = problem.unwrap_or_default();
    let Texts { introduction, user_code, portal_key, portal_key_hint, submit, .. } = texts;
    format!(
        "{problem}<p>{introduction}</p>\n<form method=\"post\">\n\
         <label for=\"userCode\">{user_code}</label>\n\
         <input id=\"userCode\" name=\"userCode\" value=\"{code}\" placeholder=\"XXXX-XXXX\" autocomplete=\"off\" \
         autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"32\" required>\n\
         <label for=\"portalKey\">{portal_key}</label>\n\
         <input id=\"portalKey\" name=\"portalKey\" type=\"password\" autocomplete=\"off\" maxlength=\"200\" required>\n\
         <p><small>{portal_key_hint}</small></p>\n<button type=\"submit\">{submit}</button>\n</form>\n"
    )
}

fn approved(texts: &Texts, application: &str, code: &SecretString) -> String {
    let (application, code) = (escaped(application), escaped(code.expose_secret()));
    let Texts { approved_for, type_code, valid_for, only_there, .. } = texts;
    format!(
        "<p>{approved_for} <strong>{application}</strong>.</p>\n<p>{type_code}</p>\n<p class=\"code\">{code}</p>\n\
         <p>{valid_for}</p>\n<p>{only_there}</p>\n"
    )
}

/// `text` with nothing in it that HTML reads as anything but text, inside elements and quoted attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NASTY: &str = "\"><script>alert('x')</script>&amp;";

    fn shown(language: Language, view: &View<'_>) -> String {
        html(Texts::of(language), view)
    }

    #[test]
    fn what_was_typed_and_what_is_stored_is_only_text() {
        let form = shown(Language::Portuguese, &View::Form { code: NASTY, problem: Some(Problem::Refused) });
        assert!(form.contains("value=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;am\""), "{form}");
        let code = SecretString::from(NASTY);
        let approved = shown(Language::English, &View::Approved { application: NASTY, code: &code });
        assert!(!approved.contains("<script") && approved.matches("&lt;script&gt;").count() == 2, "{approved}");
    }

    #[test]
    fn the_policy_allows_the_style_that_is_there_and_no_script() {
        let policy = POLICY.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        let form = shown(Language::Portuguese, &View::Form { code: "", problem: None });
        let style = form.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(policy.contains(&STANDARD.encode(Sha256::digest(style))), "{policy}");
        for absent in ["style=", "script", "http:", "https:", "src=", "<link", "onclick"] {
            assert!(!form.contains(absent), "{absent}");
        }
    }

    #[test]
    fn every_language_says_everything() {
        for language in [Language::Portuguese, Language::English, Language::Spanish] {
            let texts = Texts::of(language);
            let too_many = Problem::TooMany(Throttle { limit: 10, retry_after_s: 1 });
            for problem in [Problem::Incomplete, Problem::Refused, too_many, Problem::Unavailable] {
                let form = shown(language, &View::Form { code: "", problem: Some(problem) });
                assert!(form.contains(&format!("<html lang=\"{}\">", texts.language)));
                assert!(!problem.said_in(texts).is_empty() && form.contains(problem.said_in(texts)));
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_leaves_its_attribute(typed in ".{0,64}") {
            let safe = escaped(&typed);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            let back = safe.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
            prop_assert_eq!(back.replace("&amp;", "&"), typed);
        }
    }
}
