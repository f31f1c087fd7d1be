//! Prices, fees, discounts and the total. Amounts are copied digit for digit; only sums are computed, in decimals.

use rust_decimal::Decimal;

use super::super::json::{Object, Writer, array, quoted};
use super::Context;
use super::items::Items;

/// The currency of an order that does not say: the platforms' own.
const DEFAULT_CURRENCY: &str = "BRL";
/// Who may receive a fee.
const RECEIVERS: [&str; 3] = ["MARKETPLACE", "MERCHANT", "LOGISTIC_SERVICES"];

/// An order's one currency, three capital letters.
pub(super) struct Currency(String);

impl Currency {
    /// What the order says, itself or in its payments.
    pub(super) fn of(order: &Object<'_>) -> Self {
        let methods = order.object("payments").map(|payments| payments.objects("methods")).unwrap_or_default();
        let said = order.text(&["currency"]).or_else(|| methods.iter().find_map(|method| method.text(&["currency"])));
        Self(said.filter(|code| Self::is_code(code)).unwrap_or_else(|| DEFAULT_CURRENCY.to_owned()))
    }

    pub(super) fn is_code(text: &str) -> bool {
        text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// `{value, currency}` of these digits.
    pub(super) fn price(&self, digits: &str) -> String {
        format!(r#"{{"value":{digits},"currency":{}}}"#, quoted(&self.0))
    }
}

/// The digits as a decimal; `None` for more than it holds.
pub(super) fn decimal(digits: &str) -> Option<Decimal> {
    digits.parse().ok().or_else(|| Decimal::from_scientific(digits).ok())
}

fn is_zero(digits: &str) -> bool {
    decimal(digits).is_some_and(|amount| amount.is_zero())
}

/// The sum of amounts. One that stands alone, or beside zeros, keeps its digits.
pub(super) fn sum<'a>(amounts: impl IntoIterator<Item = &'a str>) -> String {
    let amounts: Vec<&str> = amounts.into_iter().collect();
    match amounts.iter().filter(|amount| !is_zero(amount)).collect::<Vec<_>>().as_slice() {
        [] => amounts.first().map_or_else(|| "0".to_owned(), |zero| (*zero).to_owned()),
        [one] => (**one).to_owned(),
        several => {
            let total = several.iter().filter_map(|amount| decimal(amount));
            total.fold(Decimal::ZERO, Decimal::saturating_add).to_string()
        }
    }
}

/// `otherFees`: the fees told apart where the order lists them, else what its total says.
pub(super) fn fees(context: &Context<'_>) -> Vec<String> {
    let order = context.order;
    let delivery = order.objects("deliveryFees");
    let mut fees: Vec<String> =
        delivery.iter().filter_map(|fee| listed_fee(context, fee, Some("DELIVERY_FEE"))).collect();
    let total = order.object("total").unwrap_or_default();
    if let (true, Some(amount)) = (fees.is_empty(), total.number("deliveryFee").filter(|amount| !is_zero(amount))) {
        let receiver = if context.by_merchant { "MERCHANT" } else { "MARKETPLACE" };
        fees.push(fee(context, "DELIVERY_FEE", "Taxa de entrega", receiver, amount).finish());
    }
    let listed = order.objects("additionalFees");
    fees.extend(listed.iter().filter_map(|fee| listed_fee(context, fee, None)));
    if let (true, Some(amount)) = (listed.is_empty(), total.number("additionalFees").filter(|amount| !is_zero(amount)))
    {
        fees.push(fee(context, "SERVICE_FEE", "Taxas adicionais", "MARKETPLACE", amount).finish());
    }
    fees
}

fn fee(context: &Context<'_>, kind: &'static str, name: &str, receiver: &str, amount: &str) -> Writer {
    let mut json = Writer::default();
    json.text("name", name).text("type", context.version.nearest(kind)).text("receivedBy", receiver);
    json.put("price", &context.currency.price(amount));
    json
}

fn listed_fee(context: &Context<'_>, sent: &Object<'_>, kind: Option<&'static str>) -> Option<String> {
    let amount = sent.number("value")?;
    let sent_kind = sent.text(&["type"]).unwrap_or_default();
    let kind = kind.unwrap_or(match sent_kind.as_str() {
        "SMALL_ORDER_FEE" | "MIN_ORDER_FEE" => "MIN_ORDER_FEE",
        "TIP" => "TIP",
        "DELIVERY_FEE" => "DELIVERY_FEE",
        _ => "SERVICE_FEE",
    });
    let name = sent.text(&["name", "fullDescription", "description"]).filter(|name| !name.is_empty());
    let receiver = sent.text(&["receivedBy"]).filter(|receiver| RECEIVERS.contains(&receiver.as_str()));
    let name = name.unwrap_or_else(|| if sent_kind.is_empty() { kind.to_owned() } else { sent_kind });
    let mut json = fee(context, kind, &name, receiver.as_deref().unwrap_or("MARKETPLACE"), amount);
    json.text_if("receiverDocument", sent.text(&["receiverDocument"]));
    json.text_if("observation", sent.text(&["observations"]));
    Some(json.finish())
}

/// `discounts`.
pub(super) fn discounts(context: &Context<'_>, items: &Items) -> Vec<String> {
    context.order.objects("benefits").iter().filter_map(|benefit| discount(context, benefit, items)).collect()
}

fn discount(context: &Context<'_>, benefit: &Object<'_>, items: &Items) -> Option<String> {
    let amount = benefit.number("value")?;
    let target = benefit.text(&["target"]);
    let target = match target.as_deref() {
        Some("DELIVERY_FEE") => "DELIVERY_FEE",
        Some("ITEM") => "ITEM",
        _ => "CART",
    };
    let sponsors = benefit.objects("sponsorshipValues");
    let sponsors: Vec<String> = sponsors.iter().filter_map(|sponsor| sponsorship(context, sponsor)).collect();
    let mut json = Writer::default();
    json.put("amount", &context.currency.price(amount)).text("target", target);
    json.text_if("targetId", benefit.text(&["targetId"]).map(|id| items.shown_id(id)));
    json.put("sponsorshipValues", &array(&sponsors));
    Some(json.finish())
}

fn sponsorship(context: &Context<'_>, sponsor: &Object<'_>) -> Option<String> {
    let amount = sponsor.number("value")?;
    let name = sponsor.text(&["name"]);
    let name = match name.as_deref() {
        Some("MERCHANT") => "MERCHANT",
        Some("CHAIN") => "CHAIN",
        _ => "MARKETPLACE",
    };
    let mut json = Writer::default();
    json.text("name", context.version.nearest(name)).put("amount", &context.currency.price(amount));
    json.text_if("discountCode", sponsor.text(&["discountCode"]));
    Some(json.finish())
}

/// `total`.
pub(super) fn total(context: &Context<'_>) -> String {
    let total = context.order.object("total").unwrap_or_default();
    let amount = |name: &str| total.number(name);
    let items = context.order.objects("items");
    let items_price = amount("subTotal").map(str::to_owned);
    let items_price = items_price.unwrap_or_else(|| sum(items.iter().filter_map(|item| item.number("totalPrice"))));
    let other_fees = sum(["deliveryFee", "additionalFees"].into_iter().filter_map(amount));
    let price = |digits: &str| context.currency.price(digits);
    let mut json = Writer::default();
    json.put("itemsPrice", &price(&items_price)).put("otherFees", &price(&other_fees));
    json.put("discount", &price(amount("benefits").unwrap_or("0")));
    json.put("orderAmount", &price(amount("orderAmount").unwrap_or("0")));
    json.finish()
}
