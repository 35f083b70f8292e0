// Posts alerts as JSON. Settings: `url`, and where wanted `token`, the name of a secret.

import { send } from "watchfire:plugin/http-client@0.1.0";

let settings;

export const lifecycle = {
  configure(given) {
    settings = JSON.parse(given);
    if (typeof settings.url !== "string") {
      throw { code: "settings", message: "`url` is missing; write url = \"https://..\"" };
    }
  },
  save() {
    return null;
  },
  restore(_state) {
    throw { code: "state", message: "this sink keeps no state" };
  },
};

export const delivery = {
  // The host's defaults in everything.
  describe() {
    return { batching: null, retrying: null, rate: null };
  },

  // One attempt; the host repeats it under the same key when this says so.
  deliver(key, alerts) {
    const request = {
      method: "POST",
      url: [text(settings.url)],
      headers: [
        ["content-type", [text("application/json")]],
        ["idempotency-key", [text(key)]],
      ],
      body: [text(JSON.stringify({ text: alerts.map(line).join("\n") }))],
      timeoutMs: null,
    };
    if (settings.token) {
      request.headers.push(["authorization", [text("Bearer "), secret(settings.token)]]);
    }
    let response;
    try {
      response = send(request);
    } catch (error) {
      throw { tag: "other", val: JSON.stringify(error) };
    }
    return judge(response.status);
  },
};

function line(alert) {
  const mark = alert.kind === "resolved" ? "resolved" : alert.level;
  return `${mark}: ${alert.text}`;
}

// No receipts, or why the attempt failed.
function judge(status) {
  const said = `the server answered ${status}`;
  if (status >= 200 && status <= 299) return [];
  if (status === 408 || status === 429 || status >= 500) throw { tag: "retry", val: null };
  if ([401, 403, 404].includes(status)) throw { tag: "misconfigured", val: said };
  throw { tag: "rejected", val: said };
}

function text(val) {
  return { tag: "text", val };
}

// A value that the host fills in and the plugin never sees.
function secret(name) {
  return { tag: "secret", val: name };
}
