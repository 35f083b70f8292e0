// Posts alerts as JSON. Settings: `url`, and where wanted `token`, the name of a secret.

#include "sink.h"
#include "text.h"

static text_t url;
static text_t token;

// A text that the bindings only look at.
static sink_string_t look(const char *literal) {
  sink_string_t text;
  sink_string_set(&text, literal);
  return text;
}

static sink_string_t look_at(const text_t *text) {
  return (sink_string_t){text->ptr, text->len};
}

static watchfire_plugin_http_client_part_t text_part(sink_string_t text) {
  return (watchfire_plugin_http_client_part_t){
      .tag = WATCHFIRE_PLUGIN_HTTP_CLIENT_PART_TEXT, .val.text = text};
}

// A value that the host fills in and the plugin never sees.
static watchfire_plugin_http_client_part_t secret_part(sink_string_t name) {
  return (watchfire_plugin_http_client_part_t){
      .tag = WATCHFIRE_PLUGIN_HTTP_CLIENT_PART_SECRET, .val.secret = name};
}

bool exports_watchfire_plugin_lifecycle_configure(
    sink_string_t *settings, exports_watchfire_plugin_lifecycle_failure_t *err) {
  bool has_url = json_text(settings->ptr, settings->len, "url", &url);
  json_text(settings->ptr, settings->len, "token", &token);
  sink_string_free(settings);
  if (has_url) return true;
  sink_string_dup(&err->code, "settings");
  sink_string_dup(&err->message, "`url` is missing; write url = \"https://..\"");
  return false;
}

bool exports_watchfire_plugin_lifecycle_save(
    exports_watchfire_plugin_lifecycle_option_snapshot_t *ret,
    exports_watchfire_plugin_lifecycle_failure_t *err) {
  (void)err;
  ret->is_some = false;
  return true;
}

bool exports_watchfire_plugin_lifecycle_restore(
    exports_watchfire_plugin_lifecycle_snapshot_t *state,
    exports_watchfire_plugin_lifecycle_failure_t *err) {
  exports_watchfire_plugin_lifecycle_snapshot_free(state);
  sink_string_dup(&err->code, "state");
  sink_string_dup(&err->message, "this sink keeps no state");
  return false;
}

// The host's defaults in everything.
bool exports_watchfire_plugin_delivery_describe(
    exports_watchfire_plugin_delivery_terms_t *ret, exports_watchfire_plugin_delivery_failure_t *err) {
  (void)err;
  memset(ret, 0, sizeof *ret);
  return true;
}

static const char *mark(const exports_watchfire_plugin_delivery_alert_t *alert) {
  static const char *const levels[] = {"info", "warning", "critical"};
  if (alert->kind == EXPORTS_WATCHFIRE_PLUGIN_DELIVERY_KIND_RESOLVED) return "resolved";
  return levels[alert->level];
}

static text_t body_of(const exports_watchfire_plugin_delivery_list_alert_t *alerts) {
  text_t body = {0};
  text_put(&body, "{\"text\":\"");
  for (size_t at = 0; at < alerts->len; at++) {
    if (at > 0) text_put(&body, "\\n");
    text_put(&body, mark(&alerts->ptr[at]));
    text_put(&body, ": ");
    text_put_json(&body, alerts->ptr[at].text.ptr, alerts->ptr[at].text.len);
  }
  text_put(&body, "\"}");
  return body;
}

// True for delivered, or why the attempt failed.
static bool judge(int status, exports_watchfire_plugin_delivery_delivery_error_t *err) {
  if (status >= 200 && status <= 299) return true;
  char said[64];
  snprintf(said, sizeof said, "the server answered %d", status);
  if (status == 408 || status == 429 || status >= 500) {
    err->tag = WATCHFIRE_PLUGIN_SENDING_DELIVERY_ERROR_RETRY;
    err->val.retry.is_some = false;
  } else if (status == 401 || status == 403 || status == 404) {
    err->tag = WATCHFIRE_PLUGIN_SENDING_DELIVERY_ERROR_MISCONFIGURED;
    sink_string_dup(&err->val.misconfigured, said);
  } else {
    err->tag = WATCHFIRE_PLUGIN_SENDING_DELIVERY_ERROR_REJECTED;
    sink_string_dup(&err->val.rejected, said);
  }
  return false;
}

// Sends what lies on the stack here; the host only looks at it.
static bool post(
    sink_string_t key, text_t body, exports_watchfire_plugin_delivery_delivery_error_t *err) {
  watchfire_plugin_http_client_part_t to = text_part(look_at(&url));
  watchfire_plugin_http_client_part_t content = text_part(look_at(&body));
  watchfire_plugin_http_client_part_t json = text_part(look("application/json"));
  watchfire_plugin_http_client_part_t once = text_part(key);
  watchfire_plugin_http_client_part_t bearer[] = {
      text_part(look("Bearer ")), secret_part(look_at(&token))};
  watchfire_plugin_http_client_tuple2_string_list_part_t headers[] = {
      {look("content-type"), {&json, 1}},
      {look("idempotency-key"), {&once, 1}},
      {look("authorization"), {bearer, 2}},
  };
  watchfire_plugin_http_client_request_t request = {
      .method = look("POST"),
      .url = {&to, 1},
      .headers = {headers, token.len > 0 ? 3 : 2},
      .body = {&content, 1},
  };
  watchfire_plugin_http_client_response_t response;
  watchfire_plugin_http_client_http_error_t error;
  if (!watchfire_plugin_http_client_send(&request, &response, &error)) {
    watchfire_plugin_http_client_http_error_free(&error);
    err->tag = WATCHFIRE_PLUGIN_SENDING_DELIVERY_ERROR_OTHER;
    sink_string_dup(&err->val.other, "the request did not get through");
    return false;
  }
  int status = response.status;
  watchfire_plugin_http_client_response_free(&response);
  return judge(status, err);
}

// One attempt; the host repeats it under the same key when this says so.
bool exports_watchfire_plugin_delivery_deliver(
    sink_string_t *key,
    exports_watchfire_plugin_delivery_list_alert_t *alerts,
    exports_watchfire_plugin_delivery_list_receipt_t *ret,
    exports_watchfire_plugin_delivery_delivery_error_t *err) {
  text_t body = body_of(alerts);
  bool delivered = post(*key, body, err);
  free(body.ptr);
  sink_string_free(key);
  exports_watchfire_plugin_delivery_list_alert_free(alerts);
  ret->ptr = NULL;
  ret->len = 0;
  return delivered;
}
