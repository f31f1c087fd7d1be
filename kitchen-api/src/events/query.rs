//! What a poll asks for: the header `x-polling-merchants` and the filters of its query, read as tolerantly as clients need.
//!
//! Pure; used by `polling` and `stream`. Unknown codes, groups and categories are ignored; what is left of a filter may be
//! nothing. What is ours alone (`wait`, `acknowledgeHidden`, `partial`) is read strictly: whoever asks for it should know
//! that it was understood.

use std::time::Duration;

use event_feed::{AuthorisedMerchants, CategoryFilter, Dialect, Filter, Scope};
use http::header::{HeaderMap, HeaderName};
use order_model::{EventCategory, EventCode, EventGroup, MerchantId};

use crate::errors::ApiError;
use crate::oauth::form_pairs;
use crate::server::WAIT_MAX;

/// Merchants that one poll may name, and merchants above which it must name some.
pub(super) const POLLING_MERCHANTS_MAX: usize = 500;
/// Names the merchants of a poll.
pub(super) const POLLING_MERCHANTS: &str = "x-polling-merchants";
/// The same as a header map looks it up, without reading the name for each poll.
static POLLING_MERCHANTS_HEADER: HeaderName = HeaderName::from_static(POLLING_MERCHANTS);

/// The query of a poll.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PollQuery {
    pub(super) filter: Filter,
    /// Whether the poll says that its merchants are connected.
    pub(super) is_heartbeat: bool,
    /// `wait`: how long nothing may be answered while nothing is pending.
    wait_s: u8,
    /// `partial`: merchants that the application may not see are listed, and the others served.
    pub(super) is_partial: bool,
}

impl PollQuery {
    /// Reads a query string. A filter that is there but blank (`types=`) counts as not sent: a client that fills in a
    /// template must not lose its orders over it.
    ///
    /// # Errors
    /// 400 for a value of ours that is none.
    pub(super) fn read(query: Option<&str>) -> Result<Self, ApiError> {
        let mut read = Self { filter: Filter::default(), is_heartbeat: true, wait_s: 0, is_partial: false };
        let Some(query) = query else { return Ok(read) };
        let mut acknowledges_hidden = None;
        let mut wants_unexplained = false;
        for (name, value) in form_pairs(query) {
            match &*name {
                "types" => {
                    extend(&mut read.filter.types, &value, code);
                    wants_unexplained |= values(&value).any(EventCode::is_unexplained_legacy);
                }
                "groups" => extend(&mut read.filter.groups, &value, EventGroup::parse_filter),
                "categories" => extend_categories(&mut read.filter.categories, &value),
                "excludeHeartbeat" => read.is_heartbeat = !value.trim().eq_ignore_ascii_case("true"),
                "acknowledgeHidden" => acknowledges_hidden = Some(yes_or_no("acknowledgeHidden", &value)?),
                "wait" => read.wait_s = wait_s(&value)?,
                "partial" => read.is_partial = yes_or_no("partial", &value)?,
                _ => {}
            }
        }
        // What a client wants by a code that nobody can explain may be among what is hidden: that must not be lost to it.
        read.filter.keeps_hidden = !acknowledges_hidden.unwrap_or(!wants_unexplained);
        Ok(read)
    }

    /// How long it may wait.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(u64::from(self.wait_s))
    }

    /// Whether it asks for more than one read of merchants that are all the application's.
    pub(super) fn is_more_than_a_read(&self) -> bool {
        self.wait_s > 0 || self.is_partial
    }
}

fn wait_s(text: &str) -> Result<u8, ApiError> {
    let wait_s = text.trim().parse().ok().filter(|wait_s| Duration::from_secs(u64::from(*wait_s)) <= WAIT_MAX);
    wait_s.ok_or_else(|| {
        let most_s = WAIT_MAX.as_secs();
        ApiError::bad_request(format!("wait must be a whole number of seconds from 0 to {most_s}.")).at_field("wait")
    })
}

fn yes_or_no(field: &'static str, text: &str) -> Result<bool, ApiError> {
    match text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ApiError::bad_request(format!("{field} must be true or false.")).at_field(field)),
    }
}

/// A code that there is a word for here; any other one is as unknown, lest a filter of it alone hides everything.
fn code(text: &str) -> Option<EventCode> {
    EventCode::parse_lenient(text).filter(|code| Dialect::Merchant.has(*code))
}

fn values(csv: &str) -> impl Iterator<Item = &str> {
    csv.split(',').map(str::trim).filter(|value| !value.is_empty())
}

fn extend<T: PartialEq>(sent: &mut Option<Vec<T>>, csv: &str, parse: impl Fn(&str) -> Option<T>) {
    for value in values(csv) {
        let known = sent.get_or_insert_default();
        if let Some(value) = parse(value).filter(|value| !known.contains(value)) {
            known.push(value);
        }
    }
}

