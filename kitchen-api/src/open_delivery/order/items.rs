//! Items and their options.

use rust_decimal::Decimal;

use super::super::json::{Object, Writer, array};
use super::Context;
use super::money::decimal;

/// The units there are.
const UNITS: [&str; 6] = ["UN", "KG", "L", "OZ", "LB", "GAL"];

/// An order's items.
pub(super) struct Items {
    pub(super) rendered: Vec<String>,
    /// What each item was called, and how it is shown.
    ids: Vec<(Vec<String>, String)>,
}

impl Items {
    pub(super) fn of(context: &Context<'_>) -> Self {
        let mut items = Self { rendered: Vec::new(), ids: Vec::new() };
        for (position, item) in context.order.objects("items").iter().enumerate() {
            let sent = item.text(&["id"]);
            let id = context.uuid_of(sent.as_deref(), &format!("item {position}"));
            items.rendered.push(render(context, item, position, &id));
            items.ids.push((sent.into_iter().chain(item.text(&["uniqueId"])).collect(), id));
        }
        items
    }

    /// How the item that a discount calls `id` is shown.
    pub(super) fn shown_id(&self, id: String) -> String {
        let found = self.ids.iter().find(|(sent, _)| sent.contains(&id));
        found.map_or(id, |(_, shown)| shown.clone())
    }
}

fn render(context: &Context<'_>, item: &Object<'_>, position: usize, id: &str) -> String {
    let measure = Measure::of(item);
    let index = item.number("index").filter(|index| index.parse::<u64>().is_ok());
    let price = |digits: &str| context.currency.price(digits);
    let mut json = Writer::default();
    json.text("id", id).put_if("index", index);
    put_words(&mut json, item, &measure);
    json.put("unitPrice", &price(&measure.unit_price));
    json.put_if("originalPrice", original_price(context, item));
    json.put_if("scalePriceApplied", item.flag("scalePriceApplied").map(|flag| if flag { "true" } else { "false" }));
    json.put_if("optionsPrice", per_unit(item).map(|digits| price(&digits)));
    json.put_if("subtotalPrice", item.number("price").map(price));
    json.put("totalPrice", &price(item.number("totalPrice").unwrap_or("0")));
    json.put_if("indoor", item.object("indoor").and_then(|_| item.get("indoor")));
    let options = item.objects("options");
    let options: Vec<String> =
        options.iter().enumerate().map(|(at, one)| option(context, one, &format!("option {position} {at}"))).collect();
    json.put_if("options", (!options.is_empty()).then(|| array(&options)));
    json.finish()
}

fn option(context: &Context<'_>, option: &Object<'_>, place: &str) -> String {
    let measure = Measure::of(option);
    let index = option.number("index").filter(|index| index.parse::<u64>().is_ok());
    let total = option.number("price").map(str::to_owned).or_else(|| measure.total());
    let mut json = Writer::default();
    json.put_if("index", index).text("id", &context.uuid_of(option.text(&["id"]).as_deref(), place));
    put_words(&mut json, option, &measure);
    json.put("unitPrice", &context.currency.price(&measure.unit_price));
    json.put_if("originalPrice", original_price(context, option));
    json.put_if("subtotalPrice", option.object("subtotalPrice").and_then(|_| option.get("subtotalPrice")));
    json.put("totalPrice", &context.currency.price(total.as_deref().unwrap_or("0")));
    json.finish()
}

/// What items and options have in common.
fn put_words(json: &mut Writer, thing: &Object<'_>, measure: &Measure) {
    json.text("name", &thing.text(&["name"]).unwrap_or_default());
    json.text("externalCode", &thing.text(&["externalCode"]).unwrap_or_default());
    json.text("unit", &measure.unit).text_if("ean", thing.text(&["ean"])).put("quantity", &measure.quantity);
    json.text_if("specialInstructions", thing.text(&["observations"]));
}

/// Kept whole from an order that arrived in this dialect, an amount in any other.
fn original_price(context: &Context<'_>, thing: &Object<'_>) -> Option<String> {
    let whole = thing.object("originalPrice").and_then(|_| thing.get("originalPrice")).map(str::to_owned);
    whole.or_else(|| thing.number("originalPrice").map(|digits| context.currency.price(digits)))
}

/// How much, of what, at which price.
struct Measure {
    unit: String,
    quantity: String,
    unit_price: String,
}

impl Measure {
    fn of(thing: &Object<'_>) -> Self {
        let unit = thing.text(&["unit"]).unwrap_or_default().to_ascii_uppercase();
        let quantity = thing.number("quantity").unwrap_or("1");
        let unit_price = thing.number("unitPrice").unwrap_or("0");
        let as_sent = |unit: &str| Self {
            unit: unit.to_owned(),
            quantity: quantity.to_owned(),
            unit_price: unit_price.to_owned(),
        };
        match unit.as_str() {
            "G" => Self::in_thousands("KG", quantity, unit_price).unwrap_or_else(|| as_sent("UN")),
            "ML" => Self::in_thousands("L", quantity, unit_price).unwrap_or_else(|| as_sent("UN")),
            known if UNITS.contains(&known) => as_sent(known),
            _ => as_sent("UN"),
        }
    }

    /// There are no grams and millilitres: a thousandth of the quantity at a thousand times the price, exactly.
    fn in_thousands(unit: &str, quantity: &str, unit_price: &str) -> Option<Self> {
        let quantity = decimal(quantity)?.checked_mul(Decimal::new(1, 3))?;
        let unit_price = decimal(unit_price)?.checked_mul(Decimal::from(1000))?;
        let quantity = quantity.normalize().to_string();
        Some(Self { unit: unit.to_owned(), quantity, unit_price: unit_price.to_string() })
    }

    fn total(&self) -> Option<String> {
        Some(decimal(&self.quantity)?.checked_mul(decimal(&self.unit_price)?)?.to_string())
    }
}

/// The options' price of one unit: what is stored is that of all. Left out where it cannot be said exactly; it is optional.
fn per_unit(item: &Object<'_>) -> Option<String> {
    let of_all = item.number("optionsPrice")?;
    let quantity = decimal(item.number("quantity")?)?;
    if quantity == Decimal::ONE {
        return Some(of_all.to_owned());
    }
    let of_all = decimal(of_all)?;
    let of_one = of_all.checked_div(quantity)?;
    (of_one.checked_mul(quantity)? == of_all).then(|| of_one.to_string())
}
