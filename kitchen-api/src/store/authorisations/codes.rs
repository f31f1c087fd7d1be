//! The codes and keys that people and applications carry around, as texts: made, and read as they are typed.
//!
//! Pure but for the randomness passed in. Used by the steps of `authorisations` and by `oauth`. What is stored of them, and
//! whether one counts, is absent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use order_model::MerchantId;
use secrecy::SecretString;

use super::AuthorisationId;
use crate::entropy::Entropy;

/// Capital consonants without Y: nothing looks like a digit or another letter, and no words come up (RFC 8628, section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a user code: 34 bits. It opens nothing without a portal key, and lives for ten minutes.
const USER_CODE_LETTERS: usize = 8;
/// Letters of an authorization code: 51 bits. It opens nothing without the verifier and the client's secret.
const AUTHORIZATION_CODE_LETTERS: usize = 12;
/// Letters between dashes.
const GROUP: usize = 4;
/// Bytes of every secret that no person types: 256 bits.
const SECRET_BYTES: usize = 32;
/// What a portal key begins with, so that people and scanners of leaked secrets see what it is.
const PORTAL_KEY_PREFIX: &str = "cpk-";

/// A user code, e.g. `BCDF-GHJK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    pub(super) fn new(entropy: &Entropy) -> Self {
        Self(letters(entropy, USER_CODE_LETTERS))
    }

    /// Reads a code as people type it: in any case, with or without dashes and spaces.
    pub fn read(typed: &str) -> Option<Self> {
        let code = letters_of(typed, USER_CODE_LETTERS)?;
        (code.len() == USER_CODE_LETTERS).then_some(Self(code))
    }

    /// The letters alone, as they are stored.
    pub(super) fn as_letters(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&grouped(&self.0))
    }
}

/// A new authorization code as it is shown.
pub(super) fn authorization_code(entropy: &Entropy) -> String {
    grouped(&letters(entropy, AUTHORIZATION_CODE_LETTERS))
}

/// The letters of an authorization code as it was typed; what cannot be one is empty, which matches nothing.
pub(super) fn typed_authorization_code(typed: &str) -> String {
    letters_of(typed, AUTHORIZATION_CODE_LETTERS).unwrap_or_default()
}

/// A new verifier of the request `code`: it names the request, and has 256 bits nobody else knows.
pub(super) fn verifier(code: &UserCode, entropy: &Entropy) -> String {
    format!("{}.{}", code.as_letters(), URL_SAFE_NO_PAD.encode(entropy.bytes::<SECRET_BYTES>()))
}

/// The request that a verifier names.
pub(crate) fn user_code_of_verifier(verifier: &str) -> Option<UserCode> {
    UserCode::read(verifier.split_once('.')?.0)
}

/// A new refresh token: its authorisation and 256 bits.
pub(super) fn refresh_token(authorisation: AuthorisationId, entropy: &Entropy) -> String {
    named_secret(authorisation.0, entropy)
}

/// The authorisation that a refresh token names.
pub(crate) fn authorisation_of_refresh_token(token: &str) -> Option<AuthorisationId> {
    named(token).map(AuthorisationId)
}

/// A new portal key: its merchant and 256 bits.
pub(super) fn portal_key(merchant: MerchantId, entropy: &Entropy) -> SecretString {
    SecretString::from(format!("{PORTAL_KEY_PREFIX}{}", named_secret(*merchant.as_bytes(), entropy)))
}

/// The merchant that a portal key names.
pub(super) fn merchant_of_portal_key(key: &str) -> Option<MerchantId> {
    named(key.strip_prefix(PORTAL_KEY_PREFIX)?).map(MerchantId::from_bytes)
}

fn named_secret(name: [u8; 16], entropy: &Entropy) -> String {
    let mut bytes = name.to_vec();
    bytes.extend(entropy.bytes::<SECRET_BYTES>());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn named(text: &str) -> Option<[u8; 16]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    if bytes.len() != 16 + SECRET_BYTES {
        return None;
    }
    bytes.get(..16)?.try_into().ok()
}

