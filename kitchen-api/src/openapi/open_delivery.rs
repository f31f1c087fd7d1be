//! Schemas of what Open Delivery shows and takes, orders apart. The names are those of its own document where it has them.

use utoipa::openapi::{RefOr, Schema, Type};

use super::shapes::{Named, array, array_of, object, one_of, reference, text, texts, typed};
use crate::merchants::shift_list::DAYS;
use crate::open_delivery::{COURIER_EVENTS, Reason, event_type_names};
use crate::pos_menu::{Entity, Reading};

pub(super) fn schemas() -> Vec<Named> {
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let (entities, readings) = (Entity::ALL.map(Entity::name), Reading::ALL.map(Reading::name));
    vec![
        ("TokenRequest", texts(&["grant_type", "client_id", "client_secret"])),
        (
            "TokenResponse",
            object(&[
                ("access_token", text()),
                ("token_type", one_of(&["bearer"])),
                ("expires_in", typed(Type::Integer)),
            ]),
        ),
        ("Version", texts(&["version"])),
        (
            "OrderVersion",
            object(&[("version", text()), ("availableEventsMethods", array_of(one_of(&["POLLING", "WEBHOOK"])))]),
        ),
        ("VersionOrderingApp", object(&[("merchant", reference("Version")), ("order", reference("OrderVersion"))])),
        ("VersionMerchant", texts(&["merchantEndpoint", "ordersWebhook?"])),
        ("EventType", event_type()),
        ("OrderEvent", event(&reasons)),
        ("AckEvents", object(&[("id", text()), ("orderId?", text()), ("eventType?", reference("EventType"))])),
        (
            "OrderConfirmed",
            object(&[
                ("createdAt?", text()),
                ("orderExternalCode?", text()),
                ("reason?", text()),
                ("preparationTime?", typed(Type::Integer)),
            ]),
        ),
        ("OrderDispatched", object(&[("deliveryTrackingInfo?", typed(Type::Object))])),
        (
            "RequestCancelled",
            object(&[
                ("reason?", text()),
                ("code", one_of(&reasons[..Reason::REQUESTABLE])),
                ("mode?", one_of(&["AUTO", "MANUAL"])),
                ("outOfStockItems?", array_of(text())),
                ("invalidItems?", array_of(text())),
            ]),
        ),
        (
            "RequestDenied",
            object(&[("reason?", text()), ("code?", one_of(&["DISH_ALREADY_DONE", "OUT_FOR_DELIVERY"]))]),
        ),
        ("DeliveryConfirmationCode", texts(&["orderId", "deliveryCode"])),
        ("OrderTracking", object(&[("deliveryTrackingInfo", reference("DeliveryTrackingInfo"))])),
        ("DeliveryTrackingInfo", tracking()),
        ("OrderDetails", texts(&["preparationStartDateTime?"])),
        ("TimePeriods", texts(&["startTime", "endTime"])),
        ("Hours", object(&[("dayOfWeek", array_of(one_of(&DAYS))), ("timePeriods", reference("TimePeriods"))])),
        ("ServiceHours", object(&[("weekHours", array("Hours")), ("holidayHours", array("Hours"))])),
        ("Service", object(&[("id", text()), ("serviceType", text()), ("serviceHours", array("ServiceHours"))])),
        (
            "MerchantAvailability",
            object(&[
                ("status", one_of(&["AVAILABLE", "UNAVAILABLE"])),
                ("services", array("Service")),
                ("orderingAppMerchantId", text()),
            ]),
        ),
        ("GetMerchantURL", texts(&["baseURL", "apiKey?"])),
        (
            "MerchantAPIInfo",
            object(&[
                ("getMerchantURL", reference("GetMerchantURL")),
                ("ordersWebhookURL?", text()),
                ("orderingAppMerchantId?", text()),
            ]),
        ),
        ("MerchantStatus", object(&[("lastRead", text()), ("status", one_of(&readings)), ("moreInfo?", text())])),
        (
            "MerchantUpdate",
            object(&[
                ("merchantStatus?", one_of(&["AVAILABLE", "UNAVAILABLE"])),
                ("entityType?", one_of(&entities)),
                ("updatedObjects?", array_of(typed(Type::Object))),
            ]),
        ),
        (
            "Problem",
            object(&[
                ("title", text()),
                ("status", typed(Type::Integer)),
                ("cancellationStatus?", one_of(&["CANCELLED", "CANCELLATION_REQUEST_DENIED"])),
            ]),
        ),
    ]
}

fn tracking() -> RefOr<Schema> {
    let events: Vec<&str> = COURIER_EVENTS.iter().map(|(name, _)| *name).collect();
    object(&[
        ("event?", object(&[("type", one_of(&events)), ("message?", text()), ("datetime?", text())])),
        ("deliveryPerson?", texts(&["id?", "name?", "pictureURL?"])),
        ("vehicle?", object(&[("type?", array_of(text())), ("licencePlate?", text())])),
        ("eta?", typed(Type::Object)),
        ("problem?", typed(Type::Object)),
        ("externalTrackingURL?", text()),
    ])
}

fn event_type() -> RefOr<Schema> {
    let names: Vec<&str> = event_type_names().collect();
    one_of(&names)
}

fn event(reasons: &[&str]) -> RefOr<Schema> {
    let metadata =
        object(&[("clientId?", text()), ("pickupArea?", text()), ("reason?", text()), ("code?", one_of(reasons))]);
    object(&[
        ("eventId", text()),
        ("eventType", reference("EventType")),
        ("orderId", text()),
        ("orderURL", text()),
        ("createdAt", text()),
        ("metadata?", metadata),
    ])
}
