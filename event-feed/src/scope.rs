//! What an application may see. No query can be made without an [`AuthorisedMerchants`], and only a [`Scope`] makes one.
//!
//! kitchen-api builds a [`Scope`] per application from its grants; handlers pass what it authorised on. A service that
//! receives a query from a peer rebuilds it with [`AuthorisedMerchants::vouched_for_by_peer`], the one other way.

use std::collections::HashMap;
use std::time::Duration;

use order_model::{ApplicationId, MerchantId, Timestamp};

/// A new grant sees unexpired events from at most this long before it.
pub const LOOK_BACK: Duration = Duration::from_secs(24 * 60 * 60);

/// A merchant that an application was given, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The merchant.
    pub merchant: MerchantId,
    /// When it was granted.
    pub granted_at: Timestamp,
}

/// A merchant that a query may read, and from when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantedMerchant {
    /// The merchant.
    pub merchant: MerchantId,
    /// Events created before this instant are not visible.
    pub visible_from: Timestamp,
}

/// Everything one application may see.
#[derive(Debug, Clone)]
pub struct Scope {
    application: ApplicationId,
    grants: HashMap<MerchantId, Timestamp>,
    merchants: Vec<MerchantId>,
}

impl Scope {
    /// The scope of `application`; of two grants of one merchant the earlier counts.
    pub fn new(application: ApplicationId, grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut by_merchant: HashMap<MerchantId, Timestamp> = HashMap::new();
        for grant in grants {
            let granted_at = by_merchant.entry(grant.merchant).or_insert(grant.granted_at);
            *granted_at = (*granted_at).min(grant.granted_at);
        }
        let mut merchants: Vec<MerchantId> = by_merchant.keys().copied().collect();
        merchants.sort_unstable();
        Self { application, grants: by_merchant, merchants }
    }

    /// Whose scope this is.
    pub fn application(&self) -> &ApplicationId {
        &self.application
    }

    /// The merchants, sorted by id.
    pub fn merchants(&self) -> &[MerchantId] {
        &self.merchants
    }

    /// Whether `merchant` is in it.
    pub fn contains(&self, merchant: MerchantId) -> bool {
        self.grants.contains_key(&merchant)
    }

    /// Authorises exactly `requested`, in order and without repetition.
    ///
    /// # Errors
    /// With every requested merchant that is not in scope, foreign or unknown alike.
    pub fn authorise(&self, requested: &[MerchantId]) -> Result<AuthorisedMerchants, Unauthorised> {
        let mut merchants: Vec<GrantedMerchant> = Vec::with_capacity(requested.len());
        let mut unauthorised = Vec::new();
        let mut seen = std::collections::HashSet::with_capacity(if requested.len() > 1 { requested.len() } else { 0 });
        for &merchant in requested {
            if requested.len() > 1 && !seen.insert(merchant) {
                continue;
            }
            match self.grants.get(&merchant) {
                Some(&granted_at) => {
                    merchants.push(GrantedMerchant { merchant, visible_from: granted_at.minus(LOOK_BACK) })
                }
                None => unauthorised.push(merchant),
            }
        }
        if unauthorised.is_empty() {
            Ok(AuthorisedMerchants { application: self.application.clone(), merchants })
        } else {
            Err(Unauthorised { merchants: unauthorised })
        }
    }

    /// Authorises every merchant of the scope.
    pub fn authorise_all(&self) -> AuthorisedMerchants {
        let merchants = self.merchants.iter().map(|merchant| GrantedMerchant {
            merchant: *merchant,
            visible_from: self.grants[merchant].minus(LOOK_BACK),
        });
        AuthorisedMerchants { application: self.application.clone(), merchants: merchants.collect() }
    }
}

/// Some requested merchants are not in scope; nothing is said about whether they exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the requested merchants are not authorised", merchants.len())]
pub struct Unauthorised {
    /// Those merchants, in the order asked for.
    pub merchants: Vec<MerchantId>,
}

/// An application and merchants that it was proven to be allowed to read. The only key to a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorisedMerchants {
    application: ApplicationId,
    merchants: Vec<GrantedMerchant>,
}

impl AuthorisedMerchants {
    /// Rebuilds what a peer authorised, from the wire. Only RPC servers call this: the peer stands for the check.
    pub fn vouched_for_by_peer(application: ApplicationId, merchants: Vec<GrantedMerchant>) -> Self {
        Self { application, merchants }
    }

    /// The application.
    pub fn application(&self) -> &ApplicationId {
        &self.application
    }

    /// The merchants, without repetition.
    pub fn merchants(&self) -> &[GrantedMerchant] {
        &self.merchants
    }

    /// Adds the merchants of `other`, which must be of the same application and name none of these; otherwise nothing changes.
    pub fn join(&mut self, other: &Self) {
        let is_new = |granted: &GrantedMerchant| self.merchants.iter().all(|known| known.merchant != granted.merchant);
        if self.application == other.application && other.merchants.iter().all(is_new) {
            self.merchants.extend_from_slice(&other.merchants);
        }
    }

    /// The part of it that `keep` chooses, e.g. the merchants of one partition.
    #[must_use]
    pub fn restricted_to(&self, keep: impl Fn(MerchantId) -> bool) -> Self {
        let merchants = self.merchants.iter().copied().filter(|granted| keep(granted.merchant)).collect();
        Self { application: self.application.clone(), merchants }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_foreign_merchant_refuses_the_whole_query() {
        let own = MerchantId::from_bytes([1; 16]);
        let foreign = MerchantId::from_bytes([2; 16]);
        let granted_at = Timestamp::from_unix_ms(200_000_000);
        let scope = Scope::new("app".parse().unwrap(), [Grant { merchant: own, granted_at }]);
        let authorised = scope.authorise(&[own, own]).unwrap();
        let expected = GrantedMerchant { merchant: own, visible_from: granted_at.minus(LOOK_BACK) };
        assert_eq!(authorised.merchants(), [expected]);
        assert_eq!(scope.authorise(&[own, foreign]).unwrap_err().merchants, [foreign]);
        assert_eq!(scope.authorise_all(), authorised);
    }

    #[test]
    fn only_what_one_application_may_see_is_joined() {
        let granted = |number: u8| GrantedMerchant {
            merchant: MerchantId::from_bytes([number; 16]),
            visible_from: Timestamp::default(),
        };
        let of = |application: &str, numbers: &[u8]| {
            let merchants = numbers.iter().copied().map(granted).collect();
            AuthorisedMerchants::vouched_for_by_peer(application.parse().unwrap(), merchants)
        };
        let mut both = of("app", &[1]);
        both.join(&of("other", &[2]));
        both.join(&of("app", &[2, 1]));
        assert_eq!(both, of("app", &[1]));
        both.join(&of("app", &[2, 3]));
        assert_eq!(both, of("app", &[1, 2, 3]));
    }
}