/// Letters drawn from 128 random bits: what the division leaves over favours none by more than 2^-76.
fn letters(entropy: &Entropy, count: usize) -> String {
    let mut rest = u128::from_le_bytes(entropy.bytes());
    let mut text = String::with_capacity(count);
    for _ in 0..count {
        let index = usize::try_from(rest % ALPHABET.len() as u128).unwrap_or_default();
        text.push(char::from(ALPHABET[index]));
        rest /= ALPHABET.len() as u128;
    }
    text
}

/// The letters of `typed` in capitals; `None` when it is too long or has anything that is no letter of ours.
fn letters_of(typed: &str, most: usize) -> Option<String> {
    let mut text = String::with_capacity(most);
    for letter in typed.chars().filter(|letter| !matches!(letter, '-' | ' ' | '\t' | '\r' | '\n')) {
        let letter = letter.to_ascii_uppercase();
        let known = u8::try_from(letter).is_ok_and(|byte| ALPHABET.contains(&byte));
        if !known || text.len() >= most {
            return None;
        }
        text.push(letter);
    }
    Some(text)
}

fn grouped(letters: &str) -> String {
    let mut text = String::with_capacity(letters.len() + letters.len() / GROUP);
    for (index, letter) in letters.chars().enumerate() {
        if index > 0 && index.is_multiple_of(GROUP) {
            text.push('-');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn fixed(byte: u8) -> Entropy {
        Entropy::new(move |bytes| bytes.fill(byte))
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        let code = UserCode::new(&Entropy::system());
        let shown = code.to_string();
        assert_eq!((shown.len(), &shown[4..5]), (9, "-"));
        for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', " "), format!(" {}\n", code.as_letters())]
        {
            assert_eq!(UserCode::read(&typed), Some(code.clone()), "{typed:?}");
        }
        for typed in ["", "BCDF", "BCDF-GHJA", "BCDF-GHJ0", "BCDF-GHJKL", "BCDFGHJÇ", "<script>"] {
            assert_eq!(UserCode::read(typed), None, "{typed:?}");
        }
        assert_eq!(typed_authorization_code("bcdf ghjk-lmnp"), "BCDFGHJKLMNP");
        assert_eq!(typed_authorization_code("0"), "");
    }

    #[test]
    fn every_letter_comes_up_and_no_source_of_randomness_makes_it_hang() {
        let mut seen: Vec<char> = Vec::new();
        for _ in 0..200 {
            seen.extend(UserCode::new(&Entropy::system()).as_letters().chars());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ALPHABET.len());
        assert_eq!(UserCode::new(&fixed(0)).to_string(), "BBBB-BBBB");
        assert_eq!(UserCode::new(&fixed(255)).as_letters().len(), USER_CODE_LETTERS);
    }

    #[test]
    fn secrets_name_what_they_belong_to_and_are_never_shorter_than_256_bits() {
        let entropy = Entropy::system();
        let code = UserCode::new(&entropy);
        let verifier = verifier(&code, &entropy);
        assert_eq!(user_code_of_verifier(&verifier), Some(code));
        assert_eq!(verifier.split_once('.').unwrap().1.len(), 43);
        let id = AuthorisationId::new(&entropy);
        assert_eq!(authorisation_of_refresh_token(&refresh_token(id, &entropy)), Some(id));
        let merchant = MerchantId::from_bytes([7; 16]);
        let key = portal_key(merchant, &entropy);
        assert_eq!(merchant_of_portal_key(key.expose_secret()), Some(merchant));
        assert_eq!(key.expose_secret().len(), 4 + 64);
        assert_eq!(merchant_of_portal_key(&key.expose_secret()[1..]), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_panics(typed in ".{0,80}") {
            let _ = (UserCode::read(&typed), typed_authorization_code(&typed), user_code_of_verifier(&typed));
            let _ = (authorisation_of_refresh_token(&typed), merchant_of_portal_key(&typed));
        }

        #[test]
        fn a_code_survives_being_shown(bytes in any::<[u8; 16]>()) {
            let code = UserCode::new(&Entropy::new(move |into| into.copy_from_slice(&bytes)));
            prop_assert_eq!(UserCode::read(&code.to_string()), Some(code));
        }
    }
}
