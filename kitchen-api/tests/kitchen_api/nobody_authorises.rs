//! Stands for the table of authorisations where a test has applications in memory: it never answers.

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use kitchen_api::store::{Activation, AuthorisationStore, Client, Granted, Opened, StoreError};
use order_model::ApplicationId;

pub struct NobodyAuthorises;

fn down<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    ready(Err(StoreError::Unavailable { operation: "GetItem", source: None })).boxed()
}

impl AuthorisationStore for NobodyAuthorises {
    fn open<'a>(&'a self, _: &'a ApplicationId) -> BoxFuture<'a, Result<Option<Opened>, StoreError>> {
        down()
    }

    fn activate<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Activation, StoreError>> {
        down()
    }

    fn exchange<'a>(
        &'a self,
        _: &'a Client,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<Granted>, StoreError>> {
        down()
    }

    fn refresh<'a>(&'a self, _: &'a Client, _: &'a str) -> BoxFuture<'a, Result<Option<Granted>, StoreError>> {
        down()
    }
}
