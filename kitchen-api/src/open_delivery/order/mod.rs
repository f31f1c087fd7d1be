//! An order as it is stored (PARTNER_API, section 3) turned into an Open Delivery 1.7.0 order.
//!
//! Pure; used by `order_details`. The way back of gateway-agent's conversion, which keeps what has no counterpart as a field of the
//! same name: orders that arrived in this dialect come out as they went in. Amounts are copied digit for digit. What the
//! document requires and an order does not say is the least that can be said: an empty text, 0, the order's own instant. Values
//! outside the document's lists become the nearest one that is inside, so that a strict client can read every order.

mod blocks;
mod items;
mod money;
mod payments;

use order_model::{MerchantId, OrderId};
use sha2::{Digest, Sha256};

use super::json::{Object, Writer, array};
use super::merchant_names::{Names, is_open_delivery_id};
use super::spoken_version::OpenDeliveryVersion;
use crate::merchants::uuid_text;
use items::Items;
use money::Currency;

/// What is known of an order beside its body.
pub(super) struct Placed<'a> {
    pub(super) order: OrderId,
    pub(super) merchant: MerchantId,
    /// `None` where nobody could be asked.
    pub(super) names: Option<&'a Names>,
    /// `None` where the core could not be asked.
    pub(super) last_event: Option<&'static str>,
    /// Which version of the document the reader knows.
    pub(super) version: OpenDeliveryVersion,
}

/// An order while it is rendered.
struct Context<'a> {
    id: OrderId,
    order: &'a Object<'a>,
    currency: Currency,
    version: OpenDeliveryVersion,
    created_at: String,
    kind: Kind,
    /// Whether the merchant's own courier delivers.
    by_merchant: bool,
}

/// How the customer gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Delivery,
    Takeout,
    Indoor,
}

impl Kind {
    fn of(order_type: &str) -> Self {
        match order_type {
            "DELIVERY" => Self::Delivery,
            "TAKEOUT" => Self::Takeout,
            // DINE_IN is another word for it.
            _ => Self::Indoor,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "DELIVERY",
            Self::Takeout => "TAKEOUT",
            Self::Indoor => "INDOOR",
        }
    }
}

/// The order as JSON; `None` when `body` is no JSON object.
pub(super) fn render(placed: &Placed<'_>, body: &[u8]) -> Option<String> {
    let order = Object::read(std::str::from_utf8(body).ok()?)?;
    let kind = Kind::of(&order.text(&["orderType"]).unwrap_or_default().to_ascii_uppercase());
    let delivered_by = order.object("delivery").and_then(|delivery| delivery.text(&["deliveredBy"]));
    let context = Context {
        id: placed.order,
        order: &order,
        currency: Currency::of(&order),
        version: placed.version,
        created_at: order.instant(&["createdAt"]).unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned()),
        kind,
        by_merchant: blocks::is_by_merchant(delivered_by.as_deref()),
    };
    Some(context.render(placed))
}

impl Context<'_> {
    fn render(&self, placed: &Placed<'_>) -> String {
        let mut json = Writer::default();
        self.put_head(&mut json, placed);
        let items = Items::of(self);
        json.put("items", &array(&items.rendered));
        let fees = money::fees(self);
        json.put_if("otherFees", (!fees.is_empty()).then(|| array(&fees)));
        let discounts = money::discounts(self, &items);
        json.put_if("discounts", (!discounts.is_empty()).then(|| array(&discounts)));
        json.put("total", &money::total(self));
        json.put("payments", &payments::payments(self));
        json.put_if("taxInvoice", self.order.object("taxInvoice").and_then(|_| self.order.get("taxInvoice")));
        blocks::put_all(self, &mut json);
        self.put_tail(&mut json);
        json.finish()
    }

    fn put_head(&self, json: &mut Writer, placed: &Placed<'_>) {
        let order = self.order;
        json.text("id", &self.id.to_string()).text("type", self.kind.name());
        json.text("displayId", &order.text(&["displayId"]).unwrap_or_default());
        json.text_if("sourceAppId", order.text(&["sourceAppId"]).filter(|id| is_uuid(id)));
        json.text_if("salesChannel", order.text(&["salesChannel"]));
        json.text_if("virtualBrand", order.text(&["virtualBrand"]));
        let category = order.text(&["category"]);
        json.text_if("category", category.filter(|text| CATEGORIES.contains(&text.as_str())));
        json.text("createdAt", &self.created_at)
            .text_if("lastEvent", placed.last_event.map(|name| self.version.nearest(name)));
        json.text("orderTiming", self.version.nearest(timing(order.text(&["orderTiming"]).as_deref())));
        let preparation = order.instant(&["preparationStartDateTime"]);
        json.text("preparationStartDateTime", preparation.as_ref().unwrap_or(&self.created_at));
        json.put("merchant", &self.merchant(placed));
    }

    /// The merchant as its POS calls it: the string that came with the order, or else the one that is set.
    fn merchant(&self, placed: &Placed<'_>) -> String {
        let merchant = self.order.object("merchant").unwrap_or_default();
        let sent = merchant.text(&["openDeliveryId"]).filter(|id| is_open_delivery_id(id));
        let id = sent.or_else(|| placed.names.and_then(|names| names.open_delivery_id.clone()));
        let name = merchant.text(&["name"]).filter(|name| !name.is_empty());
        let name = name.or_else(|| placed.names.map(|names| names.name.clone()));
        let mut json = Writer::default();
        json.text("id", &id.unwrap_or_else(|| placed.merchant.to_string()));
        json.text("name", &name.unwrap_or_default());
        json.finish()
    }

    /// Which steps we wait for: those that nobody else tells us of.
    fn put_tail(&self, json: &mut Writer) {
        let is_own_delivery = self.kind == Kind::Delivery && self.by_merchant;
        let flag = |value: bool| if value { "true" } else { "false" };
        json.put("sendPreparing", "false").put("sendDelivered", flag(is_own_delivery));
        json.put("sendPickedUp", flag(self.kind == Kind::Takeout)).put("sendTracking", "false");
        json.text_if("extraInfo", self.order.text(&["extraInfo"]));
    }

    /// A UUID for what must have one and was sent with another id, or none: the same every time.
    fn uuid_of(&self, sent: Option<&str>, what: &str) -> String {
        match sent.filter(|id| is_uuid(id)) {
            Some(id) => id.to_owned(),
            None => stable_uuid(&[self.id.as_bytes(), what.as_bytes(), sent.unwrap_or_default().as_bytes()]),
        }
    }
}

const CATEGORIES: [&str; 4] = ["FOOD", "GROCERY", "DRUGSTORE", "PETSTORE"];

fn timing(sent: Option<&str>) -> &'static str {
    match sent {
        Some("SCHEDULED") => "SCHEDULED",
        Some("ONDEMAND") => "ONDEMAND",
        _ => "INSTANT",
    }
}

fn is_uuid(text: &str) -> bool {
    text.parse::<OrderId>().is_ok()
}

/// A UUID made of these parts.
pub(super) fn stable_uuid(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        // Lengths keep two ways to cut the same bytes apart.
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid_text(bytes)
}

#[cfg(test)]
mod tests;