fn extend_categories(sent: &mut CategoryFilter, csv: &str) {
    for value in values(csv) {
        if value.eq_ignore_ascii_case("ALL") {
            *sent = CategoryFilter::All;
        }
        let known = match sent {
            CategoryFilter::All => return,
            CategoryFilter::Sent(known) => known,
            CategoryFilter::Default => {
                *sent = CategoryFilter::Sent(Vec::new());
                let CategoryFilter::Sent(known) = sent else { return };
                known
            }
        };
        if let Some(category) = EventCategory::parse_filter(value).filter(|category| !known.contains(category)) {
            known.push(category);
        }
    }
}

/// The merchants a poll reads: those its header names, or else everything in scope.
pub(super) enum Requested {
    /// The header names none.
    Everything,
    /// The header names these, and the application may see them.
    Named(AuthorisedMerchants),
}

/// Merchants as they are read; most polls name one, which needs no list.
pub(super) enum Named {
    Nobody,
    One(MerchantId),
    Several(Vec<MerchantId>),
}

impl Named {
    fn push(&mut self, merchant: MerchantId) {
        match self {
            Self::Nobody => *self = Self::One(merchant),
            Self::One(first) => *self = Self::Several(vec![*first, merchant]),
            Self::Several(named) => named.push(merchant),
        }
    }

    pub(super) fn as_slice(&self) -> &[MerchantId] {
        match self {
            Self::Nobody => &[],
            Self::One(merchant) => std::slice::from_ref(merchant),
            Self::Several(named) => named,
        }
    }
}

/// Reads and authorises the header.
pub(super) fn requested_merchants(headers: &HeaderMap, scope: &Scope) -> Result<Requested, ApiError> {
    let named = polled_merchants(headers, scope)?;
    if named.as_slice().is_empty() {
        return Ok(Requested::Everything);
    }
    let authorised = scope.authorise(named.as_slice());
    authorised.map(Requested::Named).map_err(|refused| ApiError::forbidden_merchants(refused.merchants))
}

/// The merchants that a poll names: some, where it would read too many.
pub(super) fn polled_merchants(headers: &HeaderMap, scope: &Scope) -> Result<Named, ApiError> {
    let named = named_merchants(headers)?;
    if named.as_slice().is_empty() && scope.merchants().len() > POLLING_MERCHANTS_MAX {
        let message = format!(
            "The application has more than {POLLING_MERCHANTS_MAX} merchants: name some in x-polling-merchants."
        );
        return Err(ApiError::bad_request(message).at_field(POLLING_MERCHANTS));
    }
    Ok(named)
}

