#!/usr/bin/env python3
"""Holds real answers of a running platform against the Open Delivery documents, 1.7.0 and 1.3.0.

    python3 .ci/open_delivery_conformance.py --binary target/debug/comanda

starts `comanda dev`, places orders of every kind through the queue, walks them through every step as a POS would, and checks
of every answer that the document declares its status for that path (405, 408, 413, 414, 415, 429 and 431, which any HTTP server
must be able to say, are permitted additions in the document's shape of errors), that its content type is the declared one and that
its body is what the schema says; and of every body that we took that the document has a POS send it. Events are polled, and pushed
to a POS on this machine that checks their signatures and serves its own merchant document. In the end every type of event must
have been seen. Then the same as a POS of 1.3.0, against that document. Needs Python 3.9 and, from the Python package index,
`jsonschema` and `pyyaml`.
"""

import argparse
import json
import pathlib
import sys
import time
import urllib.request
import uuid

import open_delivery_older_pos
from open_delivery_pos import PATIENCE_S, Document, Pos, must, now
from open_delivery_software_service import API_KEY, SoftwareService, merchant_document
from running_platform import Platform

DOCUMENTS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "api"
PREFIX = "/v4/opendelivery"
OWN_ID = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824"
CODE = "9876"
# More than a body, an address and the headers of a request may have.
BODY_BYTES = 1_100_000
URI_BYTES = 9_000
HEADER_BYTES = 33_000


def price(value):
    return {"value": value, "currency": "BRL"}


def native(order, merchant, **fields):
    """An order in the iFood-style shape, as bare as it may be but for `fields`."""
    body = {
        "id": order,
        "displayId": "1",
        "createdAt": now(),
        "merchant": {"id": merchant, "name": "Cantina"},
        "items": [{"name": "Pizza", "quantity": 1, "unitPrice": 30.0, "totalPrice": 30.0}],
        "total": {"orderAmount": 30.0},
    }
    body.update(fields)
    return {"id": str(uuid.uuid4()), "type": "ORDER_PLACED", "source": "conformance", "occurredAt": now(), "order": body}


def open_delivery(order, kind, **fields):
    """An order as another ordering application would send it on."""
    item = {
        "id": str(uuid.uuid4()),
        "name": "Pizza",
        "externalCode": "P1",
        "unit": "UN",
        "quantity": 2,
        "unitPrice": price(30.0),
        "optionsPrice": price(2.5),
        "totalPrice": price(65.0),
        "options": [
            {
                "id": str(uuid.uuid4()),
                "name": "Borda",
                "externalCode": "B1",
                "unit": "UN",
                "quantity": 1,
                "unitPrice": price(2.5),
                "totalPrice": price(2.5),
            }
        ],
    }
    sponsor = {"name": "MARKETPLACE", "amount": price(5.0)}
    body = {
        "id": order,
        "type": kind,
        "displayId": "2",
        "createdAt": now(),
        "orderTiming": "INSTANT",
        "preparationStartDateTime": now(),
        "merchant": {"id": OWN_ID, "name": "Cantina"},
        "items": [item],
        "otherFees": [
            {"name": "Entrega", "type": "DELIVERY_FEE", "receivedBy": "LOGISTIC_SERVICES", "price": price(7.0)},
            {"name": "Gorjeta", "type": "TIP", "receivedBy": "MERCHANT", "price": price(1.0)},
        ],
        "discounts": [{"amount": price(5.0), "target": "ITEM", "targetId": item["id"], "sponsorshipValues": [sponsor]}],
        "total": {
            "itemsPrice": price(65.0),
            "otherFees": price(8.0),
            "discount": price(5.0),
            "orderAmount": price(68.0),
        },
        "payments": {
            "prepaid": 0,
            "pending": 68.0,
            "methods": [{"value": 68.0, "currency": "BRL", "type": "PENDING", "method": "CASH", "changeFor": 100.0}],
        },
        "customer": {
            "id": str(uuid.uuid4()),
            "name": "Ana",
            "phone": {"number": "0800", "extension": "1"},
            "ordersCountOnMerchant": 1,
        },
    }
    body.update(fields)
    return body


