//! `GET …/deliveryAvailabilities`: what a courier of the platform would cost, for a place or for an order that there is.
//!
//! A quote is kept in the table of requests under its id, a UUID as published: an order made outside names it. It holds what was
//! promised and to whom, and not where it goes: that is a customer's home. A signed id would need no table, but clients read
//! a UUID, which has no room for a signature; and the table also lets any instance answer for it.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use order_model::lifecycle::{DeliveredBy, OrderType};
use order_model::{Coordinates, MerchantId, Timestamp};
use proto::merchant_connection::Merchant;
use serde::Serialize;
use serde_json::Value;

use super::availability::{NoCourier, judge};
use super::tariff::{CourierTariff, Offer};
use crate::api::Api;
use crate::catalog::money::{Amount, Money};
use crate::errors::ApiError;
use crate::merchants::{closed, coordinates_of, fetch_one, merchant_in_path, uuid_text};
use crate::oauth::{Authorised, form_pairs};
use crate::orders::{json_response, order_in_path, refusal, visible_order};
use crate::store::kept::{Quote, RequestTableError};

/// Answers with a quote for the place of the query.
pub(crate) async fn for_place(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let merchant = merchant_in_path(&request, authorised.scope())?;
    let destination = destination_of(request.uri().query().unwrap_or_default())?;
    answer(&api, &authorised, merchant, destination).await
}

/// Answers with a quote for the address of an order.
pub(crate) async fn for_order(api: Arc<Api>, authorised: Authorised, request: Request) -> Result<Response, ApiError> {
    let order = order_in_path(&request)?;
    let visible = visible_order(&api, authorised.scope(), order).await.map_err(|error| refusal(&error))?;
    if matches!(visible.reply.state.as_str(), "CONCLUDED" | "CANCELLED") {
        return Err(ApiError::bad_request(format!("The order is {}: it needs no courier.", visible.reply.state)));
    }
    let destination = address_of(&visible.reply.body)?;
    answer(&api, &authorised, visible.merchant, destination).await
}

async fn answer(
    api: &Api,
    authorised: &Authorised,
    merchant: MerchantId,
    destination: Coordinates,
) -> Result<Response, ApiError> {
    let profile = fetch_one(api, merchant).await?;
    let (tariff, offer) = offer(api, merchant, &profile, destination).await?;
    let now = api.clock.now();
    let quote = Quote {
        id: uuid_text(api.entropy.bytes()),
        application: authorised.application().clone(),
        merchant,
        distance_m: offer.distance_m,
        fee_cents: offer.fee.cents(),
        within: offer.latest,
        valid_until: now.plus(tariff.quote_validity),
    };
    api.requests.keep_quote(&quote).await.map_err(|error| unavailable(&error))?;
    Ok(json_response(Bytes::from(rendered(&quote, &offer, now))))
}

/// What the platform offers for a way from this merchant now.
///
/// # Errors
/// 400 with the published code of why it offers nothing.
pub(super) async fn offer(
    api: &Api,
    merchant: MerchantId,
    profile: &Merchant,
    destination: Coordinates,
) -> Result<(CourierTariff, Offer), ApiError> {
    let tariff = api.courier_tariff.ok_or(NoCourier::NoneAtAll)?;
    let origin = coordinates_of(profile);
    let closed = closed(api, merchant, profile).await?;
    Ok((tariff, judge(Some(&tariff), origin, closed, destination)?))
}

pub(super) fn unavailable(error: &RequestTableError) -> ApiError {
    tracing::debug!(error = error as &dyn std::error::Error, "a quote could not be kept or read");
    ApiError::unavailable()
}

fn destination_of(query: &str) -> Result<Coordinates, ApiError> {
    let value = |wanted: &'static str| {
        let sent = form_pairs(query).find(|(name, _)| name == wanted).map(|(_, value)| value.trim().to_owned());
        sent.filter(|text| !text.is_empty()).ok_or_else(|| wrong(wanted))
    };
    let (latitude, longitude) = (value("latitude")?, value("longitude")?);
    // Each with a partner that is right: so that the one that is wrong is named.
    for (name, read) in
        [("latitude", Coordinates::read(&latitude, "0")), ("longitude", Coordinates::read("0", &longitude))]
    {
        read.ok_or_else(|| wrong(name))?;
    }
    Coordinates::read(&latitude, &longitude).ok_or_else(|| wrong("latitude"))
}

