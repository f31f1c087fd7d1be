//! Schemas of tokens and user codes, and the flows of OAuth 2 that there are.

use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::security::{AuthorizationCode, ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{RefOr, Schema, Type};

use super::shapes::{Named, object, one_of, shaped, text, texts, typed, visible};
use crate::oauth::FIELD_MAX_BYTES;
use crate::operations::Document;

/// The page that stands for the authorization endpoint: the code is typed, not redirected.
const AUTHORIZATION_URL: &str = "/activate";

/// Client credentials for centralised applications, the code flow for distributed ones, which Open Delivery does not know.
pub(super) fn security_scheme(token_url: &str, document: Document) -> SecurityScheme {
    let by_credentials = Flow::ClientCredentials(ClientCredentials::new(token_url, Scopes::new()));
    let by_code = AuthorizationCode::with_refresh_url(AUTHORIZATION_URL, token_url, Scopes::new(), token_url);
    SecurityScheme::OAuth2(match document {
        Document::OpenDelivery => OAuth2::new([by_credentials]),
        Document::Merchant | Document::Comanda => OAuth2::new([by_credentials, Flow::AuthorizationCode(by_code)]),
    })
}

pub(super) fn schemas() -> Vec<Named> {
    let seconds = || typed(Type::Integer);
    let bearer = one_of(&["bearer"]);
    let token = [("accessToken", text()), ("type", bearer), ("expiresIn", seconds()), ("refreshToken?", text())];
    vec![
        ("TokenForm", token_form()),
        ("Token", object(&token)),
        ("UserCodeForm", object(&[("clientId", visible(FIELD_MAX_BYTES))])),
        (
            "UserCode",
            object(&[
                ("userCode", shaped("^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$")),
                ("authorizationCodeVerifier", text()),
                ("verificationUrl", text()),
                ("verificationUrlComplete", text()),
                ("expiresIn", seconds()),
            ]),
        ),
        ("ActivationForm", texts(&["userCode", "portalKey"])),
    ]
}

/// One form for every grant.
fn token_form() -> RefOr<Schema> {
    let said = || visible(FIELD_MAX_BYTES);
    let form = |grant, more: &[(&str, RefOr<Schema>)]| {
        let always = [("grantType", one_of(&[grant])), ("clientId", said()), ("clientSecret", said())];
        object(&[&always, more].concat())
    };
    let by_code = [("authorizationCode", said()), ("authorizationCodeVerifier", said())];
    let forms = AnyOfBuilder::new()
        .description(Some(
            "client_credentials: a centralised application. authorization_code, with what the merchant's owner was shown and what came \
             with the user code, then refresh_token, with the one that came last: a distributed one.",
        ))
        .item(form("client_credentials", &[]))
        .item(form("authorization_code", &by_code))
        .item(form("refresh_token", &[("refreshToken", said())]));
    RefOr::T(Schema::AnyOf(forms.build()))
}