def compare(document, sent, shown, path="order"):
    """What was sent in this dialect must be in what is shown, value for value."""
    if isinstance(sent, dict):
        for name, value in sent.items():
            if name not in shown:
                document.problems.append(f"{path}.{name} was sent and is not shown")
            else:
                compare(document, value, shown[name], f"{path}.{name}")
    elif isinstance(sent, list):
        if len(sent) != len(shown):
            document.problems.append(f"{path} has {len(shown)} elements, not {len(sent)}")
        for index, (one, other) in enumerate(zip(sent, shown)):
            compare(document, one, other, f"{path}[{index}]")
    elif sent != shown:
        document.problems.append(f"{path} is {shown!r}, not {sent!r}")


def places(platform, merchant):
    """Orders of every kind and of both origins: name -> id."""
    orders = {kind: platform.sample(merchant, kind) for kind in ("DELIVERY", "TAKEOUT", "DINE_IN")}
    new = lambda: str(uuid.uuid4())
    orders.update({name: new() for name in ("bare", "grocery", "marketplace", "od_delivery", "od_takeout", "od_indoor", "coded")})
    takeout = {"takeoutDateTime": now(), "mode": "DEFAULT"}
    platform.place(native(orders["bare"], merchant, orderType="TAKEOUT", takeout=takeout))
    item = {"name": "Queijo", "unit": "G", "quantity": 250, "unitPrice": 0.048, "totalPrice": 12.0, "uniqueId": "u1"}
    platform.place(
        native(orders["grocery"], merchant, orderType="TAKEOUT", category="GROCERY", items=[item], takeout=takeout)
    )
    delivery = {"deliveredBy": "IFOOD", "deliveryDateTime": now(), "deliveryAddress": {"city": "Sao Paulo"}}
    platform.place(native(orders["marketplace"], merchant, orderType="DELIVERY", delivery=delivery))
    delivery = {"deliveredBy": "MERCHANT", "deliveryDateTime": now(), "pickupCode": "1234", "dropCode": CODE}
    delivery["deliveryAddress"] = {"city": "Sao Paulo"}
    platform.place(native(orders["coded"], merchant, orderType="DELIVERY", delivery=delivery))
    address = {
        "country": "BR",
        "state": "SP",
        "city": "Sao Paulo",
        "district": "Centro",
        "street": "Rua A",
        "number": "1",
        "formattedAddress": "Rua A, 1",
        "postalCode": "01000000",
        "coordinates": {"latitude": -23.55, "longitude": -46.63},
    }
    delivery = {"deliveredBy": "MERCHANT", "deliveryAddress": address, "estimatedDeliveryDateTime": now()}
    window = {"scheduledDateTimeStart": now(), "scheduledDateTimeEnd": now()}
    sent = {
        "od_delivery": open_delivery(
            orders["od_delivery"], "DELIVERY", delivery=delivery, orderTiming="SCHEDULED", schedule=window
        ),
        "od_takeout": open_delivery(orders["od_takeout"], "TAKEOUT", takeout=takeout),
        "od_indoor": open_delivery(
            orders["od_indoor"], "INDOOR", indoor={"mode": "PLACE", "indoorDateTime": now(), "place": "12"}
        ),
    }
    for message in sent.values():
        platform.place(message)
    return orders, sent