fn wrong(field: &'static str) -> ApiError {
    let most = if field == "latitude" { 90 } else { 180 };
    ApiError::bad_request(format!("{field} must be a number of degrees from -{most} to {most}.")).at_field(field)
}

/// Where an order goes that the merchant's own courier would bring.
fn address_of(body: &[u8]) -> Result<Coordinates, ApiError> {
    let order: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_delivery = order["orderType"].as_str().and_then(OrderType::parse) == Some(OrderType::Delivery);
    let delivery = &order["delivery"];
    let delivered_by = DeliveredBy::of_order(delivery["deliveredBy"].as_str().unwrap_or_default());
    if !is_delivery || delivered_by != DeliveredBy::Merchant {
        let message = "A courier can be asked for a DELIVERY that the merchant brings itself, and for no other order.";
        return Err(ApiError::bad_request(message));
    }
    let coordinates = &delivery["deliveryAddress"]["coordinates"];
    let degrees = |angle: &Value| match angle {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let read = Coordinates::read(&degrees(&coordinates["latitude"]), &degrees(&coordinates["longitude"]));
    read.ok_or_else(|| ApiError::bad_request("The order's delivery address has no coordinates."))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered<'a> {
    id: &'a str,
    expiration_at: String,
    created_at: String,
    /// In metres.
    distance: u32,
    /// In seconds: nobody of ours knows how long a kitchen takes, and the courier waits for none.
    preparation_time: u32,
    quote: Price,
    delivery_time: Window,
    /// The tariff names no way to pay a courier at the door.
    has_payment_methods: bool,
    payment_methods: [Value; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Price {
    gross_value: Amount,
    discount: Amount,
    raise: Amount,
    net_value: Amount,
}

/// In seconds.
#[derive(Serialize)]
struct Window {
    min: u64,
    max: u64,
}

fn rendered(quote: &Quote, offer: &Offer, now: Timestamp) -> String {
    let nothing = Amount(Money::of_cents(0));
    let rendered = Rendered {
        id: &quote.id,
        expiration_at: quote.valid_until.to_string(),
        created_at: now.to_string(),
        distance: offer.distance_m,
        preparation_time: 0,
        quote: Price {
            gross_value: Amount(offer.fee),
            discount: nothing,
            raise: nothing,
            net_value: Amount(offer.fee),
        },
        delivery_time: Window { min: offer.earliest.as_secs(), max: offer.latest.as_secs() },
        has_payment_methods: false,
        payment_methods: [],
    };
    serde_json::to_string(&rendered).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_off_the_query_and_the_wrong_half_is_named() {
        let read =
            |query: &str| destination_of(query).map(|place| place.to_string()).map_err(|error| format!("{error:?}"));
        assert_eq!(read("latitude=-23.55&longitude=-46.63&x=1").unwrap(), "-23.55,-46.63");
        assert_eq!(read("longitude=%2B46.63&latitude=+1").unwrap(), "1,46.63");
        for (query, field) in [
            ("", "latitude"),
            ("latitude=&longitude=1", "latitude"),
            ("latitude=91&longitude=1", "latitude"),
            ("latitude=1&longitude=181", "longitude"),
            ("latitude=1", "longitude"),
            ("latitude=1&longitude=NaN", "longitude"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(refused.contains(&format!("field: Some({field:?})")), "{query}: {refused}");
        }
    }

    #[test]
    fn only_an_order_that_the_merchant_brings_has_a_way() {
        let order = |order_type: &str, by: &str, coordinates: &str| {
            let body = format!(
                r#"{{"orderType":"{order_type}","delivery":{{"deliveredBy":"{by}","deliveryAddress":{{"coordinates":{coordinates}}}}}}}"#
            );
            address_of(body.as_bytes()).ok().map(|place| place.to_string())
        };
        let here = r#"{"latitude":-23.55,"longitude":"-46.63"}"#;
        assert_eq!(order("DELIVERY", "MERCHANT", here).as_deref(), Some("-23.55,-46.63"));
        assert_eq!(order("DELIVERY", "IFOOD", here), None);
        assert_eq!(order("TAKEOUT", "MERCHANT", here), None);
        for nowhere in ["{}", "null", r#"{"latitude":-23.55}"#, r#"{"latitude":0,"longitude":999}"#] {
            assert_eq!(order("DELIVERY", "MERCHANT", nowhere), None, "{nowhere}");
        }
        assert!(address_of(b"not json").is_err());
    }
}
