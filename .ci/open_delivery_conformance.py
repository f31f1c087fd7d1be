#!/usr/bin/env python3
"""Holds real answers of a running platform against the Open Delivery 1.7.0 document.

    python3 .ci/open_delivery_conformance.py --binary target/debug/comanda

starts `comanda dev`, places orders of every kind through the queue, walks them through every step as a POS would, and checks
of every answer that the document declares its status for that path (405, 413, 415 and 429 are permitted additions), that
its content type is the declared one and that its body is what the schema says. In the end every type of event must have
been seen. Needs Python 3.9 and, from the Python package index, `jsonschema` and `pyyaml`.
"""

import argparse
import datetime
import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jsonschema
import yaml
from running_platform import Platform

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs" / "api" / "opendelivery-1.7.0.yaml"
PERMITTED = {405, 413, 415, 429}
PREFIX = "/v4/opendelivery"
OWN_ID = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824"
PATIENCE_S = 30
CODE = "9876"

formats = jsonschema.FormatChecker(formats=())


@formats.checks("uuid", raises=ValueError)
@formats.checks("UUID", raises=ValueError)
def is_uuid(value):
    return not isinstance(value, str) or str(uuid.UUID(value)) == value.lower()


@formats.checks("date-time", raises=ValueError)
def is_instant(value):
    if not isinstance(value, str):
        return True
    shaped = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    return bool(shaped) and bool(datetime.datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S"))


@formats.checks("time")
def is_time(value):
    return not isinstance(value, str) or bool(
        re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    )


@formats.checks("date")
def is_date(value):
    return not isinstance(value, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))


@formats.checks("uri")
@formats.checks("URI")
def is_uri(value):
    if not isinstance(value, str):
        return True
    parts = urllib.parse.urlsplit(value)
    return bool(parts.scheme and parts.netloc)


class Document:
    """The published document, and what was found against it."""

    def __init__(self, path):
        self.document = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.components = self.document["components"]
        self.problems = []
        self.checked = 0
        self.event_types = set()

    def check(self, method, template, answer):
        """One answer of the operation that the document calls `template`."""
        self.checked += 1
        at = f"{method} {template} -> {answer.status}"
        declared = self.document["paths"][template][method.lower()]["responses"]
        if answer.status in PERMITTED and str(answer.status) not in declared:
            self.against({"$ref": "#/components/schemas/Error"}, answer.json(), at)
            return
        response = declared.get(str(answer.status))
        if response is None:
            self.problems.append(f"{at}: not declared")
            return
        if "$ref" in response:
            response = self.components["responses"][response["$ref"].rsplit("/", 1)[1]]
        content = response.get("content")
        if not content:
            if answer.body:
                self.problems.append(f"{at}: a body where none is declared: {answer.body[:200]!r}")
            return
        if answer.content_type not in content:
            self.problems.append(f"{at}: {answer.content_type}, not {list(content)}")
            return
        self.against(content[answer.content_type]["schema"], answer.json(), at)

    def against(self, schema, value, at):
        whole = {"allOf": [schema], "components": self.components}
        validator = jsonschema.Draft7Validator(whole, format_checker=formats)
        for error in validator.iter_errors(value):
            self.problems.append(f"{at}: {error.json_path}: {error.message[:300]}")

    def check_events(self, events):
        """The schema of an event goes by its type."""
        mapping = self.components["schemas"]["Event"]["discriminator"]["mapping"]
        for event in events:
            kind = event.get("eventType")
            self.event_types.add(kind)
            target = mapping.get(kind)
            if target is None:
                self.problems.append(f"event of type {kind}: there is no such type")
            else:
                self.against({"$ref": target}, event, f"event {kind}")

    def missing_types(self):
        return set(self.components["schemas"]["Event"]["discriminator"]["mapping"]) - self.event_types


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.content_type = (headers.get("content-type") or "").split(";")[0]

    def json(self):
        return json.loads(self.body)


