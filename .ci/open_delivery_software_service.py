"""The POS's side of Open Delivery, served on this machine: its merchant document, and `newEvent` with its signature checked.

For `open_delivery_conformance.py`. What is wrong with a request becomes a problem of the document it is held against.
"""

import hashlib
import hmac
import http.server
import json
import threading

API_KEY = "key-of-the-pos"


class SoftwareService:
    """One POS, on a free port; `merchant` is what `GET /v1/merchant` answers."""

    def __init__(self, document, merchant_name, client_secret):
        self.document, self.merchant_name, self.secret = document, merchant_name, client_secret.encode()
        self.merchant = merchant_document(merchant_name, "Pizzas")
        self.reads = 0
        self.app_ids, self.events = set(), []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service.read(self)

            def do_POST(self):
                service.new_event(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}/od"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def read(self, request):
        if request.path != "/od/v1/merchant":
            self.problem(f"GET {request.path}, where the POS serves /od/v1/merchant")
        if request.headers.get("X-API-KEY") != API_KEY:
            self.problem("GET /v1/merchant came without the key of the POS")
        self.reads += 1
        body = json.dumps(self.merchant).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def new_event(self, request):
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        if request.path != "/od/v1/newEvent":
            self.problem(f"POST {request.path}, where the POS serves /od/v1/newEvent")
        if request.headers.get_content_type() != "application/json":
            self.problem(f"newEvent came as {request.headers.get_content_type()}")
        declared = self.document.operations["/v1/newEvent"]["post"]["parameters"]
        for parameter in declared:
            if not request.headers.get(parameter["name"]):
                self.problem(f"newEvent came without {parameter['name']}")
        expected = hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        if request.headers.get("X-App-Signature") != expected:
            self.problem("newEvent: X-App-Signature is not the lowercase hex HMAC-SHA256 of the body under the client secret")
        if request.headers.get("X-App-MerchantId") != self.merchant_name:
            self.problem(f"newEvent: X-App-MerchantId is {request.headers.get('X-App-MerchantId')}")
        event = json.loads(body)
        self.document.check_request("POST", "/v1/newEvent", event)
        self.document.check_events([event])
        self.app_ids.add(request.headers.get("X-App-Id"))
        self.events.append(event)
        request.send_response(204)
        request.end_headers()

    def problem(self, text):
        self.document.problems.append(text)

    def has(self, order, kind):
        return any(event["orderId"] == order and event["eventType"] == kind for event in self.events)


def merchant_document(merchant_name, category):
    """A document as small as the schema allows one with something to sell."""
    price = {"value": 50.1, "originalValue": 50.1, "currency": "BRL"}
    address = {
        "country": "BR", "state": "BR-SP", "city": "Sao Paulo", "district": "Centro", "street": "Rua A", "number": "1",
        "complement": "", "postalCode": "01000000", "latitude": -23.55, "longitude": -46.63,
    }
    image = {"URL": "https://pos.example.com/logo.png", "CRC-32": "0"}
    week = [{"dayOfWeek": ["MONDAY"], "timePeriods": {"startTime": "10:00:00.000Z", "endTime": "22:00:00.000Z"}}]
    area = {"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad006"}
    return {
        "id": merchant_name, "lastUpdate": "2026-11-20T12:00:00Z", "TTL": 600, "status": "AVAILABLE",
        "basicInfo": {
            "name": "Cantina", "document": "22815773000169", "corporateName": "Cantina", "description": "Pizzas",
            "averagePreparationTime": 30, "minOrderValue": {"value": 1, "currency": "BRL"},
            "merchantType": "RESTAURANT", "merchantCategories": ["PIZZA"], "address": address,
            "contactEmails": ["pos@example.com"], "contactPhones": {"commercialNumber": "0800"}, "logoImage": image,
            "createdAt": "2026-11-20T12:00:00Z",
        },
        "services": [
            {"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad001", "status": "AVAILABLE", "serviceType": "DELIVERY",
             "menuId": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad002", "serviceArea": area, "serviceHours": {
                 "id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad007", "weekHours": week}}
        ],
        "menus": [{"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad002", "name": "Menu", "description": "", "externalCode": "m",
                   "categoryId": ["8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad003"]}],
        "categories": [{"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad003", "index": 0, "name": category, "description": "",
                        "externalCode": "c", "status": "AVAILABLE",
                        "itemOfferId": ["8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad004"]}],
        "itemOffers": [{"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad004", "index": 0, "price": price,
                        "itemId": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad005"}],
        "items": [{"id": "8f1b8e5c-6c5f-4a43-a7b5-1f0e6f2ad005", "name": "Pizza", "description": "", "externalCode": "i",
                   "unit": "UN", "status": "AVAILABLE"}],
    }
