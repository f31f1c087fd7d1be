"""HTTP to the Kitchen API: one application's token, renewed before it ends, and requests repeated until they are answered.

Used by `dialects`. What may be repeated is decided here alone: no answer, 429 and 5xx are; every other status is an answer.
"""

import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 10
# After so many, the terminal goes back to polling, which is also its heartbeat, and tries again after the next poll.
ATTEMPTS = 3
# Pauses between repetitions double from the first to the last of these, and vary by half so that terminals spread.
PAUSE_FIRST_S, PAUSE_LAST_S = 0.5, 30
# Renewed when this much of a token's life is over.
TOKEN_USED = 0.9


class Stopped(Exception):
    """The terminal was told to end while it waited."""


class Refused(Exception):
    """An answer that no repetition would change."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {message_in(body)}")
        self.status = status


def message_in(body):
    """What an error says, in either dialect's envelope."""
    try:
        error = json.loads(body)
        return error.get("message") or error.get("title") or error["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return body[:200].decode(errors="replace")


def pause_s(attempt, retry_after):
    """How long to wait before repetition `attempt`, from 0: what the server asks for, or our own."""
    if retry_after and retry_after.isdigit():
        return int(retry_after) + random.random() / 2
    longest = min(PAUSE_LAST_S, PAUSE_FIRST_S * 2**attempt)
    return longest * random.uniform(0.5, 1)


class Client:
    """Requests of one application; `stopping` ends every wait."""

    def __init__(self, base_url, token_path, token_form, read_token, stopping=None, log=print):
        self.base_url = base_url.rstrip("/")
        self.token_path, self.token_form, self.read_token = token_path, token_form, read_token
        self.stopping = stopping or threading.Event()
        self.log = log
        self.token, self.renew_at = None, 0.0

    def call(self, method, path, body=None, headers=None):
        """Status and JSON of the answer (None without a body).

        Raises Refused for 4xx, Stopped, and ConnectionError when all attempts are used up.
        """
        data = b"" if method == "POST" else None
        headers = dict(headers or {})
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        renewed = False
        attempt = 0
        while attempt < ATTEMPTS:
            headers["Authorization"] = f"Bearer {self._token()}"
            status, answer, retry_after = self._send(method, path, data, headers)
            if status == 401 and not renewed:
                # Revoked or ended early: a new one, once. A second 401 is an answer.
                self.token, renewed = None, True
                continue
            if status and status != 429 and status < 500:
                if status >= 400:
                    raise Refused(status, answer)
                return status, json.loads(answer) if answer else None
            attempt += 1
            if attempt < ATTEMPTS:
                self._wait(f"{method} {path}", status, attempt - 1, retry_after)
        raise ConnectionError(f"{method} {path}: no answer in {ATTEMPTS} attempts")

    def _token(self):
        attempt = 0
        while self.token is None or time.monotonic() >= self.renew_at:
            form = urllib.parse.urlencode(self.token_form).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            asked_at = time.monotonic()
            status, answer, retry_after = self._send("POST", self.token_path, form, headers)
            if status == 200:
                self.token, expires_in_s = self.read_token(json.loads(answer))
                self.renew_at = asked_at + expires_in_s * TOKEN_USED
            elif status and status != 429 and status < 500:
                raise Refused(status, answer)
            else:
                self._wait("the token", status, attempt, retry_after)
                attempt += 1
        return self.token

    def _send(self, method, path, data, headers):
        """Status, body and Retry-After; status 0 when there was no answer, or half of one."""
        if self.stopping.is_set():
            raise Stopped
        request = urllib.request.Request(self.base_url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return response.status, response.read(), None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers.get("Retry-After")
        except (OSError, http.client.HTTPException):
            return 0, b"", None

    def _wait(self, what, status, attempt, retry_after):
        wait_s = pause_s(attempt, retry_after)
        self.log(f"{what}: {status or 'no answer'}, again in {wait_s:.1f} s")
        if self.stopping.wait(wait_s):
            raise Stopped