class Pos:
    """An application that speaks Open Delivery, and nothing it does goes unchecked."""

    def __init__(self, base_url, document):
        self.base_url, self.document, self.token = base_url, document, None
        self.pending = []
        self.seen = {}

    def call(self, method, template, body=None, headers=None, query="", **parameters):
        path = template
        for name, value in parameters.items():
            path = path.replace("{" + name + "}", urllib.parse.quote(value, safe=""))
        headers = dict(headers or {})
        data = None
        if isinstance(body, str):
            data = body.encode()
        elif body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        request = urllib.request.Request(self.base_url + path + query, data=data, headers=headers, method=method)
        if method == "POST" and data is None:
            request.data = b""
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, error.headers, error.read())
        self.document.check(method, template, answer)
        return answer

    def log_in(self, client_id, client_secret):
        form = urllib.parse.urlencode(
            {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.call("POST", "/oauth/token", form, headers)

    def poll(self, query="", merchants=None):
        headers = {"x-polling-merchants": merchants} if merchants else {}
        answer = self.call("GET", "/v1/events:polling", headers=headers, query=query)
        events = answer.json() if answer.status == 200 else []
        self.document.check_events(events)
        return answer.status, events

    def expect(self, order, kind):
        """Polls and acknowledges until an event of this type came for this order."""
        deadline = time.monotonic() + PATIENCE_S
        while (order, kind) not in self.seen:
            if time.monotonic() > deadline:
                raise SystemExit(f"no {kind} for {order}; seen: {sorted(k for o, k in self.seen if o == order)}")
            _, events = self.poll(merchants=OWN_ID)
            for event in events:
                self.seen[(event["orderId"], event["eventType"])] = event
            for start in range(0, len(events), 100):
                items = [
                    {"id": event["eventId"], "orderId": event["orderId"], "eventType": event["eventType"]}
                    for event in events[start : start + 100]
                ]
                must(self.call("POST", "/v1/events/acknowledgment", items), 202)
            if not events:
                time.sleep(0.1)
        return self.seen[(order, kind)]

    def validate(self, order, code, status):
        query = "?" + urllib.parse.urlencode({"deliveryCode": code}) if code is not None else ""
        answer = self.call("POST", "/v1/orders/{orderId}/validateCode", query=query, orderId=order)
        must(answer, status)
        return answer

    def change(self, order, body, status=200):
        must(self.call("PATCH", "/v1/orders/{orderId}/details", body, orderId=order), status)

    def track(self, order, kind, status=202):
        info = {
            "event": {"type": kind, "datetime": now()},
            "vehicle": {"type": ["MOTORBIKE_BOX"]},
            "deliveryPerson": {"id": "7", "name": "Rui"},
            "eta": {"deliveryEtaInMinutes": 10},
        }
        self.act(order, "tracking", status, {"deliveryTrackingInfo": info})

    def act(self, order, action, status=202, body=None):
        answer = self.call("POST", "/v1/orders/{orderId}/" + action, body, orderId=order)
        must(answer, status)
        return answer


def must(answer, status):
    if answer.status != status:
        raise SystemExit(f"expected {status}, got {answer.status}: {answer.body[:500]!r}")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


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
    dispatched = {"deliveryTrackingInfo": {"event": {"type": "DELIVERY_ONGOING", "datetime": now()}}}
    for name in ("DELIVERY", "od_delivery"):
        pos.act(orders[name], "delivered", 422)
        pos.act(orders[name], "pickedUp", 422)
        pos.act(orders[name], "dispatch", body=dispatched if name == "DELIVERY" else None)
        pos.expect(orders[name], "DISPATCHED")
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
        pos.act(orders[name], "dispatch", 422)
        pos.act(orders[name], "pickedUp")
        pos.expect(orders[name], "PICKED_UP")
        pos.expect(orders[name], "CONCLUDED")
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
    pos.track(orders["marketplace"], "PICKUP_ONGOING", 422)
    pos.act(orders["marketplace"], "dispatch", 422)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the comanda executable")
    parser.add_argument("--document", type=pathlib.Path, default=DOCUMENT, help="the OpenAPI document to check against")
    arguments = parser.parse_args()
    document = Document(arguments.document)
    platform = Platform(arguments.binary, COMANDA_OPEN_DELIVERY_PREFIX=PREFIX)
    try:
        merchant = platform.ready["merchants"][0]
        platform.run("merchant", "add", merchant, "--name", "Cantina", "--open-delivery-id", OWN_ID)
        pos = Pos(f"http://{platform.ready['http']}{PREFIX}", document)
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
        filtered(pos, platform, merchant)
    finally:
        platform.stop()
    for kind in sorted(document.missing_types()):
        document.problems.append(f"no event of type {kind} was seen")
    for problem in document.problems:
        print(problem, file=sys.stderr)
    print(f"{document.checked} answers and {len(document.event_types)} types of events, {len(document.problems)} problems")
    return 1 if document.problems else 0


if __name__ == "__main__":
    sys.exit(main())
