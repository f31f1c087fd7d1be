//! Requests, authorisations and portal keys as items, and back.
//!
//! Used by the rest of `authorisations` and by the directory's reads. An item of another format is refused, not guessed at.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use event_feed::Grant;
use order_model::{ApplicationId, MerchantId, Timestamp};

use super::codes::UserCode;
use super::refresh_tokens::{self, RefreshTokens};
use super::request::{Approval, Request};
use super::{AuthorisationId, StoredAuthorisation};
use crate::store::records::{
    FORMAT, HashedSecret, Item, application_pk, key, number, read_counter, read_number, read_secrets, read_text,
    secrets_value, text,
};
use crate::store::table::EXPIRES_AT;
use crate::store::{Applications, StoreError};

/// What the sort keys of authorisations begin with, under their application.
pub(in crate::store) const AUTHORISATION_SK: &str = "authorisation#";
/// The sort key of a request.
const REQUEST_SK: &str = "request";
/// The sort key of a merchant's portal key.
const PORTAL_KEY_SK: &str = "portal-key";
/// How long an item is kept after nothing of it counts any more: clocks differ.
const KEPT_S: i64 = 60 * 60;

pub(super) fn request_key(code: &UserCode) -> Item {
    key(text(&format!("authorisation-request#{}", code.as_letters())), REQUEST_SK)
}

pub(super) fn authorisation_key(application: &ApplicationId, id: AuthorisationId) -> Item {
    key(application_pk(application), &format!("{AUTHORISATION_SK}{id}"))
}

pub(super) fn portal_key_key(merchant: MerchantId) -> Item {
    key(text(&format!("merchant#{merchant}")), PORTAL_KEY_SK)
}

pub(super) fn expiry(ends_at: Timestamp) -> (String, AttributeValue) {
    (EXPIRES_AT.to_owned(), number(ends_at.unix_s_ceil().saturating_add(KEPT_S)))
}

pub(super) fn request_item(code: &UserCode, request: &Request) -> Item {
    let mut item = request_key(code);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("application".to_owned(), text(request.application.as_str())),
        ("verifier".to_owned(), secrets_value(std::slice::from_ref(&request.verifier))),
        ("code_expires_at_ms".to_owned(), number(request.expires_at.unix_ms())),
        ("version".to_owned(), number(request.version)),
        expiry(request.ends_at()),
    ]);
    if let Some(approval) = &request.approval {
        item.insert("authorisation".to_owned(), text(&approval.authorisation.to_string()));
        item.insert("code".to_owned(), secrets_value(std::slice::from_ref(&approval.code)));
        item.insert("failures".to_owned(), number(approval.failures));
        if let Some(at) = approval.exchanged_at {
            item.insert("exchanged_at_ms".to_owned(), number(at.unix_ms()));
        }
    }
    item
}

pub(super) fn read_request(item: &Item) -> Result<Request, StoreError> {
    check_format(item)?;
    let approval = match item.get("authorisation") {
        Some(_) => Some(Approval {
            authorisation: read_id(read_text(item, "authorisation")?)?,
            code: read_secret(item, "code")?,
            failures: read_number(item, "failures")?,
            exchanged_at: read_optional_instant(item, "exchanged_at_ms")?,
        }),
        None => None,
    };
    let application = read_text(item, "application")?.parse();
    Ok(Request {
        application: application.map_err(|_| StoreError::Malformed { field: "application" })?,
        verifier: read_secret(item, "verifier")?,
        expires_at: Timestamp::from_unix_ms(read_number(item, "code_expires_at_ms")?),
        approval,
        version: read_counter(item, "version")?,
    })
}

/// `used_at`: when tokens of it were given last. Nothing of it counts once its refresh tokens have ended.
pub(super) fn authorisation_item(
    application: &ApplicationId,
    authorisation: &StoredAuthorisation,
    used_at: Timestamp,
) -> Item {
    let merchant = |grant: &Grant| {
        AttributeValue::M(HashMap::from([
            ("merchant".to_owned(), text(&grant.merchant.to_string())),
            ("granted_at_ms".to_owned(), number(grant.granted_at.unix_ms())),
        ]))
    };
    let RefreshTokens { unused, replaced } = &authorisation.refresh;
    let mut item = authorisation_key(application, authorisation.id);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("merchants".to_owned(), AttributeValue::L(authorisation.grants.iter().map(merchant).collect())),
        ("created_at_ms".to_owned(), number(authorisation.created_at.unix_ms())),
        ("refresh_unused".to_owned(), secrets_value(unused)),
        ("refresh_replaced".to_owned(), secrets_value(replaced.as_slice())),
        ("used_at_ms".to_owned(), number(used_at.unix_ms())),
        ("version".to_owned(), number(authorisation.version)),
        expiry(used_at.plus(refresh_tokens::LIFETIME)),
    ]);
    item
}

/// When tokens of it were given last, for an item that is written again without giving any.
pub(super) fn read_used_at(item: &Item) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_unix_ms(read_number(item, "used_at_ms")?))
}

