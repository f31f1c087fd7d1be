//! Payments. Unlike prices, these amounts are bare decimals.

use super::super::json::{Object, Writer, array};
use super::Context;
use super::money::Currency;

/// The ways to pay there are.
const METHODS: [&str; 12] = [
    "CREDIT",
    "DEBIT",
    "MEAL_VOUCHER",
    "FOOD_VOUCHER",
    "DIGITAL_WALLET",
    "PIX",
    "CASH",
    "CREDIT_DEBIT",
    "COUPON",
    "REDEEM",
    "PREPAID_REDEEM",
    "OTHER",
];
/// The brands there are.
const BRANDS: [&str; 24] = [
    "VISA",
    "MASTERCARD",
    "DINERS",
    "AMEX",
    "HIPERCARD",
    "ELO",
    "AURA",
    "DISCOVER",
    "VR_BENEFICIOS",
    "SODEXO",
    "TICKET",
    "GOOD_CARD",
    "BANESCARD",
    "SOROCARD",
    "POLICARD",
    "VALECARD",
    "AGICARD",
    "JCB",
    "CREDSYSTEM",
    "CABAL",
    "GREEN_CARD",
    "VEROCHEQUE",
    "AVISTA",
    "OTHER",
];

/// `payments`. An order that says nothing of them is paid: the platform leaves them out where nothing is left to pay.
pub(super) fn payments(context: &Context<'_>) -> String {
    let mut json = Writer::default();
    let Some(payments) = context.order.object("payments") else {
        let total = context.order.object("total").unwrap_or_default();
        let paid = total.number("orderAmount").unwrap_or("0");
        return json.put("prepaid", paid).put("pending", "0").put("methods", "[]").finish();
    };
    let methods: Vec<String> = payments.objects("methods").iter().map(|one| method(context, one)).collect();
    json.put("prepaid", payments.number("prepaid").unwrap_or("0"));
    json.put("pending", payments.number("pending").unwrap_or("0"));
    json.put("methods", &array(&methods)).finish()
}

fn method(context: &Context<'_>, method: &Object<'_>) -> String {
    let sent = method.text(&["method"]).unwrap_or_default();
    let name = METHODS.into_iter().find(|known| *known == sent).unwrap_or("OTHER");
    let is_prepaid = match method.text(&["type"]).as_deref() {
        Some("ONLINE" | "PREPAID") => true,
        Some("OFFLINE" | "PENDING") => false,
        _ => method.flag("prepaid").unwrap_or(false),
    };
    let currency = method.text(&["currency"]).filter(|code| Currency::is_code(code));
    let wallet = method.object("wallet").and_then(|wallet| wallet.text(&["name"]));
    // A way to pay without a name here is told in words.
    let info = wallet.or_else(|| method.text(&["methodInfo"])).or_else(|| (name != sent).then_some(sent));
    let mut json = Writer::default();
    json.put("value", method.number("value").unwrap_or("0"));
    json.text("currency", currency.as_deref().unwrap_or(context.currency.as_str()));
    json.text("type", if is_prepaid { "PREPAID" } else { "PENDING" }).text("method", name);
    json.text_if("brand", method.object("card").and_then(|card| card.text(&["brand"])).map(|text| brand(&text)));
    json.text_if("methodInfo", info.filter(|info| !info.is_empty()));
    json.put_if("transaction", method.object("transaction").and_then(|_| method.get("transaction")));
    json.put_if("changeFor", method.object("cash").and_then(|cash| cash.number("changeFor").map(str::to_owned)));
    json.finish()
}

fn brand(text: &str) -> &'static str {
    let text = text.trim();
    BRANDS.into_iter().find(|known| known.eq_ignore_ascii_case(text)).unwrap_or("OTHER")
}
