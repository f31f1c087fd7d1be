#!/usr/bin/env python3
"""Abuses a running platform in each known way, one after the other, while restaurants poll, and looks at what these notice.

    python3 .ci/abuse.py --binary target/release/comanda [--only idle] [--seconds 5]

For every kind of abuse: phases in which restaurants poll alone, then some in which they poll beside it. Prints their p50 and p99 of both,
how many polls failed, and the memory of the platform. Fails when a poll failed, when p99 more than doubled (and is above a floor below
which a shared machine cannot tell), when memory grew by more than it may, or when an abuse was not answered as it should be. Restaurants and
abusers share the machine with the platform: figures are of all three, ratios of one run count. Needs Python 3.9, `openssl` for the
certificate of HTTP/2, permission for 11,000 open files, and, for steady figures, for real-time scheduling.
"""

import argparse
import asyncio
import contextlib
import functools
import gzip
import json
import logging
import multiprocessing
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from running_platform import Platform

CONNECTIONS = 20
POLLS_PER_SECOND = 200
IDLE_CONNECTIONS = 10_000
SLOW_CONNECTIONS = 500
# Others are busy as well: so many at a time, each with a pause after it, lest the abusers' own work is what is measured.
BUSY_CONNECTIONS = 16
BUSY_PAUSE_S = 0.05
# Phases of each kind; the middle one counts.
ROUNDS = 3
RATIO_MAX = 2.0
GROWTH_MAX_MB = 100
# The promise of 100 MB is kept in cleartext. Encrypted, each connection has a state of its own, 20 KB, and 42 KB where it is HTTP/2, which
# no rest gives back: a guard against more.
# Below it one time slice of a shared machine (4 ms) decides, not the server.
P99_FLOOR_MS = 5.0


@functools.cache
def client_context(protocols):
    # Made once: reading the machine's certificates takes longer than a handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


class Target:
    """Where to go and what to say; passed to other processes."""

    def __init__(self, address, token, merchant, tls):
        host, port = address.rsplit(":", 1)
        self.host, self.port, self.token, self.merchant, self.tls = host, int(port), token, merchant, tls

    async def connect(self, protocols=None):
        context = client_context(tuple(protocols or ["http/1.1"])) if self.tls else None
        return await asyncio.open_connection(self.host, self.port, ssl=context)

    def head(self, method, path, *more):
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {self.token}", *more, "", ""]
        return "\r\n".join(lines).encode()