/// The merchants that the header names.
pub(super) fn named_merchants(headers: &HeaderMap) -> Result<Named, ApiError> {
    let mut named = Named::Nobody;
    for header in headers.get_all(&POLLING_MERCHANTS_HEADER) {
        let not_uuid = || {
            let message = "x-polling-merchants must be a comma-separated list of merchant UUIDs.";
            ApiError::bad_request(message).at_field(POLLING_MERCHANTS)
        };
        for value in values(header.to_str().map_err(|_| not_uuid())?) {
            if named.as_slice().len() == POLLING_MERCHANTS_MAX {
                let message = format!("Too many polling merchants: at most {POLLING_MERCHANTS_MAX}.");
                return Err(ApiError::bad_request(message).at_field(POLLING_MERCHANTS));
            }
            named.push(value.parse().map_err(|_| not_uuid())?);
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use event_feed::Grant;
    use http::HeaderValue;
    use order_model::Timestamp;

    use super::*;

    fn filter(query: &str) -> Filter {
        PollQuery::read(Some(query)).unwrap().filter
    }

    #[test]
    fn filters_ignore_what_they_do_not_know_and_take_short_and_legacy_names() {
        assert_eq!(filter("types=PLC,XYZ, cfm ,,COL").types, Some(vec![EventCode::Placed, EventCode::Confirmed]));
        assert_eq!(filter("types=PLC%2CCFM&types=CAN").types.unwrap().len(), 3);
        assert_eq!(filter("groups=STATUS,OUTROS").groups, Some(vec![EventGroup::OrderStatus]));
        assert_eq!(filter("types=NEW1,NEW2").types, Some(vec![]), "sent, and nothing known left");
        assert!(filter("types=DLV,DELIVERED").asks_for_nothing(), "a word of another dialect");
        assert!(filter("groups=OUTROS").asks_for_nothing());
        assert_eq!(filter("types=&groups=,&categories="), Filter::default(), "blank is not sent");
        assert_eq!(filter("unknown=1&Types=PLC"), Filter::default());
    }

    #[test]
    fn what_an_unexplained_legacy_code_may_mean_is_not_acknowledged_away() {
        for legacy in ["CAF", "rtd", "DCL", "NCL"] {
            let sent = filter(&format!("types=PLC, {legacy} ,CFM"));
            assert_eq!(sent.types, Some(vec![EventCode::Placed, EventCode::Confirmed]), "{legacy}");
            assert!(sent.keeps_hidden, "{legacy}");
            assert!(!filter(&format!("types={legacy}&acknowledgeHidden=true")).keeps_hidden, "who says so means it");
        }
        assert!(!filter("types=PLC,REC,COL,XYZ").keeps_hidden, "the published rule, for whatever is no such code");
        assert!(!filter("types=PLC&categories=ALL").keeps_hidden);
    }

    #[test]
    fn categories_are_default_all_or_sent() {
        assert_eq!(filter("categories=FOOD,all,GROCERY").categories, CategoryFilter::All);
        assert_eq!(filter("categories=anotai").categories, CategoryFilter::Sent(vec![EventCategory::Anotai]));
        assert_eq!(filter("categories=PETS").categories, CategoryFilter::Sent(vec![]));
        assert_eq!(filter("").categories, CategoryFilter::Default);
    }

    #[test]
    fn only_true_excludes_the_heartbeat() {
        let is_heartbeat = |query| PollQuery::read(Some(query)).unwrap().is_heartbeat;
        assert!(!is_heartbeat("excludeHeartbeat=true") && !is_heartbeat("excludeHeartbeat=TRUE"));
        assert!(is_heartbeat("excludeHeartbeat=false") && is_heartbeat("excludeHeartbeat=") && is_heartbeat(""));
    }

    #[test]
    fn what_is_ours_is_read_strictly_and_off_by_default() {
        let plain = PollQuery::read(Some("types=PLC&waiting=9&Partial=true")).unwrap();
        assert!(!plain.is_more_than_a_read() && !plain.filter.keeps_hidden);
        assert_eq!(plain.wait(), Duration::ZERO);
        let all = PollQuery::read(Some("wait=30&partial=true&acknowledgeHidden=false")).unwrap();
        assert!(all.is_partial && all.filter.keeps_hidden && all.is_more_than_a_read());
        assert_eq!(all.wait(), Duration::from_secs(30));
        assert!(!PollQuery::read(Some("wait=0&partial=false&acknowledgeHidden=true")).unwrap().is_more_than_a_read());
        for (query, field) in [
            ("wait=31", "wait"),
            ("wait=-1", "wait"),
            ("wait=", "wait"),
            ("wait=1.5", "wait"),
            ("wait=10s", "wait"),
            ("wait=300", "wait"),
            ("partial=", "partial"),
            ("partial=yes", "partial"),
            ("acknowledgeHidden=0", "acknowledgeHidden"),
            ("acknowledgeHidden=", "acknowledgeHidden"),
        ] {
            let error = PollQuery::read(Some(query)).err().unwrap();
            assert_eq!(error.status(), 400, "{query}");
            assert!(error.to_string().contains(field), "{query}: {error}");
        }
    }

    fn scope(merchants: u16) -> Scope {
        let grant = |number: u16| {
            let mut bytes = [0; 16];
            bytes[14..].copy_from_slice(&number.to_be_bytes());
            Grant { merchant: MerchantId::from_bytes(bytes), granted_at: Timestamp::default() }
        };
        Scope::new("app".parse().unwrap(), (0..merchants).map(grant))
    }

    fn read(header: &str, scope: &Scope) -> Result<Option<usize>, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(POLLING_MERCHANTS, HeaderValue::from_str(header).unwrap());
        match requested_merchants(&headers, scope) {
            Ok(Requested::Everything) => Ok(None),
            Ok(Requested::Named(authorised)) => Ok(Some(authorised.merchants().len())),
            Err(error) => Err(error.status().as_u16()),
        }
    }

    #[test]
    fn the_header_takes_spaces_trailing_commas_and_500_ids() {
        let own = scope(2);
        let [first, second] = own.merchants() else { panic!() };
        assert_eq!(read(&format!(" {first} , {second} ,, "), &own), Ok(Some(2)));
        assert_eq!(read(&format!("{first},{first}"), &own), Ok(Some(1)));
        assert_eq!(read(" , ", &own), Ok(None), "names nobody");
        assert_eq!(read("not-a-uuid", &own), Err(400));
        assert_eq!(read(&MerchantId::from_bytes([9; 16]).to_string(), &own), Err(403));
        let large = scope(600);
        let csv =
            |count: usize| large.merchants()[..count].iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(read(&csv(500), &large), Ok(Some(500)));
        assert_eq!(read(&csv(501), &large), Err(400));
        assert_eq!(read("", &large), Err(400), "above 500 in scope it is mandatory");
        assert_eq!(read("", &scope(500)), Ok(None));
    }
}
