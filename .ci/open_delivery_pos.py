"""The Open Delivery document, what it says of answers, and a POS none of whose requests goes unchecked.

For the checks in this folder; `open_delivery_conformance.py` runs them. Needs `jsonschema` and `pyyaml`.
"""

import datetime
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import jsonschema
import yaml

# What any HTTP server must be able to say and the document declares nowhere. Ours are problems like all others.
PERMITTED = {405, 408, 413, 414, 415, 429, 431}
PATIENCE_S = 30

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
        self.operations = {**self.document["paths"], **self.document["x-webhooks"]}
        self.problems = []
        self.checked = 0
        self.event_types = set()

    def check(self, method, template, answer):
        """One answer of the operation that the document calls `template`."""
        self.checked += 1
        at = f"{method} {template} -> {answer.status}"
        operation = self.operations[template].get(method.lower())
        declared = operation["responses"] if operation else {}
        if answer.status in PERMITTED and str(answer.status) not in declared:
            self.check_problem(answer, at)
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

    def check_problem(self, answer, at):
        """An error has the document's shape, also where the document has no such error."""
        if answer.content_type != "application/problem+json":
            self.problems.append(f"{at}: {answer.content_type}, not application/problem+json")
            return
        problem = answer.json()
        self.against({"$ref": "#/components/schemas/Error"}, problem, at)
        if problem.get("status") != answer.status:
            self.problems.append(f"{at}: the body says {problem.get('status')}")

    def check_request(self, method, template, body):
        """One body that we send, or are sent, as the document asks for it."""
        asked = self.operations[template][method.lower()].get("requestBody", {})
        if "$ref" in asked:
            asked = self.components["requestBodies"][asked["$ref"].rsplit("/", 1)[1]]
        if "application/json" in asked.get("content", {}):
            self.against(asked["content"]["application/json"]["schema"], body, f"body of {method} {template}")
        else:
            self.problems.append(f"{method} {template}: the document asks for no JSON")

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
            # 1.3.0 misspells one type there; the type itself is checked with the rest of the event.
            target = mapping.get(kind, "#/components/schemas/Event")
            self.against({"$ref": target}, event, f"event {kind}")

    def types(self):
        return set(self.components["schemas"]["Event"]["properties"]["eventType"]["enum"])

    def missing_types(self):
        return self.types() - self.event_types


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.content_type = (headers.get("content-type") or "").split(";")[0]

    def json(self):
        return json.loads(self.body)


class Pos:
    """An application that speaks Open Delivery, and nothing it does goes unchecked."""

    def __init__(self, base_url, document, merchant_name=None):
        self.base_url, self.document, self.token = base_url, document, None
        self.merchant_name = merchant_name
        self.seen = {}

    def call(self, method, template, body=None, headers=None, query="", **parameters):
        path = template
        for name, value in parameters.items():
            path = path.replace("{" + name + "}", urllib.parse.quote(value, safe=""))
        headers = dict(headers or {})
        data = sent = None
        if isinstance(body, str):
            data = body.encode()
        elif body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
            sent = body
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
        # What was taken must have been what the document has a POS send.
        if sent is not None and answer.status < 300:
            self.document.check_request(method, template, sent)
        return answer

    def announce(self, template, body_bytes, **parameters):
        """POSTs a request that says how long its body is, and sends none of it: what is too long is refused unread."""
        path = template.format(**parameters)
        parts = urllib.parse.urlsplit(self.base_url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        try:
            connection.putrequest("POST", parts.path + path)
            for name, value in (("Authorization", f"Bearer {self.token}"), ("Content-Length", str(body_bytes))):
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        self.document.check("POST", template, answer)
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
            _, events = self.poll(merchants=self.merchant_name)
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
