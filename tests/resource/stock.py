"""The service that the orders of docs/make-it-yours.md call, and the effects of its answers."""

import json

from werkzeug import Request, Response

from tests.deployed.client import DEFERRED, JSON, Answer, Api
from tests.deployed.proxy import serve
from tests.deployed.service import Service, until

ORDER = {
    "state": "placed",
    "placedAt": "2026-11-20T10:00:00Z",
    "lines": [{"article": "bolt M8", "quantity": 3}],
}


class Stock:
    """It answers each reservation with the same status, and records the idempotency keys."""

    def __init__(self) -> None:
        self.status = 204
        self.keys: list[str] = []
        self.url = f"http://127.0.0.1:{serve(self._answer).server_port}"

    def _answer(self, request: Request) -> Response:
        request.get_data()
        self.keys.append(request.headers["Idempotency-Key"].strip('"'))
        return Response(status=self.status)


class Orders(Service):
    """The orders of one customer, each with a new number."""

    def __init__(self, url: str) -> None:
        super().__init__(Api(url))
        self._number = 100000000

    def put(self, **fields: str) -> Answer:
        """PUT a new order."""
        self._number += 1
        return self.api.request("PUT", self._path, JSON | fields, json.dumps(ORDER).encode())

    @property
    def _path(self) -> str:
        return f"/customers/acme/orders/{self._number}"

    def is_stored(self) -> bool:
        """Whether the last order is stored."""
        return self.api.request("GET", self._path).status == 200


def check_each_end_of_an_update(url: str, stock: Stock) -> None:
    """Tests now and later. The tests of `put` cover every mode, with a key and without;
    here the page's own update has these ends, in both functions.
    """
    orders = Orders(url)
    assert orders.put().status == 201 and orders.is_stored()

    stock.status = 409
    refused = orders.put()
    assert (refused.status, refused.json()["field"]) == (409, "body.lines"), refused
    assert refused.json()["type"].endswith(":refused") and not orders.is_stored()
    failed = orders.completed(orders.put(**DEFERRED))
    assert failed["status"] == "failed" and failed["error"]["field"] == "body.lines", failed
    assert not orders.is_stored()

    stock.status = 500
    unavailable = orders.put()
    assert unavailable.status == 503 and not orders.is_stored(), unavailable
    assert "the stock service says 500" in unavailable.json()["detail"], unavailable
    called = len(stock.keys)
    accepted = orders.put(**DEFERRED)
    until("two attempts", lambda: len(stock.keys) - called, lambda attempts: attempts >= 2)
    assert orders.api.status(accepted).json()["status"] == "pending" and not orders.is_stored()
    stock.status = 204
    assert orders.completed(accepted)["status"] == "succeeded" and orders.is_stored()
    assert set(stock.keys[called:]) == {accepted.json()["id"]}
