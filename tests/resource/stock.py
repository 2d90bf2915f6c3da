"""The service that the orders of docs/make-it-yours.md call, and what its answers make of them."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.deployed.client import Answer, Api

JSON = {"Content-Type": "application/json"}
LATER = {"Prefer": "respond-async"}
ORDER = {
    "state": "placed",
    "placedAt": "2026-11-20T10:00:00Z",
    "lines": [{"article": "bolt M8", "quantity": 3}],
}


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

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Orders:
    """The orders of one customer, each under a number of its own."""

    def __init__(self, url: str) -> None:
        self._api = Api(url)
        self._number = 100000000

    def put(self, **fields: str) -> Answer:
        """PUT a new order."""
        self._number += 1
        return self._api.request("PUT", self._path, JSON | fields, json.dumps(ORDER).encode())

    @property
    def _path(self) -> str:
        return f"/customers/acme/orders/{self._number}"

    def is_stored(self) -> bool:
        """Whether the last order is."""
        return self._api.request("GET", self._path).status == 200

    def completed(self, accepted: Answer) -> Any:
        """The status document of an operation once it has ended."""
        end = time.monotonic() + 60
        while (document := self.status(accepted))["status"] == "pending":
            assert time.monotonic() < end, document
            time.sleep(0.1)
        return document

    def status(self, accepted: Answer) -> Any:
        """The status document of an operation."""
        return self._api.request("GET", accepted.json()["self"]).json()


def check_each_end_of_an_update(url: str, stock: Stock) -> None:
    """Now and later. That every mode has these answers, with a key and without, the tests of
    `put` show; here it is the update of the page that ends so, in both functions.
    """
    orders = Orders(url)
    assert orders.put().status == 201 and orders.is_stored()

    stock.status = 409
    refused = orders.put()
    assert (refused.status, refused.json()["field"]) == (409, "body.lines"), refused
    assert refused.json()["type"].endswith(":refused") and not orders.is_stored()
    failed = orders.completed(orders.put(**LATER))
    assert failed["status"] == "failed" and failed["error"]["field"] == "body.lines", failed
    assert not orders.is_stored()

    stock.status = 500
    unavailable = orders.put()
    assert unavailable.status == 503 and not orders.is_stored(), unavailable
    assert "the stock service says 500" in unavailable.json()["detail"], unavailable
    called = len(stock.keys)
    accepted = orders.put(**LATER)
    end = time.monotonic() + 30
    while len(stock.keys) < called + 2:
        assert time.monotonic() < end, stock.keys
        time.sleep(0.05)
    assert orders.status(accepted)["status"] == "pending" and not orders.is_stored()
    stock.status = 204
    assert orders.completed(accepted)["status"] == "succeeded" and orders.is_stored()
    assert set(stock.keys[called:]) == {accepted.json()["id"]}
