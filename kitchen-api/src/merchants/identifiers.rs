//! Ids of what this API makes up: interruptions, shifts, what a catalog consists of. Pure; randomness is passed in.

/// Sixteen bytes as a UUID of version 8: neither random nor derived by a published rule is promised of it.
pub(crate) fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid() {
        assert_eq!(uuid_text([0xff; 16]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(uuid_text([0; 16]), "00000000-0000-8000-8000-000000000000");
    }
}
