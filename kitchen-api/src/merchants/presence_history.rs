//! `GET /comanda/v1/merchants/{id}/presence`: the transitions of a merchant between ONLINE and OFFLINE, with their reasons.
//!
//! They are merchant-connection's, which decides each once and keeps it for 30 days. Interruptions and opening hours are
//! absent: they close a store without making it OFFLINE, and have operations of their own.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::Timestamp;
use proto::conversions::to_bytes;
use proto::merchant_connection::{HistoryRequest, Transition};
use serde_json::{Value, json};

use super::list::{fetch_one, merchant_in_path, refusal};
use crate::api::Api;
use crate::errors::ApiError;
use crate::oauth::{Authorised, form_pairs};
use crate::orders::json_response;

/// Transitions of one page, at most.
const PAGE_MAX: u32 = 100;
/// Transitions of one page where the client does not say.
const PAGE_DEFAULT: u32 = 50;

/// What is asked for: `from` included, `to` not.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    limit: u32,
}

impl Window {
    fn read(query: &str) -> Result<Self, ApiError> {
        let mut window = Self { from: Timestamp::default(), to: Timestamp::MAX, limit: PAGE_DEFAULT };
        for (name, value) in form_pairs(query) {
            match &*name {
                "from" => window.from = instant("from", &value)?,
                "to" => window.to = instant("to", &value)?,
                "limit" => {
                    let number = value.trim().parse().ok().filter(|number| (1..=PAGE_MAX).contains(number));
                    window.limit = number.ok_or_else(|| {
                        ApiError::bad_request(format!("limit must be a number from 1 to {PAGE_MAX}.")).at_field("limit")
                    })?;
                }
                _ => {}
            }
        }
        if window.from >= window.to {
            return Err(ApiError::bad_request("to must be later than from.").at_field("to"));
        }
        Ok(window)
    }
}

fn instant(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.trim().parse().map_err(|_| {
        let message = format!("{field} must be an instant with an offset, e.g. 2026-11-20T09:00:00-03:00.");
        ApiError::bad_request(message).at_field(field)
    })
}

/// Answers with a page, newest first.
pub(crate) async fn presence_history(
    api: Arc<Api>,
    authorised: Authorised,
    request: Request,
) -> Result<Response, ApiError> {
    let id = merchant_in_path(&request, authorised.scope())?;
    let window = Window::read(request.uri().query().unwrap_or_default())?;
    fetch_one(&api, id).await?;
    let asked = HistoryRequest {
        merchant_id: to_bytes(id.as_bytes()),
        // One more says whether there is another page.
        limit: window.limit + 1,
        before_ms: window.to.unix_ms(),
    };
    let reply = api.merchants.history(asked).await.map_err(|error| refusal(&error))?;
    let within = |transition: &&Transition| transition.changed_at_ms >= window.from.unix_ms();
    let found: Vec<&Transition> = reply.transitions.iter().take_while(within).collect();
    let (page, rest) = found.split_at(found.len().min(window.limit as usize));
    let mut body = json!({ "transitions": page.iter().map(|one| to_json(one)).collect::<Vec<Value>>() });
    if let (Some(last), false) = (page.last(), rest.is_empty()) {
        body["nextTo"] = json!(Timestamp::from_unix_ms(last.changed_at_ms).to_string());
    }
    Ok(json_response(Bytes::from(body.to_string())))
}

fn to_json(transition: &Transition) -> Value {
    let mut json = json!({
        "status": if transition.online { "ONLINE" } else { "OFFLINE" },
        "reason": transition.reason,
        "changedAt": Timestamp::from_unix_ms(transition.changed_at_ms).to_string(),
        "sequence": transition.sequence,
    });
    let (changed_at, heard_at) = (transition.changed_at_ms, transition.last_heartbeat_at_ms);
    if heard_at > 0 {
        json["lastHeartbeatAt"] = json!(Timestamp::from_unix_ms(heard_at).to_string());
        if !transition.online {
            json["silentForSeconds"] = json!(changed_at.saturating_sub(heard_at).max(0) / 1000);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_read_or_refused() {
        let all = Window::read("").unwrap();
        assert_eq!(all, Window { from: Timestamp::default(), to: Timestamp::MAX, limit: PAGE_DEFAULT });
        let day = Window::read("from=2026-11-20T00:00:00-03:00&to=2026-11-20T03:00:01Z&limit=7").unwrap();
        assert_eq!((day.to.since(day.from).as_secs(), day.limit), (1, 7));
        for wrong in [
            "from=yesterday",
            "from=2026-11-20T00:00:00",
            "to=",
            "limit=0",
            "limit=101",
            "limit=x",
            "from=2026-11-20T00:00:00Z&to=2026-11-20T00:00:00Z",
        ] {
            assert_eq!(Window::read(wrong).unwrap_err().status(), 400, "{wrong}");
        }
    }
}
