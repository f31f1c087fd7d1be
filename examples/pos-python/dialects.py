"""The two languages a POS can speak to the Kitchen API. Both give the terminal the same events and the same actions.

An event here is `(id, order, code, created_at)` with the Merchant API's codes, and an action is one of the Merchant API's
names; what differs is paths, names and bodies.
"""

import datetime
import urllib.parse
import uuid

from client import Client

# One action has one key however often it is tried, also after a restart: repeats of it do nothing more.
KEYS = uuid.UUID("6b1f2f8e-3f0c-4d0e-8f4f-0c8a9a3c5b11")


def idempotency_key(order, action):
    return str(uuid.uuid5(KEYS, f"{order}/{action}"))


class MerchantApi:
    """The iFood-style Merchant API."""

    ACKNOWLEDGED_AT_ONCE = 2000
    # After an event, what the kitchen does next: for an order that our own courier takes, and for all others.
    NEXT = {"PLC": "confirm", "CFM": "startPreparation", "PRS": "readyToPickup", "RTP": "dispatch"}
    # Nobody dispatches what is fetched or eaten here; its last step is readyToPickup, and the platform concludes it.
    NEXT_AT_THE_COUNTER = {**NEXT, "RTP": None}

    def __init__(self, base_url, client_id, client_secret, **options):
        form = {"grantType": "client_credentials", "clientId": client_id, "clientSecret": client_secret}
        read = lambda answer: (answer["accessToken"], answer["expiresIn"])
        self.client = Client(base_url, "/authentication/v1.0/oauth/token", form, read, **options)

    def poll(self, merchants):
        headers = {"x-polling-merchants": ",".join(merchants)} if merchants else {}
        _, events = self.client.call("GET", "/events/v1.0/events:polling", headers=headers)
        return [
            ({"id": event["id"]}, (event["id"], event["orderId"], event["code"], event["createdAt"]))
            for event in events or []
        ]

    def acknowledge(self, references):
        """Only 202 means that they are gone; anything else raises, and they come again."""
        status, _ = self.client.call("POST", "/events/v1.0/events/acknowledgment", references)
        if status != 202:
            raise ConnectionError(f"acknowledgment: {status}")

    def order(self, order):
        return self.client.call("GET", f"/order/v1.0/orders/{quoted(order)}")[1]

    def act(self, order, action):
        headers = {"Idempotency-Key": idempotency_key(order, action)}
        self.client.call("POST", f"/order/v1.0/orders/{quoted(order)}/{action}", headers=headers)

    def is_delivered_by_us(self, details):
        return details["orderType"] == "DELIVERY" and details["delivery"].get("deliveredBy") == "MERCHANT"

    def total(self, details):
        return details["total"]["orderAmount"]


class OpenDelivery:
    """Open Delivery 1.7.0, with the platform as ordering application."""

    ACKNOWLEDGED_AT_ONCE = 100
    NEXT = {**MerchantApi.NEXT, "DSP": "delivered"}
    NEXT_AT_THE_COUNTER = {**MerchantApi.NEXT, "RTP": "pickedUp"}
    PATHS = {"startPreparation": "preparing", "readyToPickup": "readyForPickup"}
    # The terminal goes by codes; types it has no use for keep their own name.
    CODES = {
        "CREATED": "PLC",
        "CONFIRMED": "CFM",
        "PREPARING": "PRS",
        "READY_FOR_PICKUP": "RTP",
        "DISPATCHED": "DSP",
        "CONCLUDED": "CON",
        "CANCELLED": "CAN",
    }

    def __init__(self, base_url, client_id, client_secret, **options):
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        # The document leaves `expires_in` optional.
        read = lambda answer: (answer["access_token"], answer.get("expires_in", 3600))
        self.client = Client(base_url, "/oauth/token", form, read, **options)

    def poll(self, merchants):
        headers = {"x-polling-merchants": ",".join(merchants)} if merchants else {}
        _, events = self.client.call("GET", "/v1/events:polling", headers=headers)
        polled = []
        for event in events or []:
            kind = event["eventType"]
            reference = {"id": event["eventId"], "orderId": event["orderId"], "eventType": kind}
            code = self.CODES.get(kind, kind)
            polled.append((reference, (event["eventId"], event["orderId"], code, event["createdAt"])))
        return polled

    def acknowledge(self, references):
        status, _ = self.client.call("POST", "/v1/events/acknowledgment", references)
        if status != 202:
            raise ConnectionError(f"acknowledgment: {status}")

    def order(self, order):
        return self.client.call("GET", f"/v1/orders/{quoted(order)}")[1]

    def act(self, order, action):
        headers = {"Idempotency-Key": idempotency_key(order, action)}
        body = None
        if action == "confirm":
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
            body = {"createdAt": now.replace("+00:00", "Z"), "orderExternalCode": order[:8], "preparationTime": 20}
        path = self.PATHS.get(action, action)
        self.client.call("POST", f"/v1/orders/{quoted(order)}/{path}", body, headers)

    def is_delivered_by_us(self, details):
        return details["type"] == "DELIVERY" and details["delivery"].get("deliveredBy") == "MERCHANT"

    def total(self, details):
        return details["total"]["orderAmount"]["value"]


def quoted(order):
    return urllib.parse.quote(order, safe="")


DIALECTS = {"merchant": MerchantApi, "open-delivery": OpenDelivery}
