"""Posts alerts as JSON. Settings: `url`, and where wanted `token`, the name of a secret."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.delivery import Kind, Terms
from wit_world.imports import http_client, sending
from wit_world.imports.http_client import Part_Secret, Part_Text, Request
from wit_world.imports.model import Failure

settings = {}


class Lifecycle(exports.Lifecycle):
    def configure(self, given):
        global settings
        settings = json.loads(given)
        if not isinstance(settings.get("url"), str):
            raise Err(Failure("settings", '`url` is missing; write url = "https://.."'))

    def save(self):
        return None

    def restore(self, state):
        raise Err(Failure("state", "this sink keeps no state"))


class Delivery(exports.Delivery):
    # The host's defaults in everything.
    def describe(self):
        return Terms(batching=None, retrying=None, rate=None)

    # One attempt; the host repeats it under the same key when this says so.
    def deliver(self, key, alerts):
        lines = "\n".join(line(alert) for alert in alerts)
        body = json.dumps({"text": lines}, ensure_ascii=False, separators=(",", ":"))
        headers = [
            ("content-type", [Part_Text("application/json")]),
            ("idempotency-key", [Part_Text(key)]),
        ]
        if "token" in settings:
            # A value that the host fills in and the plugin never sees.
            headers.append(("authorization", [Part_Text("Bearer "), Part_Secret(settings["token"])]))
        url = [Part_Text(settings["url"])]
        try:
            response = http_client.send(Request("POST", url, headers, [Part_Text(body)], None))
        except Err as error:
            raise Err(sending.DeliveryError_Other(repr(error.value)))
        return judge(response.status)


def line(alert):
    mark = "resolved" if alert.kind == Kind.RESOLVED else alert.level.name.lower()
    return f"{mark}: {alert.text}"


def judge(status):
    """No receipts, or why the attempt failed."""
    said = f"the server answered {status}"
    if 200 <= status <= 299:
        return []
    if status in (408, 429) or status >= 500:
        raise Err(sending.DeliveryError_Retry(None))
    if status in (401, 403, 404):
        raise Err(sending.DeliveryError_Misconfigured(said))
    raise Err(sending.DeliveryError_Rejected(said))
