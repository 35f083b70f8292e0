// Growing texts and the little JSON that a plugin needs: settings in, a body out.

#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Starts empty as `{0}`. `ptr` is from malloc, and ends without a zero.
typedef struct {
  uint8_t *ptr;
  size_t len;
  size_t cap;
} text_t;

static inline void text_add(text_t *text, const void *bytes, size_t len) {
  if (text->len + len > text->cap) {
    text->cap = 2 * text->cap + len;
    text->ptr = realloc(text->ptr, text->cap);
    if (text->ptr == NULL) abort();
  }
  if (len > 0) memcpy(text->ptr + text->len, bytes, len);
  text->len += len;
}

static inline void text_put(text_t *text, const char *literal) {
  text_add(text, literal, strlen(literal));
}

// The bytes as they stand between the quotes of a JSON string.
static inline void text_put_json(text_t *text, const uint8_t *bytes, size_t len) {
  for (size_t at = 0; at < len; at++) {
    char escape[8];
    switch (bytes[at]) {
      case '"': text_put(text, "\\\""); break;
      case '\\': text_put(text, "\\\\"); break;
      case '\b': text_put(text, "\\b"); break;
      case '\f': text_put(text, "\\f"); break;
      case '\n': text_put(text, "\\n"); break;
      case '\r': text_put(text, "\\r"); break;
      case '\t': text_put(text, "\\t"); break;
      default:
        if (bytes[at] >= 0x20) {
          text_add(text, &bytes[at], 1);
        } else {
          snprintf(escape, sizeof escape, "\\u%04x", bytes[at]);
          text_put(text, escape);
        }
    }
  }
}

// Where the value of a name begins in a flat JSON object without spaces, as the host writes
// settings; NULL when there is none.
static inline const char *json_value(const uint8_t *json, size_t len, const char *name) {
  text_t wanted = {0};
  text_put(&wanted, "\"");
  text_put(&wanted, name);
  text_put(&wanted, "\":");
  const char *found = NULL;
  for (size_t at = 0; at + wanted.len < len && found == NULL; at++) {
    if (memcmp(json + at, wanted.ptr, wanted.len) == 0) {
      found = (const char *)json + at + wanted.len;
    }
  }
  free(wanted.ptr);
  return found;
}

// A text of a flat JSON object; false when it is absent, no text, or written with an escape other
// than that of a quote or a backslash.
static inline bool json_text(const uint8_t *json, size_t len, const char *name, text_t *out) {
  const char *at = json_value(json, len, name);
  const char *end = (const char *)json + len;
  if (at == NULL || *at++ != '"') return false;
  for (; at < end && *at != '"'; at++) {
    if (*at == '\\' && *++at != '"' && *at != '\\') return false;
    text_add(out, at, 1);
  }
  return at < end;
}

// A number of a flat JSON object, or what stands in for it when it is absent.
static inline double json_number(const uint8_t *json, size_t len, const char *name, double other) {
  const char *at = json_value(json, len, name);
  return at == NULL ? other : strtod(at, NULL);
}

#endif