def conditions(pos, platform, merchant):
    """What is asked before there is any order, and everything that is refused."""
    pos.call("GET", "/v1/versions/orderingApp")
    must(pos.call("GET", "/v1/versions/merchant"), 200)
    must(pos.call("GET", "/v1/events:polling"), 401)
    must(pos.log_in("dev-pos", "wrong"), 401)
    must(pos.call("POST", "/oauth/token", "", {"Content-Type": "application/x-www-form-urlencoded"}), 401)
    must(pos.call("POST", "/oauth/token", {}), 415)
    for application in platform.ready["applications"]:
        if application["clientId"] == "dev-pos":
            answer = pos.log_in(application["clientId"], application["clientSecret"])
            must(answer, 200)
            pos.token = answer.json()["access_token"]
    for named in (merchant, OWN_ID):
        must(pos.call("GET", "/v1/merchant/{id}/status", id=named), 200)
    for unknown in (str(uuid.uuid4()), "unknown"):
        must(pos.call("GET", "/v1/merchant/{id}/status", id=unknown), 404)
        must(pos.call("GET", "/v1/orders/{orderId}", orderId=unknown), 404)
        for action in ("confirm", "preparing", "readyForPickup", "pickedUp", "dispatch", "delivered"):
            pos.act(unknown, action, 404)
        for action in ("requestCancellation", "acceptCancellation", "denyCancellation"):
            pos.act(unknown, action, 404)
        pos.validate(unknown, CODE, 400)
        pos.track(unknown, "PICKUP_ONGOING", 404)
        pos.change(unknown, {"preparationStartDateTime": now()}, 404)
        must(pos.call("GET", "/v1/events:polling", headers={"x-polling-merchants": unknown}), 403)
    must(pos.call("GET", "/v1/events:polling", headers={"x-polling-merchants": ",".join([OWN_ID] * 101)}), 400)
    must(pos.call("GET", "/v1/events:polling", headers={"x-polling-merchants": OWN_ID}), 204)
    must(pos.call("POST", "/v1/events/acknowledgment", [{"id": str(uuid.uuid4())}] * 101), 400)
    must(pos.call("POST", "/v1/events/acknowledgment", "nonsense"), 400)
    beyond_the_document(pos)


def beyond_the_document(pos):
    """What the document declares nowhere, and a server must be able to say: problems like all others."""
    must(pos.call("DELETE", "/v1/events:polling"), 405)
    must(pos.call("GET", "/v1/orders/{orderId}/confirm", orderId=str(uuid.uuid4())), 405)
    must(pos.announce("/v1/orders/{orderId}/confirm", BODY_BYTES, orderId=str(uuid.uuid4())), 413)
    must(pos.call("GET", "/v1/events:polling", query="?eventType=" + "x" * URI_BYTES), 414)
    must(pos.call("POST", "/oauth/token", {}), 415)
    must(pos.call("GET", "/v1/events:polling", headers={"x-filler": "x" * HEADER_BYTES}), 431)


def menu(pos, service, platform, merchant):
    """The POS's document: where it is, how reading it went, and that what changes in it appears."""
    named = "?merchantId=" + OWN_ID
    must(pos.call("GET", "/v1/merchantStatus", query=named), 404)
    where = {"getMerchantURL": {"baseURL": service.base_url, "apiKey": API_KEY}}
    for wrong in ({}, {"getMerchantURL": {"baseURL": "nowhere"}}):
        must(pos.call("PUT", "/v1/merchantOnboarding", wrong, query=named), 400)
    must(pos.call("PUT", "/v1/merchantOnboarding", where, query="?merchantId=unknown"), 404)
    must(pos.call("PUT", "/v1/merchantOnboarding", where, query=named), 201)
    must(pos.call("PUT", "/v1/merchantOnboarding", where, query=named), 204)
    appears(pos, platform, merchant, "Pizzas")
    declared = pos.document.operations["/v1/merchant"]["get"]["responses"]["200"]
    pos.document.against(declared["content"]["application/json"]["schema"], service.merchant, "the POS's own document")
    # Changed over there, and said so.
    service.merchant = merchant_document(OWN_ID, "Massas")
    must(pos.call("POST", "/v1/menuUpdated", query=named), 204)
    appears(pos, platform, merchant, "Massas")
    # The changed part itself, without another look at the document.
    reads = service.reads
    category = dict(service.merchant["categories"][0], name="Bebidas")
    part = {"entityType": "CATEGORY", "updatedObjects": [category]}
    must(pos.call("POST", "/v1/menuUpdated", part, query=named), 204)
    appears(pos, platform, merchant, "Bebidas")
    assert service.reads == reads, "a part needs no reading"
    must(pos.call("POST", "/v1/menuUpdated", {"entityType": "CATEGORY"}, query=named), 400)
    must(pos.call("POST", "/v1/menuUpdated", query="?merchantId=unknown"), 404)
    for status in ("UNAVAILABLE", "AVAILABLE"):
        must(pos.call("POST", "/v1/menuUpdated", {"merchantStatus": status}, query=named), 204)


