//! In which language a store's owner reads what is shown: `Accept-Language` (RFC 9110, section 12.5.4), by default Portuguese.
//!
//! Pure. Regions are not told apart: `pt-PT` reads Brazilian Portuguese, `en-GB` the one English there is.

use http::{HeaderMap, header};

/// Ranges that are looked at; what comes after them does not count.
const RANGES_MAX: usize = 32;

/// A language of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// As in Brazil.
    Portuguese,
    English,
    Spanish,
}

impl Language {
    /// The one that the client likes best of those there are; Portuguese when it likes none.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let sent = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let ranges = sent.flat_map(|value| value.split(',')).take(RANGES_MAX).filter_map(Self::range);
        // Of two that are liked equally, the one named first.
        let best = ranges.fold(None, |best: Option<(Self, f32)>, (language, liked)| match best {
            Some((_, most)) if most >= liked => best,
            _ => Some((language, liked)),
        });
        best.map_or(Self::Portuguese, |(language, _)| language)
    }

    /// A language and how much it is liked, above 0 and at most 1.
    fn range(text: &str) -> Option<(Self, f32)> {
        let (tag, parameters) = text.split_once(';').unwrap_or((text, ""));
        let language = match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
            "pt" | "*" => Self::Portuguese,
            "en" => Self::English,
            "es" => Self::Spanish,
            _ => return None,
        };
        let quality = parameters.trim().strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
        let quality = quality.map_or(Some(1.0), |number| number.trim().parse().ok())?;
        (quality > 0.0 && quality <= 1.0).then_some((language, quality))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_liked_best_is_taken() {
        for (sent, expected) in [
            ("", Language::Portuguese),
            ("en", Language::English),
            ("en-US,en;q=0.9", Language::English),
            ("ES-ar", Language::Spanish),
            ("fr, es;q=0.3, en;q=0.5", Language::English),
            ("en;q=0.5, es;q=0.5", Language::English),
            ("en;q=0, es;q=0.1", Language::Spanish),
            ("pt-BR, en", Language::Portuguese),
            ("fr", Language::Portuguese),
            ("*", Language::Portuguese),
            ("en;q=x, english, ;;, é", Language::Portuguese),
            ("en;q=NaN", Language::Portuguese),
            ("en;Q=0.2, es ; q=0.3", Language::Spanish),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_bytes(sent.as_bytes()).unwrap());
            assert_eq!(Language::of(&headers), expected, "{sent}");
        }
        assert_eq!(Language::of(&HeaderMap::new()), Language::Portuguese);
    }
}
