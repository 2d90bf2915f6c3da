"""The service that the orders of docs/make-it-yours.md call, and what becomes of an order."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATER = {"Prefer": "respond-async"}
WAIT = {"Prefer": "respond-async, wait=2"}


class Stock:
    """It answers each reservation with the same status, and notes the idempotency keys."""

    def __init__(self) -> None:
        self.status = 204
        self.keys: list[str] = []
        stock = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                stock.keys.append(self.headers["Idempotency-Key"].strip('"'))
                self.send_response(stock.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_DELETE = do_PUT  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


class Orders:
    """The orders of one customer, each under a number of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.number = 100000000

    def request(self, method: str, path: str, **fields: str) -> tuple[int, Any]:
        """The status and the document of an answer."""
        body = None
        if method == "PUT":
            line = {"article": "bolt M8", "quantity": 3}
            order = {"state": "placed", "placedAt": "2026-11-20T10:00:00Z", "lines": [line]}
            body, fields = json.dumps(order).encode(), {"Content-Type": "application/json"} | fields
        asked = urllib.request.Request(self._url + path, body, fields, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def put(self, **fields: str) -> tuple[int, Any]:
        """PUT a new order."""
        self.number += 1
        return self.request("PUT", self.path, **fields)

    @property
    def path(self) -> str:
        """The path of the last order."""
        return f"/customers/acme/orders/{self.number}"

    def is_stored(self) -> bool:
        """Whether the last order is."""
        return self.request("GET", self.path)[0] == 200

    def completed(self, accepted: Any) -> Any:
        """The status document of an operation once it has ended."""
        end = time.monotonic() + 60
        while True:
            status, document = self.request("GET", accepted["self"])
            assert status == 200 and time.monotonic() < end, document
            if document["status"] != "pending":
                return document
            time.sleep(0.1)


def told(url: str, stock: Stock) -> None:
    """Check what each end of an update makes of a PUT: now, later and in between."""
    orders = Orders(url)

    stock.status = 204
    for fields in ({}, WAIT):
        status, order = orders.put(**fields)
        assert status == 201 and orders.is_stored(), order
    status, accepted = orders.put(**LATER)
    assert status == 202 and orders.completed(accepted)["status"] == "succeeded", accepted
    assert stock.keys[-1] == accepted["id"] and orders.is_stored()

    stock.status = 409
    keyed = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    for fields in ({}, WAIT, keyed):
        status, problem = orders.put(**fields)
        assert (status, problem["field"]) == (409, "body.lines"), problem
        assert problem["type"].endswith(":refused") and not orders.is_stored()
    status, problem = orders.request("PUT", orders.path, **keyed)
    assert status == 409 and "new key" in problem["detail"], problem
    status, accepted = orders.put(**LATER)
    failed = orders.completed(accepted)
    assert failed["status"] == "failed" and failed["error"]["field"] == "body.lines", failed
    assert not orders.is_stored()

    stock.status = 500
    status, problem = orders.put()
    assert status == 503 and "the stock service says 500" in problem["detail"], problem
    assert problem["type"].endswith(":not-written") and not orders.is_stored()
    keyed = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    status, problem = orders.put(**keyed)
    assert status == 503 and problem["type"].endswith(":outcome-unknown"), problem
    for fields in (WAIT, LATER):
        stock.status, called = 500, len(stock.keys)
        status, accepted = orders.put(**fields)
        assert status == 202 and not orders.is_stored(), accepted
        until_called(stock, called + 2)
        assert orders.request("GET", accepted["self"])[1]["status"] == "pending"
        stock.status = 204
        assert orders.completed(accepted)["status"] == "succeeded" and orders.is_stored()
        # The same key in both functions, and each time.
        assert set(stock.keys[called:]) == {accepted["id"]}


def until_called(stock: Stock, count: int) -> None:
    """Wait until the service was called so often."""
    end = time.monotonic() + 30
    while len(stock.keys) < count:
        assert time.monotonic() < end, stock.keys
        time.sleep(0.05)
