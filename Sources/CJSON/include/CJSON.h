// CJSON: simdjson's document parser behind a C face. No policy beyond the bounds given at creation.
//
// A parser is used by one thread at a time. No function throws or aborts on any input; every failure is a status. Source of
// truth: the simdjson manual ("The Basics", "Parse and DOM"), JSON: RFC 8259, JSON Pointer: RFC 6901.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parser and the document it parsed last. Its memory grows with the documents and stays until it is destroyed.
typedef struct cj_parser cj_parser;

enum {
  CJ_OK = 0,
  /// Not one whole JSON text: bad syntax, bad UTF-8, a number beyond 64 bits, nothing at all, something behind the end.
  CJ_MALFORMED = 1,
  /// More bytes or more values than the parser was made for.
  CJ_TOO_LARGE = 2,
  /// Arrays and objects nested deeper than the parser was made for.
  CJ_TOO_DEEP = 3,
  CJ_NO_MEMORY = 4,
  /// No such member, or of another type.
  CJ_ABSENT = 5,
};

/// A parser for documents of at most `bytes_max` bytes (below 4 GiB), about `values_max` values, nested at most `depth_max`
/// deep (1: a flat array or object; an empty one innermost does not count). Values are bounded by counting the bytes `,`
/// `:` `[` `{` wherever they stand, before any memory is taken for them. NULL when out of memory.
cj_parser *_Nullable cj_parser_create(size_t bytes_max, size_t values_max, size_t depth_max);

void cj_parser_destroy(cj_parser *_Nullable parser);

/// Parses `count` bytes, which are copied and may go at once. After a failure the parser holds no document and can be used
/// again. `bytes` may be NULL when `count` is 0.
int cj_parse(cj_parser *_Nonnull parser, const uint8_t *_Nullable bytes, size_t count);

/// The string at a JSON pointer (`/repository/full_name`; NUL-terminated), unescaped, as UTF-8, not NUL-terminated and possibly
/// with NULs in it. Lives until the next parse or destroy. Of members with the same name the first counts.
int cj_string(const cj_parser *_Nonnull parser, const char *_Nonnull pointer, const char *_Nullable *_Nonnull text,
              size_t *_Nonnull count);

/// The integer at a JSON pointer, if it fits.
int cj_int64(const cj_parser *_Nonnull parser, const char *_Nonnull pointer, int64_t *_Nonnull value);

/// The number at a JSON pointer.
int cj_double(const cj_parser *_Nonnull parser, const char *_Nonnull pointer, double *_Nonnull value);

int cj_bool(const cj_parser *_Nonnull parser, const char *_Nonnull pointer, bool *_Nonnull value);

/// Whether the document's outermost value is an object.
bool cj_is_object(const cj_parser *_Nonnull parser);

#ifdef __cplusplus
}
#endif
