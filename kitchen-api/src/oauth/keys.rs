//! The Ed25519 keys that sign tokens.
//!
//! Used by `claims`; [`generate_signing_key`] by `dev` and by whoever sets a production up. Keys enter as PEM; where that is
//! kept is the binary's business.

use std::collections::HashMap;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::config::TokenConfig;

/// A signing key cannot be used. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM with a PKCS#8 private key.
    #[error("a token signing key is not PEM with a PRIVATE KEY block")]
    NotPem,
    /// PKCS#8, but of another kind than Ed25519.
    #[error("a token signing key is not an Ed25519 key")]
    NotEd25519,
    /// The system could not make one.
    #[error("no signing key could be generated")]
    NotGenerated,
}

/// A new Ed25519 key as PKCS#8 in PEM.
///
/// # Errors
/// [`KeyError::NotGenerated`] when the system has no randomness.
pub fn generate_signing_key() -> Result<SecretString, KeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NotGenerated)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::NotGenerated)?;
    // 48 bytes in PKCS#8 version 1: one line of base64.
    let text = STANDARD.encode(der.as_ref());
    Ok(SecretString::from(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")))
}

/// Whether `pem` is a key that can sign tokens. For whoever checks settings without starting the service.
///
/// # Errors
/// What is wrong with it.
pub fn check_signing_key(pem: &SecretString) -> Result<(), KeyError> {
    read_key(pem).map(|_| ())
}

/// The key that signs and every key whose signatures count, by key id.
pub(super) struct Keys {
    pub(super) signing: EncodingKey,
    pub(super) signing_id: String,
    pub(super) verifying: HashMap<String, DecodingKey>,
}

impl Keys {
    pub(super) fn read(config: &TokenConfig) -> Result<Self, KeyError> {
        let (signing_id, signing, verifying) = read_key(&config.signing_key_pem)?;
        let mut keys = HashMap::from([(signing_id.clone(), verifying)]);
        for previous in &config.previous_signing_keys_pem {
            let (id, _, verifying) = read_key(previous)?;
            keys.insert(id, verifying);
        }
        Ok(Self { signing, signing_id, verifying: keys })
    }
}

/// The key id is a digest of the public key: the same on every instance, and new with every rotation.
fn read_key(pem: &SecretString) -> Result<(String, EncodingKey, DecodingKey), KeyError> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| KeyError::NotPem)?;
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| KeyError::NotEd25519)?;
    let public = pair.public_key().as_ref();
    let id = hex::encode(&Sha256::digest(public)[..8]);
    Ok((id, EncodingKey::from_ed_der(der.secret_pkcs8_der()), DecodingKey::from_ed_der(public)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_can_be_read_and_is_another_one_each_time() {
        let (first, second) = (generate_signing_key().unwrap(), generate_signing_key().unwrap());
        let (first_id, ..) = read_key(&first).unwrap();
        let (second_id, ..) = read_key(&second).unwrap();
        assert_ne!(first_id, second_id);
        assert_eq!(first_id.len(), 16);
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        assert_eq!(read_key(&"nonsense".into()).err(), Some(KeyError::NotPem));
        let empty = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(read_key(&empty.into()).err(), Some(KeyError::NotEd25519));
    }
}
