// CJSON over simdjson (libsimdjson 3): see the header.

#include "CJSON.h"

#include <simdjson.h>

#include <new>
#include <string_view>

using simdjson::dom::element;

struct cj_parser {
  simdjson::dom::parser parser;
  element root;
  bool has_document = false;
  size_t bytes_max;
  size_t values_max;
  size_t depth_max;
};

namespace {

int status_of(simdjson::error_code error) noexcept {
  switch (error) {
  case simdjson::SUCCESS: return CJ_OK;
  case simdjson::CAPACITY: return CJ_TOO_LARGE;
  case simdjson::DEPTH_ERROR: return CJ_TOO_DEEP;
  case simdjson::MEMALLOC: return CJ_NO_MEMORY;
  default: return CJ_MALFORMED;
  }
}

bool has_more_values(const uint8_t *bytes, size_t count, size_t values_max) noexcept {
  if (count <= values_max) return false;
  size_t values = 0;
  for (size_t i = 0; i < count; i++) {
    const uint8_t byte = bytes[i];
    values += (byte == ',') | (byte == ':') | (byte == '[') | (byte == '{');
  }
  return values > values_max;
}

// The library converts by exceptions only when asked to; the catch is for what its own allocations might throw.
template <typename T>
int get(const cj_parser *parser, const char *pointer, T &value) noexcept {
  if (!parser->has_document) return CJ_ABSENT;
  try {
    return parser->root.at_pointer(std::string_view(pointer)).template get<T>().get(value) ? CJ_ABSENT : CJ_OK;
  } catch (...) {
    return CJ_ABSENT;
  }
}

}  // namespace

extern "C" {

cj_parser *cj_parser_create(size_t bytes_max, size_t values_max, size_t depth_max) {
  cj_parser *parser = nullptr;
  try {
    parser = new cj_parser{simdjson::dom::parser(bytes_max), element(), false, bytes_max, values_max, depth_max};
    // simdjson's bound is the depth that nothing but an empty array or object reaches. Set here; later growth keeps it.
    if (parser->parser.allocate(0, depth_max + 1) == simdjson::SUCCESS) return parser;
  } catch (...) {
  }
  delete parser;
  return nullptr;
}

void cj_parser_destroy(cj_parser *parser) { delete parser; }

int cj_parse(cj_parser *parser, const uint8_t *bytes, size_t count) {
  parser->has_document = false;
  if (count > parser->bytes_max) return CJ_TOO_LARGE;
  if (count == 0) return CJ_MALFORMED;
  if (has_more_values(bytes, count, parser->values_max)) return CJ_TOO_LARGE;
  try {
    // `true`: copied into a buffer with the padding that the vector loads need.
    const auto error = parser->parser.parse(bytes, count, true).get(parser->root);
    parser->has_document = !error;
    return status_of(error);
  } catch (const std::bad_alloc &) {
    return CJ_NO_MEMORY;
  } catch (...) {
    return CJ_MALFORMED;
  }
}

int cj_string(const cj_parser *parser, const char *pointer, const char **text, size_t *count) {
  std::string_view value;
  const int status = get(parser, pointer, value);
  if (status != CJ_OK) return status;
  *text = value.data();
  *count = value.size();
  return CJ_OK;
}

int cj_int64(const cj_parser *parser, const char *pointer, int64_t *value) { return get(parser, pointer, *value); }

int cj_double(const cj_parser *parser, const char *pointer, double *value) { return get(parser, pointer, *value); }

int cj_bool(const cj_parser *parser, const char *pointer, bool *value) { return get(parser, pointer, *value); }

bool cj_is_object(const cj_parser *parser) { return parser->has_document && parser->root.is_object(); }

}  // extern "C"
