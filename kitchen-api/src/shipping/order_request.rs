//! An order made outside, as an application sends it (PARTNER_API, section 1.7). Pure.
//!
//! What is needed and wrong is refused at its field; what is not known is ignored, as everywhere in this dialect. Whether the
//! sums of what was sent agree is deliberately not judged: it is the merchant's own order, and weights round as its scales do.
//! Amounts are whole cents, quantities the text they were.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::address::{Address, text_or_number};
use crate::catalog::money::Money;
use crate::catalog::reader::Object;
use crate::catalog::refusal::Refusal;

/// Items of one order, and options of one item.
pub(crate) const ITEMS_MAX: usize = 200;
pub(crate) const OPTIONS_MAX: usize = 100;
/// Ways one order is paid in.
pub(crate) const METHODS_MAX: usize = 10;
/// The longest name, code or remark, in characters.
pub(crate) const NAME_MAX_CHARS: usize = 200;
const ID_MAX_CHARS: usize = 100;
const OBSERVATIONS_MAX_CHARS: usize = 1_000;
/// The longest number people call an order by, in characters.
pub(crate) const DISPLAY_ID_MAX_CHARS: usize = 20;
const WORD_MAX_CHARS: usize = 40;
const PHONE_PART_MAX_CHARS: usize = 20;
/// The longest quantity as it is written.
const QUANTITY_MAX_CHARS: usize = 20;
/// The largest `metadata`, as it is written.
const METADATA_MAX_BYTES: usize = 4 * 1024;
/// The longest time until the goods are ready, in seconds.
pub(crate) const PREPARATION_MAX_S: u32 = 24 * 60 * 60;
/// A UUID as it is written.
const QUOTE_ID_CHARS: usize = 36;

/// An order made outside.
pub(super) struct Wanted {
    pub(super) customer: Customer,
    /// What the customer pays the merchant for the delivery.
    pub(super) merchant_fee: Money,
    pub(super) preparation_s: u32,
    pub(super) quote: String,
    pub(super) address: Address,
    pub(super) items: Vec<Item>,
    pub(super) methods: Vec<Method>,
    pub(super) display_id: Option<String>,
    /// A JSON object as it was written.
    pub(super) metadata: Option<String>,
}

pub(super) struct Customer {
    pub(super) name: String,
    /// Country, area and number, as people write it.
    pub(super) phone: String,
}

/// An item, or an option of one.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) external_code: Option<String>,
    /// Of an option.
    pub(super) group_name: Option<String>,
    pub(super) observations: Option<String>,
    pub(super) unit: String,
    /// A JSON number as it was written.
    pub(super) quantity: String,
    pub(super) unit_price: Money,
    pub(super) price: Money,
    pub(super) options_price: Money,
    pub(super) total_price: Money,
    pub(super) options: Vec<Item>,
}

/// A way it is paid in.
pub(super) struct Method {
    pub(super) method: String,
    pub(super) is_prepaid: bool,
    pub(super) value: Money,
    pub(super) card_brand: Option<String>,
}

/// Reads a body.
///
/// # Errors
/// With the field that is missing or wrong.
pub(super) fn read(body: &[u8]) -> Result<Wanted, Refusal> {
    let order = Object::body(body)?;
    let delivery = required(&order, "delivery")?;
    let items = order.objects("items", ITEMS_MAX)?;
    if items.is_empty() {
        return Err(order.wrong("items", &format!("an array of 1 to {ITEMS_MAX} items")));
    }
    Ok(Wanted {
        customer: customer(&required(&order, "customer")?)?,
        merchant_fee: money(&delivery, "merchantFee")?,
        preparation_s: delivery.number("preparationTime", PREPARATION_MAX_S)?.unwrap_or_default(),
        quote: quote_id(&delivery)?,
        address: Address::read(&required(&delivery, "deliveryAddress")?)?,
        items: items.iter().map(item).collect::<Result<_, _>>()?,
        methods: methods(&required(&order, "payments")?)?,
        display_id: text_or_number(&order, "displayId", DISPLAY_ID_MAX_CHARS)?,
        metadata: metadata(&order)?,
    })
}

fn required<'a>(of: &Object<'a>, name: &str) -> Result<Object<'a>, Refusal> {
    of.object(name)?.ok_or_else(|| of.wrong(name, "an object"))
}

fn money(of: &Object<'_>, name: &str) -> Result<Money, Refusal> {
    of.money(name)?.ok_or_else(|| of.wrong(name, crate::catalog::money::EXPECTED))
}

fn quote_id(delivery: &Object<'_>) -> Result<String, Refusal> {
    let sent = delivery.text("quoteId", QUOTE_ID_CHARS)?.unwrap_or_default().to_ascii_lowercase();
    let is_uuid = sent.len() == QUOTE_ID_CHARS && sent.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_uuid { Ok(sent) } else { Err(delivery.wrong("quoteId", "the id of a quote, a UUID")) }
}

