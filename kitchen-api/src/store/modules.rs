//! Which modules an application has, in its item, and how an administrator changes that.
//!
//! Kept are those that it has not. So an item that says nothing, as all did before, means all of them; an empty set, which DynamoDB does
//! not have, means the same; and two administrators who add and take at the same time lose nothing. What a later version adds to the modules
//! is had by everybody until somebody takes it away.

use aws_sdk_dynamodb::types::AttributeValue;
use order_model::ApplicationId;

use super::records::Item;
use super::{Applications, StoreError};
use crate::modules::{Module, Modules};

/// The modules that were taken from an application; absent when it has all of them.
pub(super) const WITHHELD_MODULES: &str = "withheld_modules";

/// A set of names, which is added to and taken from without reading it first.
pub(super) fn modules_value(modules: Modules) -> AttributeValue {
    AttributeValue::Ss(modules.iter().map(|module| module.name().to_owned()).collect())
}

/// The modules that an application has. A withheld one that only a later version knows must not keep the whole table from being read.
pub(super) fn read_modules(item: &Item) -> Result<Modules, StoreError> {
    let Some(withheld) = item.get(WITHHELD_MODULES) else { return Ok(Modules::ALL) };
    let names = withheld.as_ss().map_err(|_| StoreError::Malformed { field: WITHHELD_MODULES })?;
    Ok(Modules::ALL.without(names.iter().filter_map(|name| Module::parse(name)).collect()))
}

impl Applications {
    /// The modules that the application has.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn modules(&self, id: &ApplicationId) -> Result<Modules, StoreError> {
        let record = self.record(id).await?;
        Ok(record.ok_or_else(|| StoreError::UnknownApplication(id.clone()))?.modules)
    }

    /// Gives the application these modules, within 5 s, and returns those that it has then.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn grant_modules(&self, id: &ApplicationId, modules: Modules) -> Result<Modules, StoreError> {
        self.change_withheld_modules(id, "DELETE", modules).await
    }

    /// Takes these modules from the application, within 5 s, and returns those that it has then, perhaps none.
    ///
    /// # Errors
    /// [`StoreError::UnknownApplication`].
    pub async fn revoke_modules(&self, id: &ApplicationId, modules: Modules) -> Result<Modules, StoreError> {
        self.change_withheld_modules(id, "ADD", modules).await
    }

    /// Adds to the set or takes from it, whatever else is in there.
    async fn change_withheld_modules(
        &self,
        id: &ApplicationId,
        verb: &str,
        modules: Modules,
    ) -> Result<Modules, StoreError> {
        let before = self.modules(id).await?;
        // DynamoDB has no empty set.
        if modules.is_empty() {
            return Ok(before);
        }
        let values = [(":modules", modules_value(modules))];
        let clause = format!(" {verb} {WITHHELD_MODULES} :modules");
        self.change(id, |revision| Ok(vec![self.touch(id, revision, &clause, &values)?])).await?;
        self.modules(id).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_withheld_module_of_a_later_version_withholds_none_of_ours_and_no_set_of_names_is_refused() {
        let withheld = |value| read_modules(&HashMap::from([(WITHHELD_MODULES.to_owned(), value)]));
        let names = |names: &[&str]| AttributeValue::Ss(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(withheld(names(&["review"])).unwrap(), Modules::ALL);
        let events: Modules = [Module::Events].into_iter().collect();
        assert_eq!(withheld(names(&["events", "review"])).unwrap(), Modules::ALL.without(events));
        let refused = withheld(AttributeValue::S("events".to_owned())).unwrap_err();
        assert!(matches!(refused, StoreError::Malformed { field: WITHHELD_MODULES }), "{refused}");
    }
}
