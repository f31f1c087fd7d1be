#!/usr/bin/env python3
"""A POS terminal for the Kitchen API, in either dialect, with nothing but Python's standard library.

    python3 pos.py --dialect merchant          # against `comanda dev`, until Ctrl-C
    python3 pos.py --dialect open-delivery --orders 1

Polls, keeps every event on disk, acknowledges it, and moves each order through the kitchen: confirm, prepare, ready, dispatch.
"""

import argparse
import os
import signal
import sys
import threading
import time

from client import Refused, Stopped
from dialects import DIALECTS
from journal import FINAL, Journal

# An order can be unreadable for a moment after its first event.
DETAILS_PATIENCE_S = 600


class Terminal:
    def __init__(self, dialect, journal, merchants, stopping, log):
        self.dialect, self.journal, self.merchants = dialect, journal, merchants
        self.stopping, self.log = stopping, log
        self.unreadable_since = {}

    def round(self):
        """One poll and everything that follows from it. Answers how many events were new; None when there was no answer."""
        try:
            new = self.take_events()
        except ConnectionError as error:
            # Whatever was not acknowledged comes again.
            self.log(f"{error}; the next poll asks again")
            new = None
        for order, code, details in self.journal.due():
            try:
                self.move_on(order, code, details)
            except ConnectionError as error:
                self.log(f"{error}; tried again after the next poll")
        return new

    def take_events(self):
        polled = self.dialect.poll(self.merchants)
        new = self.journal.take([event for _, event in polled])
        for _, order, code, created_at in new:
            self.log(f"{created_at}  {code:<6} order {order}")
        # All of it is on disk now. What came for a second time is acknowledged a second time.
        references = [reference for reference, _ in polled]
        step = self.dialect.ACKNOWLEDGED_AT_ONCE
        for start in range(0, len(references), step):
            self.dialect.acknowledge(references[start : start + step])
        return len(new)

    def move_on(self, order, code, details):
        """Does what the newest event of an order asks for."""
        if code not in FINAL:
            details = details or self.fetch(order)
            if details:
                self.act(order, code, details)
            elif time.monotonic() - self.unreadable_since[order] < DETAILS_PATIENCE_S:
                return
            else:
                self.log(f"order {order}: never readable, given up")
        self.journal.handled(order, code)

    def fetch(self, order):
        """The order's details, kept for good: they do not change. None while it cannot be read."""
        try:
            details = self.dialect.order(order)
        except Refused as refused:
            if refused.status != 404:
                raise
            self.unreadable_since.setdefault(order, time.monotonic())
            return None
        self.journal.keep_details(order, details)
        self.log(f"order {order}: {len(details['items'])} items, {self.dialect.total(details)}")
        return details

    def act(self, order, code, details):
        by_us = self.dialect.is_delivered_by_us(details)
        action = (self.dialect.NEXT if by_us else self.dialect.NEXT_AT_THE_COUNTER).get(code)
        if action is None:
            return
        try:
            self.dialect.act(order, action)
            self.log(f"order {order}: {action}")
        except Refused as refused:
            if refused.status in (401, 403):
                raise
            # Somebody else was faster, or the order has ended: events will tell.
            self.log(f"order {order}: {action} refused, {refused}")

    def run(self, every_s, orders=None):
        """Polls until stopped, or until `orders` orders have reached their end."""
        while not self.stopping.is_set() and (orders is None or self.journal.ended() < orders):
            started = time.monotonic()
            if self.round() and orders:
                # In a hurry: what we did has already become an event.
                continue
            self.stopping.wait(max(0, every_s - (time.monotonic() - started)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=DIALECTS, default="merchant")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="base URL; with Open Delivery's prefix if there is one")
    parser.add_argument("--client-id", default="dev-pos")
    parser.add_argument("--merchant", action="append", default=[], help="merchant to poll for; without any, all of them")
    parser.add_argument("--every", type=float, default=30, metavar="SECONDS", help="time between polls (default: 30)")
    parser.add_argument("--journal", default=":memory:", metavar="FILE", help="where events are kept; in memory by default")
    parser.add_argument("--once", action="store_true", help="poll once, do what follows, and end")
    parser.add_argument("--orders", type=int, metavar="N", help="end when N orders of the journal are concluded or cancelled")
    return parser.parse_args()


def main():
    options = arguments()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    log = lambda line: print(line, flush=True)
    # Secrets come from the environment: a command line can be read by others.
    secret = os.environ.get("COMANDA_CLIENT_SECRET", "dev-pos-secret")
    dialect = DIALECTS[options.dialect](options.url, options.client_id, secret, stopping=stopping, log=log)
    journal = Journal(options.journal)
    terminal = Terminal(dialect, journal, options.merchant, stopping, log)
    answered = True
    try:
        if options.once:
            answered = terminal.round() is not None
        else:
            terminal.run(options.every, options.orders)
    except Stopped:
        pass
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    finally:
        ended = journal.ended()
        journal.close()
    log(f"ended; {ended} orders concluded or cancelled")
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main())