fn customer(sent: &Object<'_>) -> Result<Customer, Refusal> {
    let phone = required(sent, "phone")?;
    let part = |name| text_or_number(&phone, name, PHONE_PART_MAX_CHARS);
    let number = part("number")?.ok_or_else(|| {
        phone.wrong("number", &format!("a telephone number of 1 to {PHONE_PART_MAX_CHARS} characters"))
    })?;
    let country = part("countryCode")?.map(|code| format!("+{}", code.trim_start_matches('+')));
    let parts = [country, part("areaCode")?, Some(number)];
    let phone = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(Customer { name: sent.required_text("name", NAME_MAX_CHARS)?, phone })
}

fn item(sent: &Object<'_>) -> Result<Item, Refusal> {
    let options = sent.objects("options", OPTIONS_MAX)?;
    let options: Vec<Item> = options.iter().map(option).collect::<Result<_, _>>()?;
    let options_price = sent.money("optionsPrice")?.unwrap_or(Money::of_cents(0));
    let total_price = money(sent, "totalPrice")?;
    Ok(Item { options_price, total_price, options, ..priced(sent)? })
}

/// An option of an item has no options itself.
fn option(sent: &Object<'_>) -> Result<Item, Refusal> {
    priced(sent)
}

fn priced(sent: &Object<'_>) -> Result<Item, Refusal> {
    let price = money(sent, "price")?;
    Ok(Item {
        id: sent.required_text("id", ID_MAX_CHARS)?,
        name: sent.required_text("name", NAME_MAX_CHARS)?,
        external_code: text_or_number(sent, "externalCode", ID_MAX_CHARS)?,
        group_name: sent.text("groupName", NAME_MAX_CHARS)?,
        observations: sent.text("observations", OBSERVATIONS_MAX_CHARS)?,
        unit: sent.text("unit", WORD_MAX_CHARS)?.unwrap_or_else(|| "UN".to_owned()),
        quantity: quantity(sent)?,
        unit_price: money(sent, "unitPrice")?,
        price,
        options_price: Money::of_cents(0),
        total_price: price,
        options: Vec::new(),
    })
}

/// A number above 0: a weight has decimals, and stays as it was written.
fn quantity(sent: &Object<'_>) -> Result<String, Refusal> {
    let text = sent.raw("quantity").map(RawValue::get).unwrap_or_default();
    let starts_as_number = text.bytes().next().is_some_and(|first| first.is_ascii_digit());
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_above_zero = mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if starts_as_number && is_above_zero && text.len() <= QUANTITY_MAX_CHARS {
        return Ok(text.to_owned());
    }
    Err(sent.wrong("quantity", &format!("a number above 0 of at most {QUANTITY_MAX_CHARS} characters")))
}

fn methods(payments: &Object<'_>) -> Result<Vec<Method>, Refusal> {
    let methods = payments.objects("methods", METHODS_MAX)?;
    if methods.is_empty() {
        return Err(payments.wrong("methods", &format!("an array of 1 to {METHODS_MAX} ways of paying")));
    }
    methods.iter().map(method).collect()
}

fn method(sent: &Object<'_>) -> Result<Method, Refusal> {
    let method = sent.required_text("method", WORD_MAX_CHARS)?;
    let is_prepaid = match sent.text("type", WORD_MAX_CHARS)?.as_deref() {
        Some("ONLINE") => true,
        Some("OFFLINE") => false,
        Some(_) | None => return Err(sent.wrong("type", "ONLINE (paid already) or OFFLINE (paid on delivery)")),
    };
    let card_brand = sent.object("card")?.map(|card| card.text("brand", WORD_MAX_CHARS)).transpose()?.flatten();
    Ok(Method { method, is_prepaid, value: money(sent, "value")?, card_brand })
}

