//! A realistic order for trying the platform out, in the native format of the `orders` queue.
//!
//! Used by `order place` and `bench ingest`. Everything personal in it is invented.

use order_model::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// A native `ORDER_PLACED` message for `merchant`, placed at `at`. `order_type` is DELIVERY, TAKEOUT or DINE_IN.
pub fn message(order: Uuid, merchant: &str, order_type: &str, at: Timestamp) -> Value {
    json!({
        "id": Uuid::new_v4().to_string(),
        "type": "ORDER_PLACED",
        "source": "comanda-cli",
        "occurredAt": at.to_string(),
        "order": order_body(order, merchant, order_type, at),
    })
}

fn order_body(order: Uuid, merchant: &str, order_type: &str, at: Timestamp) -> Value {
    let promised = at.plus(std::time::Duration::from_secs(45 * 60)).to_string();
    let mut body = json!({
        "id": order.to_string(),
        "displayId": order.simple().to_string()[..4].to_uppercase(),
        "orderType": order_type,
        "orderTiming": "IMMEDIATE",
        "salesChannel": "IFOOD",
        "category": "FOOD",
        "createdAt": at.to_string(),
        "preparationStartDateTime": at.to_string(),
        "isTest": true,
        "merchant": {"id": merchant, "name": "Cantina Exemplo"},
        "customer": {"id": Uuid::new_v4().to_string(), "name": "Ana Exemplo",
            "phone": {"number": "0800 000 0000", "localizer": "12345678"}},
        "items": [{"index": 1, "id": Uuid::new_v4().to_string(), "name": "Pizza Margherita", "unit": "UN", "quantity": 2,
            "unitPrice": 30.0, "price": 60.0, "optionsPrice": 5.0, "totalPrice": 65.0, "observations": "sem cebola",
            "options": [{"index": 1, "id": Uuid::new_v4().to_string(), "name": "Borda", "unit": "UN", "quantity": 1,
                "unitPrice": 5.0, "price": 5.0}]}],
        "total": {"subTotal": 65.0, "deliveryFee": 7.0, "additionalFees": 0, "benefits": 0, "orderAmount": 72.0},
        "payments": {"prepaid": 0, "pending": 72.0,
            "methods": [{"value": 72.0, "currency": "BRL", "method": "PIX", "type": "OFFLINE", "prepaid": false}]},
    });
    let (key, block) = match order_type {
        "TAKEOUT" => ("takeout", json!({"mode": "DEFAULT", "takeoutDateTime": promised})),
        "DINE_IN" => ("dineIn", json!({"deliveryDateTime": promised})),
        _ => ("delivery", delivery(&promised)),
    };
    body[key] = block;
    body
}

fn delivery(promised: &str) -> Value {
    json!({
        "mode": "DEFAULT", "deliveredBy": "MERCHANT", "deliveryDateTime": promised,
        "deliveryAddress": {"streetName": "Rua A", "streetNumber": "1", "formattedAddress": "Rua A, 1",
            "neighborhood": "Centro", "postalCode": "01000000", "city": "Sao Paulo", "state": "SP", "country": "BR",
            "coordinates": {"latitude": -23.55, "longitude": -46.63}},
    })
}
