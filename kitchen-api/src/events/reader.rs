//! A poll that reads more than once: each time with what its token lets it see at that moment.
//!
//! Used by `waiting` and `stream`. What a token counts for is asked again before each read, so that a revocation holds for
//! a request that is under way as for the next one. Each read of a poll that beats is a beat.

use std::sync::Arc;

use event_feed::{AuthorisedMerchants, PAGE_EVENTS_MAX};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use order_model::MerchantId;

use super::pace::Looked;
use super::permitted::permitted_merchants;
use super::query::{POLLING_MERCHANTS, PollQuery, Requested, requested_merchants};
use crate::api::Api;
use crate::errors::ApiError;
use crate::feed::{AnsweredBy, FeedUnavailable, PolledPage};
use crate::modules::Module;
use crate::oauth::Authorised;

/// What is read, and for whom.
pub(super) struct Reader {
    api: Arc<Api>,
    /// The token and the merchants named, as sent.
    headers: HeaderMap,
    query: PollQuery,
}

/// What a request may see at one moment.
pub(super) struct Sight {
    pub(super) authorised: Authorised,
    requested: Requested,
    /// The merchants named that it may not see, where it asked for a part.
    pub(super) refused: Vec<MerchantId>,
}

impl Sight {
    /// What it may see.
    pub(super) fn merchants(&self) -> &AuthorisedMerchants {
        match &self.requested {
            Requested::Everything => &self.authorised.access().everything,
            Requested::Named(merchants) => merchants,
        }
    }
}

impl Reader {
    pub(super) fn new(api: &Arc<Api>, headers: &HeaderMap, query: PollQuery) -> Self {
        let mut kept = HeaderMap::new();
        for name in [AUTHORIZATION, HeaderName::from_static(POLLING_MERCHANTS)] {
            for value in headers.get_all(&name) {
                // Copied: a slice would pin what the whole request came in.
                kept.extend(HeaderValue::from_bytes(value.as_bytes()).ok().map(|value| (name.clone(), value)));
            }
        }
        Self { api: Arc::clone(api), headers: kept, query }
    }

    pub(super) fn api(&self) -> &Arc<Api> {
        &self.api
    }

    pub(super) fn query(&self) -> &PollQuery {
        &self.query
    }

    /// What this proof lets it see.
    ///
    /// # Errors
    /// 400 where the header cannot be read, 403 where it names foreign merchants and no part was asked for.
    pub(super) fn sight_of(&self, authorised: Authorised) -> Result<Sight, ApiError> {
        let (requested, refused) = if self.query.is_partial {
            permitted_merchants(&self.headers, authorised.scope())?
        } else {
            (requested_merchants(&self.headers, authorised.scope())?, Vec::new())
        };
        Ok(Sight { authorised, requested, refused })
    }

    /// What it may see now.
    ///
    /// # Errors
    /// As an ordinary poll at this moment.
    pub(super) fn sight(&self) -> Result<Sight, ApiError> {
        self.sight_of(self.api.authorise_for(&self.headers, Module::Events)?)
    }

    /// Its merchants are there.
    pub(super) fn beat(&self, sight: &Sight) {
        if self.query.is_heartbeat {
            self.api.beats.beat(sight.merchants());
        }
    }

    /// Reads what is pending. `None`: there is nothing to ask for.
    pub(super) async fn read(&self, sight: &Sight) -> Result<Option<PolledPage>, FeedUnavailable> {
        self.beat(sight);
        if self.query.filter.asks_for_nothing() || sight.merchants().merchants().is_empty() {
            return Ok(None);
        }
        let page = self.api.feed.poll(sight.merchants(), &self.query.filter).await?;
        self.api.note_strikes(&sight.authorised, &page);
        Ok(Some(page))
    }
}

/// What a read says about when to read again.
pub(super) fn looked(read: &Result<Option<PolledPage>, FeedUnavailable>) -> Looked {
    match read {
        Ok(None) => Looked::Primary,
        Ok(Some(page)) if page.events.len() >= PAGE_EVENTS_MAX => Looked::FullPage,
        Ok(Some(page)) => match page.answered_by {
            AnsweredBy::Primary => Looked::Primary,
            AnsweredBy::Fallback | AnsweredBy::PrimaryUnfenced | AnsweredBy::Partly => Looked::Fallback,
        },
        Err(_) => Looked::Failed,
    }
}