def appears(pos, platform, merchant, category):
    """Waits until the menu that is stored has this category, and reading it was a success."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = pos.call("GET", "/v1/merchantStatus", query="?merchantId=" + OWN_ID)
        must(answer, 200)
        if answer.json()["status"] == "SUCCESS":
            stored = own(pos, platform, "GET", f"/comanda/v1/merchants/{merchant}/menu")
            if stored["categories"][0]["name"] == category:
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"the category {category} never appeared: {answer.body!r}")
        time.sleep(0.1)


def own(pos, platform, method, path, body=None):
    """An operation of ours, which no document of Open Delivery has."""
    headers = {"Authorization": f"Bearer {pos.token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{platform.ready['http']}{path}", data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def pushed(pos, service, platform, merchant):
    """Events pushed to the POS, whose 204 acknowledges them: none of them is polled."""
    webhook = {"url": service.base_url, "dialect": "OPEN_DELIVERY", "secret": service.secret.decode()}
    app_id = own(pos, platform, "PUT", "/comanda/v1/webhook", webhook)["appId"]
    order = None
    deadline = time.monotonic() + PATIENCE_S
    while order is None or not service.has(order, "CREATED"):
        if time.monotonic() > deadline:
            raise SystemExit("no newEvent arrived")
        # Until every instance knows the webhook an event may pass it by: that one is polled.
        order = platform.sample(merchant, "TAKEOUT")
        until = time.monotonic() + 2
        while time.monotonic() < until and not service.has(order, "CREATED"):
            time.sleep(0.05)
    steps = (("confirm", "CONFIRMED"), ("readyForPickup", "READY_FOR_PICKUP"), ("pickedUp", "CONCLUDED"))
    for action, kind in steps:
        pos.act(order, action, body={"createdAt": now(), "orderExternalCode": "7"} if action == "confirm" else None)
        arrives(service, order, kind)
    arrives(service, order, "PICKED_UP")
    assert service.app_ids == {app_id}, service.app_ids
    pending(pos, order)


def arrives(service, order, kind):
    deadline = time.monotonic() + PATIENCE_S
    while not service.has(order, kind):
        if time.monotonic() > deadline:
            raise SystemExit(f"no newEvent {kind} for {order}: {service.events}")
        time.sleep(0.05)


def pending(pos, order):
    """Waits until nothing of an order is pending: the acknowledgment follows the POS's answer."""
    deadline = time.monotonic() + PATIENCE_S
    while any(event["orderId"] == order for event in pos.poll()[1]):
        if time.monotonic() > deadline:
            raise SystemExit("what the POS took is pending for polls")
        time.sleep(0.1)


