#!/usr/bin/env python3
"""Asks a running platform everything its own OpenAPI documents allow, and much that they do not, with schemathesis.

    python3 .ci/documents.py --binary target/debug/comanda [--seed N] [--document merchant]

starts `comanda dev` with orders in several states, two applications with a merchant each and a third with none, and runs schemathesis
against each document: what is documented must be taken, what is not must be refused, every answer must be one that is documented, a
token must be asked for, and nobody may see what is another's (`.ci/schemathesis/`). Zero failures. The seed is printed: with it a run
repeats. Needs Python 3.10 and, from the Python package index, `schemathesis`.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import uuid

from running_platform import Platform

FOLDER = pathlib.Path(__file__).resolve().parent / "schemathesis"
DOCUMENTS = ("merchant", "open-delivery", "comanda")
# Of one document; then it is ended and that is a failure.
TIME_LIMIT_S = 300
# Orders and disputes of the dictionaries in schemathesis.toml: by merchant, with the updates they have had.
ORDERS = {
    1: {"a001": [], "a002": ["CFM"], "a003": ["CFM", "PRS", "RTP", "DSP"], "a004": ["CAN"]},
    2: {"b001": [], "b002": ["CFM"]},
}
DISPUTED = {"a002": "d001", "b002": "d002"}


def fixed(tail):
    return f"00000000-0000-4000-8000-00000000{tail}"


def token(url, client_id, client_secret):
    form = {"grantType": "client_credentials", "clientId": client_id, "clientSecret": client_secret}
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{url}/authentication/v1.0/oauth/token", data=data, timeout=30) as answer:
        return json.load(answer)["accessToken"]


def application(platform, url, name, merchants):
    """A new application that sees these merchants; its token."""
    secret = json.loads(platform.run("app", "create", name, "--name", name))["clientSecret"]
    if merchants:
        platform.run("app", "grant", name, *merchants)
    return token(url, name, secret)


def prepare(platform):
    """Orders in several states, and disputes of two of them."""
    now = json.loads(platform.run("order", "place"))["orderId"]
    sample = [json.loads(line) for line in platform.run("order", "show", now).splitlines()]
    created_at = sample[0]["createdAt"]
    for merchant, orders in ORDERS.items():
        for tail, updates in orders.items():
            platform.place(placed(fixed(tail), platform.ready["merchants"][merchant - 1], created_at))
            for code in updates:
                platform.update(fixed(tail), code)
            if tail in DISPUTED:
                dispute = {
                    "disputeId": fixed(DISPUTED[tail]),
                    "action": "CANCELLATION",
                    "handshakeType": "AFTER_DELIVERY",
                    "message": "frio",
                    "expiresAt": "2099-01-01T00:00:00.000Z",
                    "timeoutAction": "VOID",
                    "alternatives": [],
                }
                platform.update(fixed(tail), "HSD", dispute)


def placed(order, merchant, created_at):
    body = {
        "id": order,
        "displayId": "1",
        "orderType": "DELIVERY",
        "createdAt": created_at,
        "merchant": {"id": merchant, "name": "Cantina"},
        "items": [{"name": "Pizza", "quantity": 1, "unitPrice": 30.0, "totalPrice": 30.0}],
        "total": {"orderAmount": 30.0},
        "delivery": {"deliveredBy": "MERCHANT", "deliveryDateTime": created_at},
    }
    message = {"id": str(uuid.uuid4()), "type": "ORDER_PLACED", "source": "documents", "occurredAt": created_at}
    return {**message, "order": body}


def ask(document, url, seed, environment, examples):
    """Runs schemathesis against one document; answers whether nothing was found."""
    schemathesis = pathlib.Path(sys.executable).parent / "st"
    command = [str(schemathesis), "--config-file", str(FOLDER / "schemathesis.toml"), "run", f"{url}/openapi/{document}.json"]
    command += ["--seed", str(seed), "--max-examples", str(examples)]
    command += ["--generation-database", "none", "--continue-on-failure", "--no-color", "--warnings", "off"]
    print(f"--- {document}, seed {seed}", flush=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return subprocess.run(command, env=environment, cwd=folder, timeout=TIME_LIMIT_S).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{document}: not done within {TIME_LIMIT_S} s")
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the comanda executable")
    parser.add_argument("--seed", type=int, default=20261121, help="0: a new one (default: always the same)")
    parser.add_argument("--examples", type=int, default=20, help="requests of one operation and kind, at most")
    parser.add_argument("--document", action="append", choices=DOCUMENTS, help="only this one")
    arguments = parser.parse_args()
    seed = arguments.seed or random.randrange(1, 2**32)
    platform = Platform(arguments.binary)
    try:
        url = f"http://{platform.ready['http']}"
        first, second, *_ = platform.ready["merchants"]
        tokens = {
            "first": application(platform, url, "first", [first]),
            "second": application(platform, url, "second", [second]),
        }
        prepare(platform)
        users = [{"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {one}"}]} for name, one in tokens.items()]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"auth": users}, file)
            file.flush()
            environment = dict(
                os.environ,
                COMANDA_URL=url,
                COMANDA_USERS=file.name,
                COMANDA_CHECKS=str(FOLDER / "foreign.py"),
                STRANGER_TOKEN=application(platform, url, "stranger", []),
            )
            documents = arguments.document or DOCUMENTS
            failed = [one for one in documents if not ask(one, url, seed, environment, arguments.examples)]
    finally:
        platform.stop()
    if failed:
        print(f"failed: {', '.join(failed)}; repeat with --seed {seed} --document {failed[0]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
