#!/usr/bin/env python3
"""Lets the Python POS of `examples/pos-python` serve orders in both dialects, over a line that fails, and looks at what became of them.

    python3 .ci/python_pos.py --binary target/debug/comanda

Between the POS and the platform stands a proxy that refuses, cuts answers off after they were given, repeats pages and lets tokens live for
seconds. The POS is killed once and interrupted once on the way. It fails unless every order was concluded after each step of the
kitchen was done once, every event is in the POS's journal, and nothing is pending. Needs Python 3.9 and nothing else.
"""

import argparse
import http.server
import json
import os
import pathlib
import signal
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from running_platform import Platform

POS = pathlib.Path(__file__).resolve().parent.parent / "examples" / "pos-python" / "pos.py"
PREFIX = "/v4/opendelivery"
TOKEN_LIFE_S = 2
PATIENCE_S = 60
KINDS = ("DELIVERY", "TAKEOUT", "DINE_IN")

# What must be in an order's history, each once; a customer or a waiter does the rest where it is not the POS that does it.
KITCHEN = ["PLC", "CFM", "PRS", "RTP"]
HISTORIES = {
    "merchant": {"DELIVERY": [*KITCHEN, "DSP", "CON"], "TAKEOUT": [*KITCHEN, "CON"], "DINE_IN": [*KITCHEN, "CON"]},
    "open-delivery": {
        "DELIVERY": [*KITCHEN, "DSP", "DLV", "CON"],
        "TAKEOUT": [*KITCHEN, "CLT", "CON"],
        "DINE_IN": [*KITCHEN, "CON"],
    },
}
# The last of the POS's own steps of an order that the platform concludes.
CONCLUDED_BY_PLATFORM = {
    "merchant": {"DELIVERY": "DSP", "TAKEOUT": "RTP", "DINE_IN": "RTP"},
    "open-delivery": {"DINE_IN": "RTP"},
}