fn metadata(order: &Object<'_>) -> Result<Option<String>, Refusal> {
    let Some(raw) = order.raw("metadata") else { return Ok(None) };
    let is_object = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()).is_ok();
    if is_object && raw.get().len() <= METADATA_MAX_BYTES {
        return Ok(Some(raw.get().to_owned()));
    }
    Err(order.wrong("metadata", &format!("an object of at most {METADATA_MAX_BYTES} bytes")))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::shipping) fn sample() -> Value {
        json!({
            "customer": { "name": "Ana", "phone": { "type": "CUSTOMER", "countryCode": "55", "areaCode": 11, "number": "999990000" } },
            "delivery": {
                "merchantFee": 7.9, "preparationTime": 600, "quoteId": "57CD1046-2e06-446f-a2dd-18a518212c3c",
                "deliveryAddress": super::super::address::tests::sample(),
            },
            "items": [
                { "id": "i-1", "name": "Pizza", "externalCode": "P1", "quantity": 2, "unitPrice": 30, "price": 60.00,
                  "optionsPrice": 5.5, "totalPrice": 65.5,
                  "options": [{ "id": "o-1", "name": "Borda", "quantity": 1, "unitPrice": 5.5, "price": 5.5 }] },
                { "id": "i-2", "name": "Azeitona", "quantity": 0.25, "unitPrice": 40, "price": 10, "totalPrice": 10, "unit": "KG" },
            ],
            "payments": { "methods": [
                { "method": "CREDIT", "type": "ONLINE", "value": 50, "card": { "brand": "VISA" } },
                { "method": "CASH", "type": "OFFLINE", "value": 33.4 },
            ] },
            "displayId": "A-17",
            "metadata": { "table": 1.50 },
            "isScheduled": false,
        })
    }

    #[test]
    fn the_published_body_is_read_and_the_rest_ignored() {
        let wanted = read(sample().to_string().as_bytes()).ok().unwrap();
        assert_eq!((wanted.customer.name.as_str(), wanted.customer.phone.as_str()), ("Ana", "+55 11 999990000"));
        assert_eq!((wanted.merchant_fee.cents(), wanted.preparation_s), (790, 600));
        assert_eq!(wanted.quote, "57cd1046-2e06-446f-a2dd-18a518212c3c");
        assert_eq!(wanted.items[1].quantity, "0.25");
        assert_eq!(wanted.items[0].total_price.cents(), 6_550);
        assert_eq!(wanted.items[1].options_price.cents(), 0);
        assert_eq!(wanted.methods.iter().map(|method| method.is_prepaid).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_is_needed_and_wrong_is_named() {
        for (pointer, value, field) in [
            ("/customer", json!(null), "customer"),
            ("/customer/name", json!(" "), "customer.name"),
            ("/customer/phone", json!("11"), "customer.phone"),
            ("/customer/phone/number", json!(null), "customer.phone.number"),
            ("/customer/phone/areaCode", json!([]), "customer.phone.areaCode"),
            ("/delivery", json!([]), "delivery"),
            ("/delivery/merchantFee", json!(null), "delivery.merchantFee"),
            ("/delivery/merchantFee", json!(-1), "delivery.merchantFee"),
            ("/delivery/merchantFee", json!("7.90"), "delivery.merchantFee"),
            ("/delivery/preparationTime", json!(1.5), "delivery.preparationTime"),
            ("/delivery/preparationTime", json!(86_401), "delivery.preparationTime"),
            ("/delivery/quoteId", json!(null), "delivery.quoteId"),
            ("/delivery/quoteId", json!("x"), "delivery.quoteId"),
            ("/delivery/deliveryAddress", json!(null), "delivery.deliveryAddress"),
            ("/delivery/deliveryAddress/city", json!(null), "delivery.deliveryAddress.city"),
            (
                "/delivery/deliveryAddress/coordinates/latitude",
                json!(95),
                "delivery.deliveryAddress.coordinates.latitude",
            ),
            ("/items", json!([]), "items"),
            ("/items", json!([{}]), "items[0].totalPrice"),
            ("/items", json!(vec![json!({}); ITEMS_MAX + 1]), "items"),
            ("/items/1/name", json!(null), "items[1].name"),
            ("/items/1/quantity", json!(0), "items[1].quantity"),
            ("/items/1/quantity", json!(-1), "items[1].quantity"),
            ("/items/1/quantity", json!("1"), "items[1].quantity"),
            ("/items/1/price", json!(0.001), "items[1].price"),
            ("/items/0/options/0/unitPrice", json!(null), "items[0].options[0].unitPrice"),
            ("/payments", json!(null), "payments"),
            ("/payments/methods", json!([]), "payments.methods"),
            ("/payments/methods/0/type", json!("LATER"), "payments.methods[0].type"),
            ("/payments/methods/1/value", json!(null), "payments.methods[1].value"),
            ("/payments/methods/0/card", json!(7), "payments.methods[0].card"),
            ("/displayId", json!("x".repeat(21)), "displayId"),
            ("/metadata", json!([]), "metadata"),
            ("/metadata", json!({ "x": "y".repeat(4_096) }), "metadata"),
        ] {
            let mut sent = sample();
            *sent.pointer_mut(pointer).unwrap() = value;
            let refused = read(sent.to_string().as_bytes()).err().map(|refusal| refusal.field);
            assert_eq!(refused, Some(Some(field.to_owned())), "{pointer}");
        }
        for nothing in ["", "[]", "null", "not json"] {
            assert_eq!(read(nothing.as_bytes()).err().and_then(|refusal| refusal.field), None, "{nothing}");
            assert!(read(nothing.as_bytes()).is_err());
        }
    }
}
