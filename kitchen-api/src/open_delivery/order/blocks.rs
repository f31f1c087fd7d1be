//! Customer, schedule, and how the order reaches the customer: mostly other names for the same values.

use super::super::json::{Object, Writer};
use super::{Context, Kind};

const PRIORITIES: [&str; 5] = ["PRIORITY1", "PRIORITY2", "PRIORITY3", "PRIORITY4", "PRIORITY5"];

/// Whether an order says that its merchant delivers; as for the lifecycle, only the marketplace's names are not.
pub(super) fn is_by_merchant(delivered_by: Option<&str>) -> bool {
    use order_model::lifecycle::DeliveredBy;
    DeliveredBy::of_order(delivered_by.unwrap_or_default()) == DeliveredBy::Merchant
}

/// Writes every block that the order has, and of the ways to the customer only its own.
pub(super) fn put_all(context: &Context<'_>, json: &mut Writer) {
    let order = context.order;
    json.put_if("customer", order.object("customer").map(|block| customer(context, &block)));
    json.put_if("schedule", order.object("schedule").and_then(|block| schedule(&block)));
    let priority = order.text(&["orderPriority"]);
    json.text_if("orderPriority", priority.filter(|text| PRIORITIES.contains(&text.as_str())));
    match context.kind {
        Kind::Delivery => {
            json.put_if("delivery", order.object("delivery").map(|block| delivery(context, &block)));
        }
        Kind::Takeout => {
            json.put_if("takeout", order.object("takeout").map(|block| takeout(context, &block)));
        }
        Kind::Indoor => {
            let block = order.object("indoor").or_else(|| order.object("dineIn"));
            json.put_if("indoor", block.map(|block| indoor(context, &block)));
        }
    }
}

fn customer(context: &Context<'_>, sent: &Object<'_>) -> String {
    let phone = sent.object("phone").unwrap_or_default();
    let mut number = Writer::default();
    number.text("number", &phone.text(&["number"]).unwrap_or_default());
    number.text_if("extension", phone.text(&["localizer", "extension"]));
    let mut json = Writer::default();
    json.text("id", &context.uuid_of(sent.text(&["id"]).as_deref(), "customer"));
    json.text("name", &sent.text(&["name"]).unwrap_or_default());
    json.text_if("documentNumber", sent.text(&["documentNumber"])).put("phone", &number.finish());
    json.text_if("email", sent.text(&["email"]));
    json.put("ordersCountOnMerchant", sent.number("ordersCountOnMerchant").unwrap_or("0"));
    json.finish()
}

/// A window that has one end only is that instant.
fn schedule(sent: &Object<'_>) -> Option<String> {
    let start = sent.instant(&["deliveryDateTimeStart"]);
    let end = sent.instant(&["deliveryDateTimeEnd"]);
    let (start, end) = (start.as_ref().or(end.as_ref())?, end.as_ref().or(start.as_ref())?);
    let mut json = Writer::default();
    json.text("scheduledDateTimeStart", start).text("scheduledDateTimeEnd", end);
    Some(json.finish())
}

fn delivery(context: &Context<'_>, sent: &Object<'_>) -> String {
    let promised = sent.instant(&["deliveryDateTime"]);
    let mut json = Writer::default();
    json.text("deliveredBy", if context.by_merchant { "MERCHANT" } else { "MARKETPLACE" });
    json.put("deliveryAddress", &address(&sent.object("deliveryAddress").unwrap_or_default()));
    json.text("estimatedDeliveryDateTime", promised.as_ref().unwrap_or(&context.created_at));
    // The actual time of an order that came in this dialect, kept beside the promised one, which has its name there.
    json.text_if("deliveryDateTime", sent.instant(&["openDelivery.deliveryDateTime"]));
    json.text_if("pickupCode", sent.text(&["pickupCode"]));
    json.finish()
}

fn address(sent: &Object<'_>) -> String {
    let text = |names: &[&str]| sent.text(names).unwrap_or_default();
    let is_country = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let coordinates = sent.object("coordinates").unwrap_or_default();
    let mut point = Writer::default();
    point.put("latitude", coordinates.number("latitude").unwrap_or("0"));
    point.put("longitude", coordinates.number("longitude").unwrap_or("0"));
    let mut json = Writer::default();
    json.text("country", &sent.text(&["country"]).filter(is_country).unwrap_or_else(|| "BR".to_owned()));
    json.text("state", &text(&["state"])).text("city", &text(&["city"]));
    json.text("district", &text(&["neighborhood", "district"])).text("street", &text(&["streetName", "street"]));
    json.text("number", &text(&["streetNumber", "number"])).text_if("complement", sent.text(&["complement"]));
    json.text_if("reference", sent.text(&["reference"])).text("formattedAddress", &text(&["formattedAddress"]));
    json.text("postalCode", &text(&["postalCode"])).put("coordinates", &point.finish());
    json.finish()
}

fn takeout(context: &Context<'_>, sent: &Object<'_>) -> String {
    let mode = if sent.text(&["mode"]).as_deref() == Some("PICKUP_AREA") { "PICKUP_AREA" } else { "DEFAULT" };
    let at = sent.instant(&["takeoutDateTime"]);
    let mut json = Writer::default();
    json.text("mode", mode).text("takeoutDateTime", at.as_ref().unwrap_or(&context.created_at));
    json.finish()
}

fn indoor(context: &Context<'_>, sent: &Object<'_>) -> String {
    let mode = sent.text(&["mode"]);
    let mode = match mode.as_deref() {
        Some("PLACE" | "TABLE") => "PLACE",
        Some("TAB") => "TAB",
        Some("TERMINAL") => "TERMINAL",
        _ => "DEFAULT",
    };
    let at = sent.instant(&["deliveryDateTime", "indoorDateTime"]);
    let mut json = Writer::default();
    json.text("mode", context.version.nearest(mode)).text("indoorDateTime", at.as_ref().unwrap_or(&context.created_at));
    json.text_if("place", sent.text(&["table", "place"])).text_if("tab", sent.text(&["tab"]));
    json.text_if("seat", sent.text(&["seat"])).text_if("waiterCode", sent.text(&["waiterCode"]));
    json.finish()
}
