//! Schemas of tokens and user codes, and the flows of OAuth 2 that there are.

use utoipa::openapi::security::{AuthorizationCode, ClientCredentials, Flow, OAuth2, Scopes, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

use super::shapes::{Named, object, one_of, shaped, text, texts, typed};
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
        ("UserCodeForm", texts(&["clientId"])),
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

/// One form for every grant; each field says which grants need it.
fn token_form() -> RefOr<Schema> {
    let grants = ["client_credentials", "authorization_code", "refresh_token"];
    let grants = grants.iter().map(|grant| serde_json::Value::from(*grant));
    let grant_type = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(grants)).description(Some(
        "client_credentials: a centralised application. authorization_code, then refresh_token: a distributed one.",
    ));
    let said = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let form = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("grantType", grant_type)
        .property("clientId", said("Always."))
        .property("clientSecret", said("Always."))
        .property("authorizationCode", said("With authorization_code: what the merchant's owner was shown."))
        .property("authorizationCodeVerifier", said("With authorization_code: what came with the user code."))
        .property("refreshToken", said("With refresh_token: the one that came last."));
    let form = ["grantType", "clientId", "clientSecret"].into_iter().fold(form, ObjectBuilder::required);
    RefOr::T(Schema::Object(form.build()))
}
