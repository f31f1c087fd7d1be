"""What the terminal must not forget, in one SQLite file: events, orders and the step each order waits for.

An event is acknowledged only after `take` has committed it, so a terminal that ends at any point loses nothing: what was
not committed comes again at the next poll, and what comes twice is known by its id.
"""

import json
import sqlite3

FINAL = ("CON", "CAN")
# The events that move an order through the kitchen. All others are kept, acknowledged and otherwise ignored.
STEPS = ("PLC", "CFM", "PRS", "RTP", "DSP") + FINAL

TABLES = """
create table if not exists events (id text primary key, order_id text not null, code text not null, created_at text not null);
create table if not exists orders (id text primary key, details text, at text not null default '', next text);
"""


class Journal:
    def __init__(self, path):
        self.database = sqlite3.connect(path)
        # The disk has it before we say so.
        self.database.execute("pragma synchronous = full")
        self.database.executescript(TABLES)

    def take(self, events):
        """Keeps events and answers with those not known before, oldest first."""
        new = []
        with self.database:
            for event in sorted(events, key=lambda event: event[3]):
                known = self.database.execute("insert or ignore into events values (?, ?, ?, ?)", event)
                if known.rowcount:
                    self.database.execute("insert or ignore into orders (id) values (?)", (event[1],))
                    new.append(event)
                    if event[2] in STEPS:
                        self._advance(*event)
        return new

    def _advance(self, _, order, code, created_at):
        """The newest event says what comes next: the kitchen follows events, not its own calls."""
        newer = "update orders set at = ?, next = ? where id = ? and at <= ?"
        self.database.execute(newer, (created_at, code, order, created_at))

    def due(self):
        """Orders whose newest event nothing was done about: (order, its code, details or None)."""
        rows = self.database.execute("select id, next, details from orders where next is not null order by at")
        return [(order, code, details and json.loads(details)) for order, code, details in rows.fetchall()]

    def keep_details(self, order, details):
        with self.database:
            self.database.execute("update orders set details = ? where id = ?", (json.dumps(details), order))

    def handled(self, order, code):
        """What `code` asked for is done, unless a newer event came meanwhile."""
        with self.database:
            self.database.execute("update orders set next = null where id = ? and next = ?", (order, code))

    def ended(self):
        """How many orders have reached their end."""
        marks = ",".join("?" * len(FINAL))
        count = f"select count(distinct order_id) from events where code in ({marks})"
        return self.database.execute(count, FINAL).fetchone()[0]

    def close(self):
        self.database.close()
