//! Requests, authorisations and portal keys as a stranger might have written them: each is refused, with the name of what is
//! wrong, or survives being written and read again.

use hostile_inputs::{Item, item_of, survives, unnamed_attributes};
use order_model::{ApplicationId, MerchantId, Timestamp};
use proptest::prelude::*;

use super::codes::UserCode;
use super::items::{
    authorisation_item, portal_key_item, read_authorisation, read_portal_key, read_request, request_item,
};
use super::request::{CODE_FAILURES_MAX, Exchange, Request};
use super::{AuthorisationId, StoredAuthorisation, grants_of};
use crate::store::HashedSecret;

const START: Timestamp = Timestamp::from_unix_ms(1_795_000_000_000);

fn secret(text: &str) -> HashedSecret {
    HashedSecret::new(text, [1; 16])
}

fn application() -> ApplicationId {
    "pos".parse().unwrap()
}

/// One that was approved and exchanged.
fn request() -> Request {
    let open = Request::new(application(), secret("verifier"), START);
    let mut approved = open.approved(START, AuthorisationId([3; 16]), secret("code")).unwrap();
    approved.approval.as_mut().unwrap().exchanged_at = Some(START);
    approved
}

fn of_request(request: &Request) -> Item {
    request_item(&UserCode::read("BCDF-GHJK").unwrap(), request)
}

/// One whose tokens were refreshed.
fn authorisation() -> StoredAuthorisation {
    let grants = grants_of(&[MerchantId::from_bytes([7; 16]), MerchantId::from_bytes([8; 16])], START);
    let mut authorisation = StoredAuthorisation::new(AuthorisationId([3; 16]), grants, START);
    authorisation.refresh = authorisation.refresh.exchanged(START, secret("a")).unwrap();
    authorisation.refresh = authorisation.refresh.refreshed(START, "a", secret("b")).unwrap();
    authorisation
}

fn of_authorisation(authorisation: &StoredAuthorisation) -> Item {
    authorisation_item(&application(), authorisation, START)
}

fn of_portal_key(hashed: &HashedSecret) -> Item {
    portal_key_item(MerchantId::from_bytes([7; 16]), hashed, START)
}

#[test]
fn what_is_wrong_with_an_item_is_named() {
    let nothing = Vec::<String>::new();
    assert_eq!(unnamed_attributes(&of_request(&request()), read_request), nothing);
    assert_eq!(unnamed_attributes(&of_portal_key(&secret("key")), read_portal_key), nothing);
    assert_eq!(unnamed_attributes(&of_authorisation(&authorisation()), read_authorisation), nothing);
}

proptest! {
    #[test]
    fn a_request_is_refused_or_survives(item in item_of(of_request(&request()))) {
        let read = read_request(&item).ok();
        if let Some(request) = &read {
            // Whatever was counted, a wrong code is counted once more or refused.
            let failures = request.approval.as_ref().map_or(0, |approval| approval.failures);
            let exchange = |code| request.exchange(START, &application(), "verifier", code);
            match exchange("wrong") {
                Exchange::Counted(next) => {
                    prop_assert_eq!(next.approval.map(|approval| approval.failures), Some(failures + 1));
                }
                Exchange::Refused => {}
                Exchange::Granted { .. } => prop_assert!(false, "a wrong code was taken"),
            }
            prop_assert!(failures < CODE_FAILURES_MAX || exchange("code") == Exchange::Refused);
        }
        survives(read, |request| read_request(&of_request(request)).ok());
    }

    #[test]
    fn an_authorisation_is_refused_or_survives(item in item_of(of_authorisation(&authorisation()))) {
        survives(read_authorisation(&item).ok(), |read| read_authorisation(&of_authorisation(read)).ok());
    }

    #[test]
    fn a_portal_key_is_refused_or_survives(item in item_of(of_portal_key(&secret("key")))) {
        survives(read_portal_key(&item).ok(), |hashed| read_portal_key(&of_portal_key(hashed)).ok());
    }
}
