//! Reads `application/x-www-form-urlencoded` texts: the token endpoint's body and the query of every request.
//!
//! Used by `endpoint` and by `events`. Tolerant like the clients need it: what is not valid UTF-8 is replaced, a name
//! without a value has an empty one.

use std::borrow::Cow;

/// The pairs of `text`, decoded, in order.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'+', _) => (b' ', tail),
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => ((high << 4) | low, after),
                _ => (b'%', tail),
            },
            (other, _) => (*other, tail),
        };
        bytes.push(byte);
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let read: Vec<(String, String)> =
            pairs("a=1&b=%7Bx%7d+y&c&=z&&d=100%&e=%zz").map(|(name, value)| (name.into(), value.into())).collect();
        let expected = [("a", "1"), ("b", "{x} y"), ("c", ""), ("", "z"), ("d", "100%"), ("e", "%zz")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