def serve(pos, platform, orders):
    """Every order to its end, through every step and every type of event."""
    confirm = {"createdAt": now(), "orderExternalCode": "7", "reason": "ok", "preparationTime": 20}
    for name, order in orders.items():
        pos.act(order, "confirm", body=confirm)
        pos.expect(order, "CONFIRMED")
        pos.act(order, "confirm", 422, confirm)
        if name != "marketplace":
            pos.act(order, "preparing")
            pos.expect(order, "PREPARING")
            pos.act(order, "preparing", 422)
    # Whoever brings it says so: the marketplace, and at the counter nobody.
    for name in ("marketplace", "TAKEOUT", "od_takeout", "DINE_IN"):
        pos.act(orders[name], "delivered", 422)
    dispatched = {"deliveryTrackingInfo": {"event": {"type": "DELIVERY_ONGOING", "datetime": now()}}}
    for name in ("DELIVERY", "od_delivery"):
        pos.act(orders[name], "delivered", 422)
        pos.act(orders[name], "pickedUp", 422)
        pos.act(orders[name], "dispatch", body=dispatched if name == "DELIVERY" else None)
        pos.expect(orders[name], "DISPATCHED")
        pos.act(orders[name], "dispatch", 422)
        pos.act(orders[name], "readyForPickup", 422)
    pos.act(orders["DELIVERY"], "delivered")
    pos.expect(orders["DELIVERY"], "DELIVERED")
    pos.expect(orders["DELIVERY"], "CONCLUDED")
    pos.act(orders["DELIVERY"], "delivered", 422)
    cancel = {"reason": "x", "code": "UNAVAILABLE_ITEM", "mode": "AUTO", "outOfStockItems": [], "invalidItems": []}
    refused = pos.act(orders["DELIVERY"], "requestCancellation", 422, cancel).json()
    assert refused["cancellationStatus"] == "CANCELLATION_REQUEST_DENIED", refused
    # On its way: the marketplace has to agree, and does not.
    pos.act(orders["od_delivery"], "requestCancellation", body=cancel)
    pos.expect(orders["od_delivery"], "CANCELLATION_REQUESTED")
    pos.act(orders["od_delivery"], "requestCancellation", 422, cancel)
    platform.update(orders["od_delivery"], "CARF")
    pos.expect(orders["od_delivery"], "CANCELLATION_REQUEST_DENIED")
    # The customer asks twice; the merchant says no, then yes.
    pos.act(orders["od_delivery"], "denyCancellation", 422, {"reason": "x", "code": "OUT_FOR_DELIVERY"})
    platform.update(orders["od_delivery"], "CCR", {"reason": "x"})
    pos.expect(orders["od_delivery"], "ORDER_CANCELLATION_REQUEST")
    pos.act(orders["od_delivery"], "denyCancellation", 204, {"reason": "x", "code": "OUT_FOR_DELIVERY"})
    pos.expect(orders["od_delivery"], "CANCELLED_DENIED")
    del pos.seen[(orders["od_delivery"], "ORDER_CANCELLATION_REQUEST")]
    platform.update(orders["od_delivery"], "CCR")
    pos.expect(orders["od_delivery"], "ORDER_CANCELLATION_REQUEST")
    pos.act(orders["od_delivery"], "acceptCancellation", 204)
    pos.expect(orders["od_delivery"], "CANCELLED")
    refused = pos.act(orders["od_delivery"], "requestCancellation", 422, cancel).json()
    assert refused["cancellationStatus"] == "CANCELLED", refused
    # Fetched at the counter.
    platform.update(orders["TAKEOUT"], "PAA", {"PICKUP_AREA_CODE": "B2", "PICKUP_AREA_TYPE": "DRIVE_THRU"})
    pos.expect(orders["TAKEOUT"], "PICKUP_AREA_ASSIGNED")
    platform.update(orders["od_takeout"], "RPS")
    pos.expect(orders["od_takeout"], "PREPARATION_REQUESTED")
    for name in ("TAKEOUT", "od_takeout", "bare", "grocery"):
        pos.act(orders[name], "readyForPickup")
        pos.expect(orders[name], "READY_FOR_PICKUP")
        pos.act(orders[name], "readyForPickup", 422)
        pos.act(orders[name], "dispatch", 422)
        pos.act(orders[name], "delivered", 422)
        pos.act(orders[name], "pickedUp")
        pos.expect(orders[name], "PICKED_UP")
        pos.expect(orders[name], "CONCLUDED")
        pos.act(orders[name], "pickedUp", 422)
        pos.act(orders[name], "readyForPickup", 422)
    # The merchant's courier, with the customer's code.
    coded = orders["coded"]
    start = "2033-03-21T06:00:00.000Z"
    pos.change(coded, {"preparationStartDateTime": start})
    pos.change(coded, {"preparationStartDateTime": "soon"}, 400)
    shown = pos.call("GET", "/v1/orders/{orderId}", orderId=coded)
    assert shown.json()["preparationStartDateTime"] == start, shown.body
    assert CODE.encode() not in shown.body, "the customer's code is shown to nobody"
    for kind in ("PICKUP_ONGOING", "ARRIVED_AT_MERCHANT", "ORDER_PICKED", "DELIVERY_ONGOING"):
        pos.track(coded, kind)
    pos.track(coded, "ARRIVED_AT_CUSTOMER", 422)
    pos.track(coded, "LOST", 400)
    pos.validate(coded, CODE, 400)
    pos.act(coded, "dispatch")
    pos.track(coded, "ARRIVED_AT_CUSTOMER")
    pos.validate(coded, None, 400)
    pos.validate(coded, "0000", 400)
    pos.validate(coded, CODE, 200)
    pos.validate(coded, CODE, 200)
    pos.track(coded, "ORDER_DELIVERED")
    pos.act(coded, "delivered")
    pos.expect(coded, "CONCLUDED")
    pos.track(coded, "ORDER_DELIVERED", 422)
    pos.change(coded, {"preparationStartDateTime": now()}, 400)
    # The marketplace's courier.
    pos.act(orders["marketplace"], "readyForPickup")
    pos.act(orders["marketplace"], "readyForPickup", 422)
    pos.track(orders["marketplace"], "PICKUP_ONGOING", 422)
    for action in ("dispatch", "pickedUp", "delivered"):
        pos.act(orders["marketplace"], action, 422)
    for code in ("ADR", "CLT", "DELIVERED", "CON"):
        platform.update(orders["marketplace"], code)
    for kind in ("PICKED_UP", "DELIVERED", "CONCLUDED"):
        pos.expect(orders["marketplace"], kind)
    # At the table.
    for name in ("DINE_IN", "od_indoor"):
        pos.act(orders[name], "readyForPickup")
        pos.act(orders[name], "requestCancellation", 400, {"reason": "x", "code": "NO_SUCH_CODE", "mode": "AUTO"})
        pos.act(orders[name], "requestCancellation", body=cancel)
        pos.expect(orders[name], "CANCELLED")