pub(in crate::store) fn read_authorisation(item: &Item) -> Result<StoredAuthorisation, StoreError> {
    check_format(item)?;
    let malformed = || StoreError::Malformed { field: "merchants" };
    let grants = item.get("merchants").and_then(|value| value.as_l().ok()).ok_or_else(malformed)?;
    let grant = |value: &AttributeValue| {
        let map = value.as_m().map_err(|_| malformed())?;
        Ok(Grant {
            merchant: read_text(map, "merchant")?.parse().map_err(|_| malformed())?,
            granted_at: Timestamp::from_unix_ms(read_number(map, "granted_at_ms")?),
        })
    };
    let id = read_text(item, "sk")?.strip_prefix(AUTHORISATION_SK);
    Ok(StoredAuthorisation {
        id: read_id(id.unwrap_or_default())?,
        grants: grants.iter().map(grant).collect::<Result<_, StoreError>>()?,
        created_at: Timestamp::from_unix_ms(read_number(item, "created_at_ms")?),
        refresh: RefreshTokens {
            unused: read_secrets(item, "refresh_unused")?,
            replaced: read_secrets(item, "refresh_replaced")?.pop(),
        },
        version: read_counter(item, "version")?,
    })
}

pub(super) fn portal_key_item(merchant: MerchantId, hashed: &HashedSecret, at: Timestamp) -> Item {
    let mut item = portal_key_key(merchant);
    item.extend([
        ("format".to_owned(), number(FORMAT)),
        ("secret".to_owned(), secrets_value(std::slice::from_ref(hashed))),
        ("created_at_ms".to_owned(), number(at.unix_ms())),
    ]);
    item
}

pub(super) fn read_portal_key(item: &Item) -> Result<HashedSecret, StoreError> {
    check_format(item)?;
    read_secret(item, "secret")
}

impl Applications {
    /// An authorisation as it is stored, and its item.
    pub(super) async fn authorisation_and_item(
        &self,
        application: &ApplicationId,
        id: AuthorisationId,
    ) -> Result<Option<(StoredAuthorisation, Item)>, StoreError> {
        let item = self.read_item(authorisation_key(application, id)).await?;
        item.map(|item| Ok((read_authorisation(&item)?, item))).transpose()
    }

    /// An authorisation as it is stored.
    pub(in crate::store) async fn authorisation(
        &self,
        application: &ApplicationId,
        id: AuthorisationId,
    ) -> Result<Option<StoredAuthorisation>, StoreError> {
        Ok(self.authorisation_and_item(application, id).await?.map(|(authorisation, _)| authorisation))
    }

    pub(super) async fn request(&self, code: &UserCode) -> Result<Option<Request>, StoreError> {
        self.read_item(request_key(code)).await?.as_ref().map(read_request).transpose()
    }
}

fn check_format(item: &Item) -> Result<(), StoreError> {
    if read_number::<u64>(item, "format")? == FORMAT { Ok(()) } else { Err(StoreError::Malformed { field: "format" }) }
}

fn read_id(text: &str) -> Result<AuthorisationId, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed { field: "authorisation" })
}

fn read_secret(item: &Item, field: &'static str) -> Result<HashedSecret, StoreError> {
    read_secrets(item, field)?.pop().ok_or(StoreError::Malformed { field })
}

fn read_optional_instant(item: &Item, field: &'static str) -> Result<Option<Timestamp>, StoreError> {
    match item.get(field) {
        Some(_) => Ok(Some(Timestamp::from_unix_ms(read_number(item, field)?))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::grants_of;
    use super::*;

    #[test]
    fn requests_and_authorisations_survive_their_items() {
        let (at, id) = (Timestamp::from_unix_ms(5_000), AuthorisationId([3; 16]));
        let code = UserCode::read("BCDF-GHJK").unwrap();
        let secret = |text: &str| HashedSecret::new(text, [1; 16]);
        let open = Request::new("pos".parse().unwrap(), secret("verifier"), at);
        assert_eq!(read_request(&request_item(&code, &open)).unwrap(), open);
        let mut approved = open.approved(at, id, secret("code")).unwrap();
        approved.approval.as_mut().unwrap().exchanged_at = Some(at);
        assert_eq!(read_request(&request_item(&code, &approved)).unwrap(), approved);

        let mut authorisation = StoredAuthorisation::new(id, grants_of(&[MerchantId::from_bytes([7; 16])], at), at);
        let application = "pos".parse().unwrap();
        assert_eq!(read_authorisation(&authorisation_item(&application, &authorisation, at)).unwrap(), authorisation);
        authorisation.refresh = authorisation.refresh.exchanged(at, secret("a")).unwrap();
        authorisation.refresh = authorisation.refresh.refreshed(at, "a", secret("b")).unwrap();
        let mut item = authorisation_item(&application, &authorisation, at);
        assert_eq!(read_authorisation(&item).unwrap(), authorisation);
        item.insert("format".to_owned(), number(FORMAT + 1));
        assert!(matches!(read_authorisation(&item), Err(StoreError::Malformed { field: "format" })));
    }
}
