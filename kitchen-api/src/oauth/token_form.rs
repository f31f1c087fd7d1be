//! What the token endpoint is sent: a client's credentials, and what it asks tokens for.
//!
//! Pure; used by `endpoint`. The snake_case spellings are taken too: refusing them helps nobody.

use http::StatusCode;

use super::form::pairs;
use crate::errors::ApiError;

/// The longest value of a field that we look at, in bytes.
pub(crate) const FIELD_MAX_BYTES: usize = 1024;

/// The form of a token request.
pub(super) struct TokenForm {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) grant: Grant,
}

/// What tokens are asked for.
pub(super) enum Grant {
    ClientCredentials,
    AuthorizationCode { code: String, verifier: String },
    RefreshToken(String),
}

#[derive(Default)]
struct Fields {
    grant_type: String,
    client_id: String,
    client_secret: String,
    authorization_code: String,
    authorization_code_verifier: String,
    refresh_token: String,
}

impl TokenForm {
    /// # Errors
    /// 400 with the field that is missing, too long, or names no grant that there is.
    pub(super) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let fields = Fields::read(body)?;
        let grant_type = filled(fields.grant_type, "grantType")?;
        if !["client_credentials", "authorization_code", "refresh_token"].contains(&&*grant_type) {
            let message = "grantType must be client_credentials, authorization_code or refresh_token.";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "UnsupportedGrantType", message).at_field("grantType"));
        }
        let client_id = filled(fields.client_id, "clientId")?;
        let client_secret = filled(fields.client_secret, "clientSecret")?;
        let grant = match &*grant_type {
            "authorization_code" => Grant::AuthorizationCode {
                code: filled(fields.authorization_code, "authorizationCode")?,
                verifier: filled(fields.authorization_code_verifier, "authorizationCodeVerifier")?,
            },
            "refresh_token" => Grant::RefreshToken(filled(fields.refresh_token, "refreshToken")?),
            _ => Grant::ClientCredentials,
        };
        Ok(Self { client_id, client_secret, grant })
    }
}

impl Fields {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Self::default();
        for (name, value) in pairs(form_text(body)?) {
            let field = match &*name {
                "grantType" | "grant_type" => &mut fields.grant_type,
                "clientId" | "client_id" => &mut fields.client_id,
                "clientSecret" | "client_secret" => &mut fields.client_secret,
                "authorizationCode" | "authorization_code" => &mut fields.authorization_code,
                "authorizationCodeVerifier" | "authorization_code_verifier" => &mut fields.authorization_code_verifier,
                "refreshToken" | "refresh_token" => &mut fields.refresh_token,
                _ => continue,
            };
            *field = value.into_owned();
        }
        Ok(fields)
    }
}

pub(super) fn form_text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| ApiError::bad_request("The form is not UTF-8."))
}

/// A value that is there and not too long.
pub(super) fn filled(value: String, field: &'static str) -> Result<String, ApiError> {
    if value.is_empty() || value.len() > FIELD_MAX_BYTES {
        return Err(ApiError::bad_request(format!("{field} is missing or too long.")).at_field(field));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_is_read_in_both_spellings_and_gaps_are_named() {
        let read = TokenForm::read(b"grantType=client_credentials&clientId=a&clientSecret=b%2B&x=y").ok().unwrap();
        assert_eq!((read.client_id.as_str(), read.client_secret.as_str()), ("a", "b+"));
        assert!(TokenForm::read(b"grant_type=client_credentials&client_id=a&client_secret=b").is_ok());
        let client = "clientId=a&clientSecret=b";
        for form in [
            format!("grantType=authorization_code&{client}&authorizationCode=c&authorizationCodeVerifier=v"),
            format!("grant_type=authorization_code&{client}&authorization_code=c&authorization_code_verifier=v"),
        ] {
            let read = TokenForm::read(form.as_bytes()).ok().unwrap();
            assert!(
                matches!(read.grant, Grant::AuthorizationCode { code, verifier } if code == "c" && verifier == "v")
            );
        }
        for form in ["refreshToken=r", "refresh_token=r"] {
            let read = TokenForm::read(format!("grantType=refresh_token&{client}&{form}").as_bytes()).ok().unwrap();
            assert!(matches!(read.grant, Grant::RefreshToken(token) if token == "r"));
        }
        for form in [
            "",
            "grantType=client_credentials&clientId=a",
            "grantType=client_credentials&clientSecret=a",
            "grantType=password&clientId=a&clientSecret=b",
            "grantType=authorization_code&clientId=a&clientSecret=b&authorizationCode=c",
            "grantType=authorization_code&clientId=a&clientSecret=b&authorizationCodeVerifier=c",
            "grantType=refresh_token&clientId=a&clientSecret=b",
            "grantType=refresh_token&clientId=a&clientSecret=b&authorizationCode=c",
        ] {
            assert_eq!(TokenForm::read(form.as_bytes()).err().unwrap().status(), 400, "{form}");
        }
        assert_eq!(TokenForm::read(b"\xff").err().unwrap().status(), 400);
        let long = format!("grantType=refresh_token&{client}&refreshToken={}", "x".repeat(FIELD_MAX_BYTES + 1));
        assert_eq!(TokenForm::read(long.as_bytes()).err().unwrap().status(), 400);
    }
}
