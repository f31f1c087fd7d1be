//! A request for authorisation, from its user code to the exchange of its authorization code: what may happen to it when.
//!
//! Pure. `approving` and `granting` store what it becomes, under the version they read, so that of two who do something at
//! once the slower decides again. Who may approve is absent.

use std::time::Duration;

use order_model::{ApplicationId, Timestamp};

use super::AuthorisationId;
use super::codes::typed_authorization_code;
use crate::store::HashedSecret;

/// How long a user code can be typed.
pub const USER_CODE_LIFETIME: Duration = Duration::from_secs(600);
/// How long an authorization code can be exchanged.
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(300);
/// How long an exchange is answered again for who has the code, the verifier and the secret: the answer may have been
/// lost on its way, and the owner is no longer at hand to type another code.
pub(super) const REPEATED_WITHIN: Duration = Duration::from_secs(60);
/// Wrong codes until the request is spent, on all instances together.
pub(super) const CODE_FAILURES_MAX: u32 = 5;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) application: ApplicationId,
    pub(super) verifier: HashedSecret,
    /// The end of its user code.
    pub(super) expires_at: Timestamp,
    pub(super) approval: Option<Approval>,
    pub(super) version: u64,
}

/// What became of a request that was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approval {
    pub(super) authorisation: AuthorisationId,
    pub(super) code: HashedSecret,
    pub(super) failures: u32,
    pub(super) exchanged_at: Option<Timestamp>,
}

/// What an attempt to exchange a code comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// The tokens may be given, once the request has become this.
    Granted { next: Request, authorisation: AuthorisationId },
    /// The code is wrong, and the request becomes this.
    Counted(Request),
    /// Refused, and nothing changes.
    Refused,
}

impl Request {
    pub(super) fn new(application: ApplicationId, verifier: HashedSecret, at: Timestamp) -> Self {
        Self { application, verifier, expires_at: at.plus(USER_CODE_LIFETIME), approval: None, version: 1 }
    }

    /// Whether its user code can still be approved.
    pub(super) fn is_open(&self, at: Timestamp) -> bool {
        self.approval.is_none() && at < self.expires_at
    }

    /// What it becomes when it is approved at `at`; `None` when it cannot be any more.
    pub(super) fn approved(
        &self,
        at: Timestamp,
        authorisation: AuthorisationId,
        mut code: HashedSecret,
    ) -> Option<Self> {
        code.valid_until = Some(at.plus(CODE_LIFETIME));
        let approval = Approval { authorisation, code, failures: 0, exchanged_at: None };
        self.is_open(at).then(|| self.becoming(approval))
    }

    /// Judges an attempt to exchange `code`. Only who has the verifier can use a request's attempts up.
    pub(super) fn exchange(&self, at: Timestamp, application: &ApplicationId, verifier: &str, code: &str) -> Exchange {
        let is_its_own = self.verifier.matches(verifier, at) && self.application == *application;
        let Some(approval) = self.approval.as_ref().filter(|_| is_its_own) else { return Exchange::Refused };
        if approval.failures >= CODE_FAILURES_MAX {
            return Exchange::Refused;
        }
        if !approval.code.matches(&typed_authorization_code(code), at) {
            return Exchange::Counted(self.becoming(Approval { failures: approval.failures + 1, ..approval.clone() }));
        }
        if approval.exchanged_at.is_some_and(|first| at >= first.plus(REPEATED_WITHIN)) {
            return Exchange::Refused;
        }
        let exchanged_at = Some(approval.exchanged_at.unwrap_or(at));
        let next = self.becoming(Approval { exchanged_at, ..approval.clone() });
        Exchange::Granted { next, authorisation: approval.authorisation }
    }

    /// When nothing of it counts any more.
    pub(super) fn ends_at(&self) -> Timestamp {
        let code_ends_at = self.approval.as_ref().and_then(|approval| approval.code.valid_until);
        self.expires_at.max(code_ends_at.unwrap_or_default())
    }

    fn becoming(&self, approval: Approval) -> Self {
        Self { approval: Some(approval), version: self.version + 1, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_000_000);
    const ID: AuthorisationId = AuthorisationId([1; 16]);

    fn app(id: &str) -> ApplicationId {
        id.parse().unwrap()
    }

    fn open() -> Request {
        Request::new(app("pos"), HashedSecret::new("verifier", [1; 16]), START)
    }

    fn approved() -> Request {
        open().approved(START, ID, HashedSecret::new("BCDFGHJKLMNP", [2; 16])).unwrap()
    }

    fn exchange(request: &Request, after_s: u64, code: &str) -> Exchange {
        request.exchange(START.plus(Duration::from_secs(after_s)), &app("pos"), "verifier", code)
    }

    #[test]
    fn a_user_code_is_approved_once_and_within_ten_minutes() {
        let code = || HashedSecret::new("BCDFGHJKLMNP", [2; 16]);
        assert!(open().approved(START.plus(Duration::from_millis(599_999)), ID, code()).is_some());
        assert_eq!(open().approved(START.plus(USER_CODE_LIFETIME), ID, code()), None);
        assert_eq!(approved().approved(START, ID, code()), None);
    }

    #[test]
    fn a_code_is_exchanged_by_its_own_client_with_its_verifier_within_five_minutes() {
        let granted = exchange(&approved(), 299, "bcdf-ghjk-lmnp");
        assert!(matches!(granted, Exchange::Granted { authorisation: ID, .. }), "{granted:?}");
        let refused =
            |application: &str, verifier: &str| approved().exchange(START, &app(application), verifier, "BCDFGHJKLMNP");
        assert_eq!(refused("other", "verifier"), Exchange::Refused);
        assert_eq!(refused("pos", "Verifier"), Exchange::Refused);
        assert_eq!(exchange(&open(), 1, "BCDFGHJKLMNP"), Exchange::Refused, "nobody has approved it");
        assert!(matches!(exchange(&approved(), 300, "BCDFGHJKLMNP"), Exchange::Counted(_)), "too late");
    }

    #[test]
    fn a_lost_answer_is_given_again_for_a_minute() {
        let Exchange::Granted { next, .. } = exchange(&approved(), 10, "BCDFGHJKLMNP") else { panic!() };
        let again = exchange(&next, 69, "BCDFGHJKLMNP");
        let Exchange::Granted { next, .. } = again else { panic!("{again:?}") };
        assert_eq!(exchange(&next, 70, "BCDFGHJKLMNP"), Exchange::Refused, "counted from the first time");
    }

    #[test]
    fn five_wrong_codes_spend_it() {
        let mut request = approved();
        for _ in 0..CODE_FAILURES_MAX {
            let Exchange::Counted(next) = exchange(&request, 1, "BCDFGHJKLMNQ") else { panic!() };
            request = next;
        }
        assert_eq!(exchange(&request, 1, "BCDFGHJKLMNP"), Exchange::Refused);
    }
}
