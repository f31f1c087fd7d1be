//! The authorisations of distributed applications, as the directory knows them.
//!
//! Part of `directory`, which reads them from the table; the check of tokens finds them here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use order_model::ApplicationId;

use super::{Access, Directory};
use crate::store::{AuthorisationId, StoredAuthorisation};

/// An authorisation of an application, likewise.
#[derive(Debug)]
pub struct Authorisation(ArcSwap<Access>);

impl Authorisation {
    /// What is known of it now.
    pub fn access(&self) -> Arc<Access> {
        self.0.load_full()
    }
}

impl Directory {
    /// The authorisation `id` of `application`, if it is known.
    pub fn find_authorisation(&self, application: &ApplicationId, id: AuthorisationId) -> Option<Arc<Authorisation>> {
        let found = self.authorisations.get(&id).map(|entry| Arc::clone(entry.value()))?;
        (found.access().scope.application() == application).then_some(found)
    }

    pub(super) fn replace_authorisations(&self, application: &ApplicationId, all: Vec<StoredAuthorisation>) {
        let current: std::collections::HashSet<AuthorisationId> = all.iter().map(|one| one.id).collect();
        all.into_iter().for_each(|one| self.put_authorisation(application, one));
        self.keep_authorisations(|id, access| current.contains(id) || access.scope.application() != application);
    }

    /// Looks at every authorisation, once, and removes what is not to be kept.
    pub(super) fn keep_authorisations(&self, keep: impl Fn(&AuthorisationId, &Access) -> bool) {
        self.authorisations.retain(|id, known| {
            let access = known.access();
            let is_kept = keep(id, &access);
            if !is_kept {
                known.0.store(Arc::new(access.removed()));
            }
            is_kept
        });
    }

    pub(super) fn put_authorisation(&self, application: &ApplicationId, stored: StoredAuthorisation) {
        let id = stored.id;
        let access = Arc::new(Access::of_authorisation(application, stored));
        match self.authorisations.entry(id) {
            dashmap::Entry::Occupied(known) => known.get().0.store(access),
            dashmap::Entry::Vacant(vacant) => {
                vacant.insert(Arc::new(Authorisation(ArcSwap::new(access))));
            }
        }
    }

    /// As [`Directory::remove`].
    pub(super) fn remove_authorisation(&self, application: &ApplicationId, id: AuthorisationId) {
        let is_its =
            |_: &AuthorisationId, known: &Arc<Authorisation>| known.access().scope.application() == application;
        if let Some((_, authorisation)) = self.authorisations.remove_if(&id, is_its) {
            let removed = authorisation.access().removed();
            authorisation.0.store(Arc::new(removed));
        }
    }
}