async def read_answer(reader):
    """Status of an answer whose body is `content-length` long."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
    if length:
        await reader.readexactly(length)
    return int(lines[0].split(" ")[1])


# The restaurants.


async def restaurant(target, number, connection, until, latencies, failures):
    request = target.head("GET", "/events/v1.0/events:polling", f"x-polling-merchants: {target.merchant}")
    interval = CONNECTIONS / POLLS_PER_SECOND
    reader, writer = connection
    due = time.monotonic() + interval * number / CONNECTIONS
    while due < until:
        await asyncio.sleep(max(0, due - time.monotonic()))
        try:
            writer.write(request)
            status = await asyncio.wait_for(read_answer(reader), 10)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            status = 0
        # From when it was due: a client that waits its turn is part of it.
        latencies.append((time.monotonic() - due) * 1000)
        if status not in (200, 204):
            failures.append(status)
            writer.close()
            reader, writer = await target.connect()
        due += interval
    writer.close()


def restaurants(target, seconds, results):
    # Restaurants have machines of their own, too: how long this process waits for a core that the platform is using, a time slice of some
    # milliseconds, is not how long the platform takes.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    async def all_of_them():
        latencies, failures = [], []
        connections = await asyncio.gather(*(target.connect() for _ in range(CONNECTIONS)))
        until = time.monotonic() + seconds
        of = lambda number: restaurant(target, number, connections[number], until, latencies, failures)
        await asyncio.gather(*(of(number) for number in range(CONNECTIONS)))
        latencies.sort()
        at = lambda share: latencies[min(len(latencies) - 1, int(len(latencies) * share))]
        results.put({"polls": len(latencies), "p50": at(0.5), "p99": at(0.99), "failures": len(failures)})

    asyncio.run(all_of_them())


# The abusers. Each counts what came of it, by status; 0 is a connection that was closed.


async def slow_headers(target, seen, ready):
    reader, writer = await target.connect()
    writer.write(b"GET /events/v1.0/events:polling HTTP/1.1\r\nx-slow: ")
    ready()
    while not reader.at_eof():
        writer.write(b"y")
        await drained(writer)
        try:
            await asyncio.wait_for(reader.read(1024), 1)
        except asyncio.TimeoutError:
            continue
    seen(0)
    writer.close()


async def slow_bodies(target, seen, ready):
    reader, writer = await target.connect()
    writer.write(target.head("POST", "/events/v1.0/events/acknowledgment", "content-length: 100000") + b"[")
    ready()
    answer = asyncio.ensure_future(read_answer(reader))
    while not answer.done():
        writer.write(b" ")
        await drained(writer)
        await asyncio.wait([answer], timeout=1)
    seen(await answer)
    writer.close()


async def idle(target, seen, ready):
    reader, writer = await target.connect()
    writer.write(target.head("GET", "/nothing"))
    seen(await read_answer(reader))
    ready()
    # Closed in the end, and then it comes again.
    await reader.read()
    writer.close()


async def post(target, seen, path, body, *headers):
    reader, writer = await target.connect()
    writer.write(target.head("POST", path, *headers, f"content-length: {len(body)}"))
    writer.write(body)
    seen(await read_answer(reader))
    writer.close()


async def giant_bodies(target, seen, ready):
    """Without a length, so that it is read until it is too much."""
    reader, writer = await target.connect()
    writer.write(target.head("POST", "/order/v1.0/orders/x/requestCancellation", "transfer-encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    ready()
    answer = asyncio.ensure_future(read_answer(reader))
    while not answer.done():
        writer.write(chunk)
        await drained(writer)
        await asyncio.sleep(0)
    seen(await answer)
    writer.close()


async def deep_json(target, seen, ready):
    ready()
    path = f"/merchant/v1.0/merchants/{target.merchant}/interruptions"
    await post(target, seen, path, b'{"start":' * 20_000, "content-type: application/json")
    await post(target, seen, path, b"[" * 200_000, "content-type: application/json")


BOMB = gzip.compress(b"[" * 50_000_000)


async def compressed_bombs(target, seen, ready):
    ready()
    headers = ("content-type: application/json", "content-encoding: gzip")
    await post(target, seen, f"/merchant/v1.0/merchants/{target.merchant}/interruptions", BOMB, *headers)


async def million_ids(target, seen, ready):
    """An acknowledgment of a million events: 40 MB, of which the server reads what it must."""
    reader, writer = await target.connect()
    ready()
    ids = b'{"id":"00000000-0000-4000-8000-000000000000"},' * 1000
    head = target.head("POST", "/events/v1.0/events/acknowledgment", "transfer-encoding: chunked")
    writer.write(head + b"1\r\n[\r\n")
    answer = asyncio.ensure_future(read_answer(reader))
    for _ in range(1000):
        writer.write(f"{len(ids):x}\r\n".encode() + ids + b"\r\n")
        await drained(writer)
        await asyncio.sleep(0)
        if answer.done():
            break
    seen(await answer)
    writer.close()


async def slow_readers(target, seen, ready):
    """Asks for large answers and reads nothing of them."""
    receiver = socket.socket()
    receiver.setblocking(False)
    # So that little is on its way, and most of the answers stays with the server.
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(receiver, (target.host, target.port))
    reader, writer = await asyncio.open_connection(sock=receiver)
    writer.transport.pause_reading()
    for _ in range(20):
        writer.write(target.head("GET", "/openapi.json"))
        await asyncio.sleep(0.2)
    ready()
    seen(0)
    await asyncio.sleep(10)
    writer.transport.abort()


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
# :method GET, :scheme https, :path /, :authority localhost
HTTP2_HEADERS = bytes([0x82, 0x87, 0x84, 0x01, 9]) + b"localhost"


async def http2(target, seen, ready, next_frames):
    """Writes frames for as long as it may, or until there are no more."""
    reader, writer = await target.connect(["h2"])
    writer.write(HTTP2_PREFACE)
    ready()
    seen(0)
    ended = asyncio.ensure_future(thrown_away(reader))
    for number in range(100_000):
        writer.write(next_frames(number))
        if number % 50 == 49:
            await drained(writer)
            await asyncio.sleep(0.001)
        if ended.done() or writer.is_closing():
            break
    ended.cancel()
    await asyncio.gather(ended, return_exceptions=True)
    writer.close()


async def thrown_away(reader):
    while await reader.read(65536):
        pass


async def http2_resets(target, seen, ready):
    """Opens requests and takes them back at once, as fast as it may."""

    def opened_and_reset(number):
        stream = 2 * number + 1
        return frame(1, 5, stream, HTTP2_HEADERS) + frame(3, 0, stream, (8).to_bytes(4, "big"))

    await http2(target, seen, ready, opened_and_reset)


async def http2_pings(target, seen, ready):
    await http2(target, seen, ready, lambda number: frame(6, 0, 0, number.to_bytes(8, "big")))


async def idle_http2(target, seen, ready):
    try:
        reader, writer = await target.connect(["h2"])
    except (OSError, ssl.SSLError):
        # There is no room for more of this kind.
        ready()
        return
    writer.write(HTTP2_PREFACE + frame(1, 5, 1, HTTP2_HEADERS))
    # Its settings, and the answer.
    await reader.read(1024)
    seen(0)
    ready()
    while data := await reader.read(1024):
        if data[3:5] == bytes([6, 0]):
            # Alive for as long as it is asked.
            writer.write(frame(6, 1, 0, data[9:17]))
    writer.close()


async def drained(writer):
    try:
        await writer.drain()
    except OSError:
        pass


# Who does it, how many at a time, and what the answers may be.
ABUSES = {
    "slow-headers": (slow_headers, SLOW_CONNECTIONS, {0}),
    "slow-bodies": (slow_bodies, SLOW_CONNECTIONS, {408}),
    "idle": (idle, IDLE_CONNECTIONS, {404}),
    "giant-bodies": (giant_bodies, BUSY_CONNECTIONS, {0, 404, 413}),
    "deep-json": (deep_json, BUSY_CONNECTIONS, {400}),
    "compressed-bombs": (compressed_bombs, BUSY_CONNECTIONS, {400, 415}),
    "million-ids": (million_ids, BUSY_CONNECTIONS, {0, 400, 413}),
    "slow-readers": (slow_readers, SLOW_CONNECTIONS, {0}),
    # Those of the handshakes that these abusers, who have what others leave of the machine, do not finish in time are closed.
    "idle-tls": (idle, IDLE_CONNECTIONS, {0, 404}),
    "idle-http2": (idle_http2, IDLE_CONNECTIONS, {0}),
    "http2-resets": (http2_resets, BUSY_CONNECTIONS, {0}),
    "http2-pings": (http2_pings, BUSY_CONNECTIONS, {0}),
}
OVER_TLS = {"idle-tls", "idle-http2", "http2-resets", "http2-pings"}


def abusers(target, name, is_ready, enough, results):
    # A real abuser has a machine of its own: what its own work takes of these cores must not pass for the platform's. Being nice is not
    # enough: a nice process still ends its time slice of some milliseconds before one that wakes up gets the core.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # Writing to what was closed is the point.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    abuse, count, _ = ABUSES[name]
    statuses, reached = {}, set()

    def seen(status):
        statuses[status] = statuses.get(status, 0) + 1

    async def again_and_again(number, gate):
        while not enough.is_set():
            try:
                async with gate:
                    pass
                await abuse(target, seen, lambda: reached.add(number))
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                seen(0)
            await asyncio.sleep(BUSY_PAUSE_S)

    async def all_of_them():
        gate = asyncio.Semaphore(100)
        tasks = [asyncio.ensure_future(again_and_again(number, gate)) for number in range(count)]
        while not enough.is_set():
            if len(reached) == count:
                is_ready.set()
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())
    results.put(statuses)


# What is measured.


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def poll_for(target, seconds, rounds=1):
    """Medians of some rounds, and failures of all."""
    measured = []
    for _ in range(rounds):
        results = multiprocessing.Queue()
        process = multiprocessing.Process(target=restaurants, args=(target, seconds, results))
        process.start()
        measured.append(results.get(timeout=seconds + 60))
        process.join()
    middle = {name: statistics.median(one[name] for one in measured) for name in ("p50", "p99")}
    return {**middle, **{name: sum(one[name] for one in measured) for name in ("polls", "failures")}}


def trial(name, target, pid, seconds):
    """One kind of abuse; what was found wrong with it."""
    alone = poll_for(target, seconds, ROUNDS)
    before_mb = memory_mb(pid)
    is_ready, enough, results = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Queue()
    process = multiprocessing.Process(target=abusers, args=(target, name, is_ready, enough, results))
    process.start()
    problems = []
    if not is_ready.wait(120):
        problems.append("not all abusers came through")
    beside = poll_for(target, seconds, ROUNDS)
    during_mb = memory_mb(pid)
    # What takes longer than a phase to be refused is waited for.
    time.sleep(max(0, 35 - ROUNDS * seconds) if name == "slow-bodies" else 0)
    enough.set()
    statuses = results.get(timeout=60)
    process.join()
    ratio = beside["p99"] / alone["p99"]
    print(
        f"{name:<17}{alone['p50']:>7.1f}{alone['p99']:>8.1f}{beside['p50']:>10.1f}{beside['p99']:>8.1f}{ratio:>8.2f}"
        f"{during_mb - before_mb:>9.1f}  {statuses}",
        flush=True,
    )
    if alone["failures"] or beside["failures"]:
        problems.append(f"{alone['failures']} and {beside['failures']} of {beside['polls']} polls failed")
    if ratio > RATIO_MAX and beside["p99"] > P99_FLOOR_MS:
        problems.append(f"p99 grew {ratio:.1f} times")
    if during_mb - before_mb >= GROWTH_MAX_MB:
        problems.append(f"memory grew by {during_mb - before_mb:.0f} MB")
    unexpected = set(statuses) - ABUSES[name][2]
    if unexpected or not statuses:
        problems.append(f"answered {statuses}")
    return [f"{name}: {problem}" for problem in problems]


def token(url):
    form = urllib.parse.urlencode({"grantType": "client_credentials", "clientId": "dev-pos", "clientSecret": "dev-pos-secret"})
    context = ssl._create_unverified_context() if url.startswith("https") else None
    with urllib.request.urlopen(f"{url}/authentication/v1.0/oauth/token", data=form.encode(), context=context) as answer:
        return json.load(answer)["accessToken"]


def run(binary, names, seconds, **settings):
    # Restaurants that are there already must not be in the way of 10,000 more.
    platform = Platform(binary, COMANDA_CONNECTIONS_MAX=str(IDLE_CONNECTIONS + 1_000), **settings)
    try:
        tls = "COMANDA_TLS_CERT_FILE" in settings
        url = f"{'https' if tls else 'http'}://{platform.ready['http']}"
        target = Target(platform.ready["http"], token(url), platform.ready["merchants"][0], tls)
        # Until everything is as warm as it gets.
        poll_for(target, seconds, ROUNDS)
        return [problem for name in names for problem in trial(name, target, platform.process.pid, seconds)]
    finally:
        platform.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the comanda executable")
    parser.add_argument("--only", action="append", choices=ABUSES, help="this kind of abuse only")
    parser.add_argument("--seconds", type=int, default=5, help="length of a phase")
    arguments = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    names = arguments.only or list(ABUSES)
    print(f"{'':<17}{'alone':>15}{'beside':>18}")
    print(f"{'':<17}{'p50 ms':>7}{'p99 ms':>8}{'p50 ms':>10}{'p99 ms':>8}{'ratio':>8}{'MB':>9}  answers")
    problems = []
    if in_cleartext := [name for name in names if name not in OVER_TLS]:
        problems += run(arguments.binary, in_cleartext, arguments.seconds)
    if over_tls := [name for name in names if name in OVER_TLS]:
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
            subprocess.run([*command, "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
            settings = {"COMANDA_TLS_CERT_FILE": certificate, "COMANDA_TLS_KEY_FILE": key}
            problems += run(arguments.binary, over_tls, arguments.seconds, **settings)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