def filtered(pos, platform, merchant):
    """A filter of types shows what it names and acknowledges the rest."""
    platform.sample(merchant, "TAKEOUT")
    deadline = time.monotonic() + PATIENCE_S
    while not pos.poll("?eventType=CREATED")[1]:
        if time.monotonic() > deadline:
            raise SystemExit("the new order was never shown")
        time.sleep(0.1)
    status, _ = pos.poll("?eventType=CONFIRMED,CANCELLED")
    assert status == 204, status
    assert pos.poll()[0] == 204, "what the filter hid is acknowledged"


def older(platform, base_url, newer, merchant):
    """The same platform, asked by a POS of 1.3.0, against that document."""
    document = Document(DOCUMENTS / "opendelivery-1.3.0.yaml")
    pos = Pos(base_url, document, OWN_ID)
    open_delivery_older_pos.begin(platform, pos, merchant)
    order = str(uuid.uuid4())
    indoor = {"mode": "TERMINAL", "indoorDateTime": now(), "place": "12"}
    values = open_delivery(order, "INDOOR", indoor=indoor, orderTiming="ONDEMAND")
    values["otherFees"][1]["type"] = "MIN_ORDER_FEE"
    values["discounts"][0]["sponsorshipValues"][0]["name"] = "CHAIN"
    open_delivery_older_pos.serve(platform, pos, newer, merchant, values)
    return document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the comanda executable")
    arguments = parser.parse_args()
    document = Document(DOCUMENTS / "opendelivery-1.7.0.yaml")
    documents = [document]
    platform = Platform(arguments.binary, COMANDA_OPEN_DELIVERY_PREFIX=PREFIX, COMANDA_WEBHOOKS_ALLOW_LOOPBACK="true")
    secrets = {one["clientId"]: one["clientSecret"] for one in platform.ready["applications"]}
    service = SoftwareService(document, OWN_ID, secrets["dev-pos"])
    try:
        merchant = platform.ready["merchants"][0]
        platform.run("merchant", "add", merchant, "--name", "Cantina", "--open-delivery-id", OWN_ID)
        base_url = f"http://{platform.ready['http']}{PREFIX}"
        pos = Pos(base_url, document, OWN_ID)
        conditions(pos, platform, merchant)
        orders, sent = places(platform, merchant)
        for order in orders.values():
            pos.expect(order, "CREATED")
        for name, order in orders.items():
            answer = pos.call("GET", "/v1/orders/{orderId}", orderId=order)
            must(answer, 200)
            if name in sent:
                compare(document, sent[name], answer.json())
        serve(pos, platform, orders)
        for order in orders.values():
            must(pos.call("GET", "/v1/orders/{orderId}", orderId=order), 200)
        documents.append(older(platform, base_url, pos, merchant))
        filtered(pos, platform, merchant)
        menu(pos, service, platform, merchant)
        pushed(pos, service, platform, merchant)
    finally:
        platform.stop()
        service.stop()
    for one in documents:
        for kind in sorted(one.missing_types()):
            one.problems.append(f"no event of type {kind} was seen")
    problems = [f"{one.document['info']['version']}: {problem}" for one in documents for problem in one.problems]
    for problem in problems:
        print(problem, file=sys.stderr)
    for one in documents:
        print(f"{one.document['info']['version']}: {one.checked} answers and {len(one.event_types)} types of events")
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
