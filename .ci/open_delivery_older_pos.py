"""A POS that was written for Open Delivery 1.3.0, and knows nothing of what came later.

For `open_delivery_conformance.py`. Every answer, every event and every body it sends is held against the 1.3.0 document; what happens
meanwhile in words of later versions must not reach it, polled or shown in an order.
"""

import json
import time
import uuid

from open_delivery_pos import PATIENCE_S, must, now

CLIENT_ID = "pos-of-1.3.0"
# What any version announces that is newer than the document that is read: a list that ends before the document itself.
ANNOUNCED = "1.2.1"


def begin(platform, pos, merchant):
    """An application that the operator calls one of 1.3.0, once that is known."""
    secret = json.loads(platform.run("app", "create", CLIENT_ID))["clientSecret"]
    platform.run("app", "open-delivery", CLIENT_ID, "1.3.0")
    platform.run("app", "grant", CLIENT_ID, merchant)
    must(pos.log_in(CLIENT_ID, "wrong"), 401)
    answer = pos.log_in(CLIENT_ID, secret)
    must(answer, 200)
    pos.token = answer.json()["access_token"]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        # All three changes are announced in order: whoever sees the merchant knows the version.
        if pos.poll(merchants=pos.merchant_name)[0] != 403:
            break
        if time.monotonic() > deadline:
            raise SystemExit("the merchant was never granted")
        time.sleep(0.1)
    versions = pos.call("GET", "/v1/versions/orderingApp").json()
    assert versions["order"]["version"] == ANNOUNCED == versions["merchant"]["version"], versions
    pos.call("GET", "/v1/versions/merchant")
    return secret


def placed(pos, order):
    pos.expect(order, "CREATED")
    return shown(pos, order, "CREATED")


def shown(pos, order, last_event):
    answer = pos.call("GET", "/v1/orders/{orderId}", orderId=order)
    must(answer, 200)
    assert answer.json()["lastEvent"] == last_event, answer.json()["lastEvent"]
    return answer.json()


def serve(platform, pos, newer, merchant, newer_order):
    """Orders to their ends; `newer` is an application of today beside it, `newer_order` one whose values 1.3.0 does not know."""
    confirm = {"createdAt": now(), "orderExternalCode": "7", "reason": "ok", "preparationTime": 20}
    cancel = {"reason": "x", "code": "UNAVAILABLE_ITEM", "mode": "AUTO", "outOfStockItems": [], "invalidItems": []}
    delivery, takeout, indoor, denied, late = (
        platform.sample(merchant, kind) for kind in ("DELIVERY", "TAKEOUT", "DINE_IN", "DELIVERY", "DELIVERY")
    )
    order = newer_order["id"]
    platform.place(newer_order)
    orders = (delivery, takeout, indoor, denied, late, order)
    for one in orders:
        placed(pos, one)
    for one in orders:
        pos.act(one, "confirm", body=confirm)
        pos.expect(one, "CONFIRMED")
        pos.act(one, "confirm", 422, confirm)
        # Somebody else says what 1.3.0 cannot; it sees the order as it knew it.
        newer.act(one, "preparing")
        newer.expect(one, "PREPARING")
        shown(pos, one, "CONFIRMED")
    platform.update(takeout, "RPS")
    newer.expect(takeout, "PREPARATION_REQUESTED")
    platform.update(takeout, "PAA", {"PICKUP_AREA_CODE": "B2"})
    pos.expect(takeout, "PICKUP_AREA_ASSIGNED")
    pos.act(takeout, "readyForPickup")
    pos.expect(takeout, "READY_FOR_PICKUP")
    pos.act(takeout, "readyForPickup", 422)
    newer.act(takeout, "pickedUp")
    newer.expect(takeout, "PICKED_UP")
    pos.expect(takeout, "CONCLUDED")
    shown(pos, takeout, "CONCLUDED")
    # The merchant's own courier.
    where = {"event": {"type": "DELIVERY_ONGOING", "datetime": now()}}
    pos.act(delivery, "dispatch", body={})
    pos.expect(delivery, "DISPATCHED")
    pos.act(delivery, "dispatch", 422)
    pos.act(delivery, "tracking", body={"deliveryTrackingInfo": where})
    pos.act(delivery, "delivered")
    pos.expect(delivery, "DELIVERED")
    pos.expect(delivery, "CONCLUDED")
    refused = pos.act(delivery, "requestCancellation", 422, cancel).json()
    assert refused["cancellationStatus"] == "CANCELLATION_REQUEST_DENIED", refused
    # Cancelled by the merchant at once; by the merchant too late; by the customer, denied and accepted.
    pos.act(indoor, "requestCancellation", body=cancel)
    pos.expect(indoor, "CANCELLED")
    pos.act(late, "dispatch")
    pos.act(late, "requestCancellation", body=cancel)
    pos.expect(late, "CANCELLATION_REQUESTED")
    platform.update(late, "CARF")
    pos.expect(late, "CANCELLATION_REQUEST_DENIED")
    for one, answer, kind in ((denied, "denyCancellation", "CANCELLED_DENIED"), (order, "acceptCancellation", "CANCELLED")):
        platform.update(one, "CCR", {"reason": "x"})
        pos.expect(one, "ORDER_CANCELLATION_REQUEST")
        body = {"reason": "x", "code": "DISH_ALREADY_DONE"} if answer == "denyCancellation" else None
        pos.act(one, answer, 204, body)
        pos.expect(one, kind)
    for one in (str(uuid.uuid4()), "unknown"):
        pos.act(one, "confirm", 404, confirm)
    # All that happened has been polled: nothing newer was in it, and nothing newer is left.
    assert pos.poll(merchants=pos.merchant_name)[0] == 204
