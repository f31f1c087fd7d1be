//! What the directory reads: revisions, changes, applications.
//!
//! Every read is strongly consistent: a revocation that was answered may not be missed by a lagging replica.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::FutureExt;
use futures::future::BoxFuture;
use order_model::ApplicationId;

use super::applications::Applications;
use super::authorisations::items::{AUTHORISATION_SK, read_authorisation};
use super::records::{
    APPLICATION_SK, ApplicationRecord, GRANT_SK, Item, StoredApplication, application_pk, key, read_application,
    read_counter, read_grant, read_text, text,
};
use super::requests::send_or_unavailable;
use super::{ApplicationStore, AuthorisationId, CHANGES_MAX, Change, StoreError, StoredAuthorisation};

/// The partition key of revisions and changes.
pub(super) const DIRECTORY_PK: &str = "directory";
/// The sort key of the newest revision.
pub(super) const HEAD_SK: &str = "head";

/// The sort key of a change; fixed width, so that text order is number order.
pub(super) fn change_sk(revision: u64) -> String {
    format!("change#{revision:020}")
}

impl Applications {
    /// One item, or none.
    pub(super) async fn read_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(send_or_unavailable("GetItem", get.send()).await?.item)
    }

    /// An application without what it may see.
    pub(super) async fn record(&self, id: &ApplicationId) -> Result<Option<ApplicationRecord>, StoreError> {
        self.read_item(key(application_pk(id), APPLICATION_SK)).await?.as_ref().map(read_application).transpose()
    }

    async fn read_head(&self) -> Result<u64, StoreError> {
        match self.read_item(key(text(DIRECTORY_PK), HEAD_SK)).await? {
            Some(item) => read_counter(&item, "revision"),
            None => Ok(0),
        }
    }

    async fn read_changes_after(&self, revision: u64) -> Result<Vec<Change>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", text(DIRECTORY_PK))
            .expression_attribute_values(":from", text(&change_sk(revision.saturating_add(1))))
            .expression_attribute_values(":to", text(&change_sk(u64::MAX)))
            .limit(CHANGES_MAX)
            .consistent_read(true);
        let read = |item: &Item| {
            let revision = read_text(item, "sk")?.strip_prefix("change#").and_then(|digits| digits.parse().ok());
            let revision = revision.filter(|revision: &u64| *revision < i64::MAX.unsigned_abs());
            let application = read_text(item, "application")?.parse();
            let authorisation = match item.get("authorisation") {
                Some(_) => Some(read_text(item, "authorisation")?.parse()),
                None => None,
            };
            Ok(Change {
                revision: revision.ok_or(StoreError::Malformed { field: "sk" })?,
                application: application.map_err(|_| StoreError::Malformed { field: "application" })?,
                authorisation: authorisation
                    .transpose()
                    .map_err(|_| StoreError::Malformed { field: "authorisation" })?,
            })
        };
        send_or_unavailable("Query", query.send()).await?.items().iter().map(read).collect()
    }

    async fn read_one(&self, id: &ApplicationId) -> Result<Option<StoredApplication>, StoreError> {
        let mut items = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", application_pk(id))
                .set_exclusive_start_key(start)
                .consistent_read(true);
            let page = send_or_unavailable("Query", query.send()).await?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(gather(&items)?.pop())
    }

    async fn read_all(&self) -> Result<Vec<StoredApplication>, StoreError> {
        let mut items = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let scan = self
                .client
                .scan()
                .table_name(&self.table)
                .filter_expression("begins_with(pk, :application)")
                .expression_attribute_values(":application", AttributeValue::S("application#".to_owned()))
                .set_exclusive_start_key(start)
                .consistent_read(true);
            let page = send_or_unavailable("Scan", scan.send()).await?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        gather(&items)
    }
}

/// Puts items of any number of applications together. What has no application (deleted meanwhile) is left out.
fn gather(items: &[Item]) -> Result<Vec<StoredApplication>, StoreError> {
    let mut applications: HashMap<&str, StoredApplication> = HashMap::new();
    let is = |item: &Item, prefix: &str| read_text(item, "sk").is_ok_and(|sk| sk.starts_with(prefix));
    for item in items.iter().filter(|item| is(item, APPLICATION_SK)) {
        let record = read_application(item)?;
        let stored = StoredApplication { record, grants: Vec::new(), authorisations: Vec::new() };
        applications.insert(read_text(item, "pk")?, stored);
    }
    for item in items.iter().filter(|item| is(item, GRANT_SK)) {
        if let Some(stored) = applications.get_mut(read_text(item, "pk")?) {
            stored.grants.push(read_grant(item)?);
        }
    }
    for item in items.iter().filter(|item| is(item, AUTHORISATION_SK)) {
        if let Some(stored) = applications.get_mut(read_text(item, "pk")?) {
            stored.authorisations.push(read_authorisation(item)?);
        }
    }
    Ok(applications.into_values().collect())
}

impl ApplicationStore for Applications {
    fn head(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.read_head().boxed()
    }

    fn changes_after(&self, revision: u64) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        self.read_changes_after(revision).boxed()
    }

    fn load<'a>(&'a self, id: &'a ApplicationId) -> BoxFuture<'a, Result<Option<StoredApplication>, StoreError>> {
        self.read_one(id).boxed()
    }

    fn load_authorisation<'a>(
        &'a self,
        application: &'a ApplicationId,
        id: AuthorisationId,
    ) -> BoxFuture<'a, Result<Option<StoredAuthorisation>, StoreError>> {
        self.authorisation(application, id).boxed()
    }

    fn load_all(&self) -> BoxFuture<'_, Result<Vec<StoredApplication>, StoreError>> {
        self.read_all().boxed()
    }
}