class Line(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """The proxy. What goes wrong is decided by counting requests, so that every kind of trouble comes up."""

    daemon_threads = True

    def __init__(self, target):
        super().__init__(("127.0.0.1", 0), Trouble)
        self.target = target
        self.lock = threading.Lock()
        self.requests = 0
        self.last_page = self.old_page = None
        self.faults = dict.fromkeys(("refused", "throttled", "cut", "repeated", "unauthorised", "tokens"), 0)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Whoever asked has gone: the POS is killed on the way."""

    def count(self, fault):
        with self.lock:
            self.faults[fault] += 1


class Trouble(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.handle_one(None)

    def do_POST(self):
        self.handle_one(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def handle_one(self, body):
        line = self.server
        with line.lock:
            line.requests += 1
            number = line.requests
        is_token = self.path.endswith("/oauth/token")
        if number % 11 == 3:
            line.count("refused")
            return self.answer(503, b'{"code":"ServiceUnavailable","message":"planned"}', {"Retry-After": "0"})
        if number % 23 == 8:
            line.count("throttled")
            return self.answer(429, b'{"code":"TooManyRequests","message":"planned"}', {"Retry-After": "0"})
        if number % 29 == 5 and not is_token:
            line.count("unauthorised")
            return self.answer(401, b'{"code":"Unauthorized","message":"planned"}', {})
        is_poll = self.path.endswith("events:polling")
        if is_poll and line.old_page:
            # From before its events were acknowledged, as a slow network may deliver it.
            line.count("repeated")
            page, line.old_page = line.old_page, None
            return self.answer(200, page, {})
        status, answer = self.forward(body)
        if is_poll and status == 200:
            line.last_page = answer
        if self.path.endswith("/acknowledgment"):
            line.old_page, line.last_page = line.last_page, None
        if is_token and status == 200:
            line.count("tokens")
            token = json.loads(answer)
            token.update({name: TOKEN_LIFE_S for name in ("expiresIn", "expires_in") if name in token})
            answer = json.dumps(token).encode()
        if number % 7 == 6:
            # Done over there, and nobody hears of it.
            line.count("cut")
            self.close_connection = True
            return None
        return self.answer(status, answer, {})

    def forward(self, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self.server.target + self.path, data=body, headers=headers, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Pos:
    """The script as a process, and what it prints."""

    def __init__(self, url, dialect, application, merchant, journal, *more):
        command = [sys.executable, str(POS), "--url", url, "--dialect", dialect, "--merchant", merchant]
        command += ["--client-id", application["clientId"], "--journal", journal, "--every", "0.2", *more]
        environment = dict(os.environ, COMANDA_CLIENT_SECRET=application["clientSecret"])
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def printed(self, text):
        return any(text in line for line in self.lines)

    def end(self, number, expected):
        self.process.send_signal(number)
        self.wait(expected)

    def wait(self, expected, patience_s=10):
        try:
            code = self.process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.fail(f"did not end within {patience_s} s")
        self.reader.join()
        if code != expected:
            self.fail(f"ended with {code}, not {expected}")

    def fail(self, why):
        raise SystemExit("\n".join([*self.lines, f"the POS {why}"]))


def eventually(pos, what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            pos.fail(f"was waited for: {what}")
        time.sleep(0.05)


def history(platform, order):
    """The order's events, oldest first, and its state."""
    *events, state = [json.loads(line) for line in platform.run("order", "show", order).splitlines()]
    return events, state["state"]


def conclude(platform, dialect, orders, concluded):
    """The customer's part: what the POS has finished is concluded, once."""
    for kind, order in orders.items():
        last = CONCLUDED_BY_PLATFORM[dialect].get(kind)
        if last and order not in concluded and any(event["code"] == last for event in history(platform, order)[0]):
            platform.update(order, "CONCLUDED")
            concluded.add(order)
    return all(history(platform, order)[1] == "CONCLUDED" for order in orders.values())


def pending(platform, application, merchant):
    """The status of a poll of our own: 204 when everything is acknowledged."""
    base = f"http://{platform.ready['http']}"
    form = urllib.parse.urlencode({"grantType": "client_credentials", **application}).encode()
    with urllib.request.urlopen(f"{base}/authentication/v1.0/oauth/token", data=form) as response:
        token = json.load(response)["accessToken"]
    headers = {"Authorization": f"Bearer {token}", "x-polling-merchants": merchant}
    with urllib.request.urlopen(urllib.request.Request(f"{base}/events/v1.0/events:polling?categories=ALL", headers=headers)) as poll:
        return poll.status, poll.read().decode()


def serve(platform, dialect, application, merchant, journal):
    prefix = PREFIX if dialect == "open-delivery" else ""
    line = Line(f"http://{platform.ready['http']}")
    url = f"http://127.0.0.1:{line.server_port}{prefix}"
    start = lambda *more: Pos(url, dialect, application, merchant, journal, *more)
    orders = {kind: platform.sample(merchant, kind) for kind in KINDS}
    pos = start()
    eventually(pos, "a first order is confirmed", lambda: pos.printed(": confirm"))
    pos.end(signal.SIGKILL, -signal.SIGKILL)
    pos = start()
    eventually(pos, "an order is ready", lambda: pos.printed(": readyToPickup"))
    pos.end(signal.SIGINT, 0)
    pos = start("--orders", str(len(orders)))
    concluded = set()
    eventually(pos, "every order is concluded", lambda: conclude(platform, dialect, orders, concluded))
    pos.wait(0, PATIENCE_S)
    once = start("--once")
    # The line may be down for it: then it says so with 1, and the next one is answered.
    once.process.wait(timeout=PATIENCE_S)

    kept = {row[0] for row in sqlite3.connect(journal).execute("select id from events")}
    for kind, order in orders.items():
        events, state = history(platform, order)
        codes = [event["code"] for event in events]
        if state != "CONCLUDED" or codes != HISTORIES[dialect][kind]:
            pos.fail(f"left a {kind} order with {codes} in {state}")
        # DELIVERED is a word of Open Delivery alone.
        hidden = {"DLV"} if dialect == "merchant" else set()
        missing = [event["code"] for event in events if event["id"] not in kept and event["code"] not in hidden]
        if missing:
            pos.fail(f"has no {missing} of a {kind} order in its journal")
    status, body = pending(platform, application, merchant)
    left = [event["code"] for event in json.loads(body or "[]")]
    if status != 204:
        pos.fail(f"left {left} pending")
    never = [fault for fault, count in line.faults.items() if count == 0]
    if never:
        pos.fail(f"was never troubled by {never}: {line.faults}")
    print(f"{dialect}: {len(orders)} orders concluded over {line.requests} requests, {line.faults}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the comanda executable")
    arguments = parser.parse_args()
    platform = Platform(arguments.binary, COMANDA_OPEN_DELIVERY_PREFIX=PREFIX)
    try:
        applications = {one["clientId"]: one for one in platform.ready["applications"]}
        first, second, *_ = platform.ready["merchants"]
        with tempfile.TemporaryDirectory() as folder:
            # Two applications, each with a merchant of its own, so that neither acknowledges for the other.
            serve(platform, "merchant", applications["dev-pos"], first, f"{folder}/merchant.db")
            serve(platform, "open-delivery", applications["dev-other"], second, f"{folder}/open-delivery.db")
    finally:
        platform.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
