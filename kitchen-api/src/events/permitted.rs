//! Merchants that a request names, where an ordinary poll's answer to foreign ones (403 for all) is not what is asked for.
//!
//! Pure; used by `reader` and `unacknowledged`. Foreign and unknown merchants are the same here, as everywhere.

use event_feed::Scope;
use http::HeaderMap;
use order_model::MerchantId;

use super::query::{Requested, named_merchants, polled_merchants};
use crate::errors::ApiError;

/// The merchants of a poll that wants a part rather than nothing, and those that the application may not see, in the order
/// named.
pub(super) fn permitted_merchants(
    headers: &HeaderMap,
    scope: &Scope,
) -> Result<(Requested, Vec<MerchantId>), ApiError> {
    let named = polled_merchants(headers, scope)?;
    if named.as_slice().is_empty() {
        return Ok((Requested::Everything, Vec::new()));
    }
    let permitted: Vec<MerchantId> =
        named.as_slice().iter().copied().filter(|merchant| scope.contains(*merchant)).collect();
    let refused = match scope.authorise(named.as_slice()) {
        Ok(authorised) => return Ok((Requested::Named(authorised), Vec::new())),
        Err(refused) => refused.merchants,
    };
    let authorised = scope.authorise(&permitted);
    let authorised = authorised.map_err(|refused| ApiError::forbidden_merchants(refused.merchants))?;
    Ok((Requested::Named(authorised), refused))
}

/// The merchants that the header names, each once; `None` where it names nobody. Whoever reads page by page need not name
/// any.
pub(super) fn named_of_scope(headers: &HeaderMap, scope: &Scope) -> Result<Option<Vec<MerchantId>>, ApiError> {
    let named = named_merchants(headers)?;
    if named.as_slice().is_empty() {
        return Ok(None);
    }
    let authorised = scope.authorise(named.as_slice());
    let authorised = authorised.map_err(|refused| ApiError::forbidden_merchants(refused.merchants))?;
    Ok(Some(authorised.merchants().iter().map(|granted| granted.merchant).collect()))
}

#[cfg(test)]
mod tests {
    use event_feed::Grant;
    use http::HeaderValue;
    use order_model::Timestamp;

    use super::*;

    #[test]
    fn a_part_is_what_the_scope_has_and_the_rest_is_listed() {
        let (first, foreign) = (MerchantId::from_bytes([1; 16]), MerchantId::from_bytes([9; 16]));
        let granted_at = Timestamp::default();
        let own = Scope::new("app".parse().unwrap(), [Grant { merchant: first, granted_at }]);
        let part = |csv: String| {
            let mut headers = HeaderMap::new();
            headers.insert("x-polling-merchants", HeaderValue::from_str(&csv).unwrap());
            permitted_merchants(&headers, &own).map(|(requested, refused)| match requested {
                Requested::Everything => (None, refused),
                Requested::Named(named) => (Some(named.merchants().len()), refused),
            })
        };
        assert_eq!(part(format!("{first},{foreign},{foreign}")).unwrap(), (Some(1), vec![foreign]));
        assert_eq!(part(foreign.to_string()).unwrap(), (Some(0), vec![foreign]), "nothing is left, not everything");
        assert_eq!(part(first.to_string()).unwrap(), (Some(1), vec![]));
        assert_eq!(part(String::new()).unwrap(), (None, vec![]));
        assert_eq!(part("nonsense".to_owned()).err().unwrap().status(), 400);
    }
}
