"""A strict validator for the JSON schemas used here: Kubernetes's OpenAPI, structural schemas of CRDs, a chart's values.

Strict: where a schema lists properties, any other is an error, unless it says additionalProperties or
x-kubernetes-preserve-unknown-fields. `problems(value, schema)` gives texts, each with the place.
"""
import datetime
import re

import cel

KNOWN = {"$schema", "$ref", "title", "description", "definitions", "type", "properties", "required", "items", "additionalProperties",
         "enum", "const", "oneOf", "anyOf", "allOf", "if", "then", "format", "pattern", "minimum", "maximum", "minLength", "maxLength",
         "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "nullable", "default"}


def matches(kind, value):
    return {"object": isinstance(value, dict), "array": isinstance(value, list), "string": isinstance(value, str),
            "boolean": isinstance(value, bool), "null": value is None,
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, (int, float)) and not isinstance(value, bool)}[kind]


def pattern(text):
    """RE2 as Python's re: `$` means the end, not the place before a last newline."""
    return re.compile(re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", text))


def problems(value, schema, root=None, path="", strict=True):
    root = schema if root is None else root
    found = []
    say = lambda text: found.append("%s: %s" % (path or "the document", text))
    inner = lambda v, s, p, st=strict: problems(v, s, root, p, st)

    unknown = [key for key in schema if key not in KNOWN and not key.startswith("x-kubernetes-")]
    if unknown:
        say("the schema uses %s, which this validator does not know" % ", ".join(unknown))
    if "$ref" in schema:
        node = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            node = node[part]
        found += inner(value, node, path)
    if value is None and schema.get("nullable"):
        return found
    if schema.get("x-kubernetes-int-or-string") and not (matches("integer", value) or isinstance(value, str)):
        say("must be a number or text")
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(matches(kind, value) for kind in kinds):
            say("must be of type %s, found %r" % (" or ".join(kinds), value))
            return found
    if "enum" in schema and value not in schema["enum"]:
        say("must be one of %s, found %r" % (schema["enum"], value))
    if "const" in schema and value != schema["const"]:
        say("must be %r" % schema["const"])
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", len(value)):
            say("has %d characters" % len(value))
        if "pattern" in schema and not pattern(schema["pattern"]).search(value):
            say("%r does not match %s" % (value, schema["pattern"]))
        if schema.get("format") == "date-time":
            try:
                datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            except ValueError:
                say("%r is no time" % value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            say("%s is out of bounds" % value)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            say("has %d items" % len(value))
        if schema.get("uniqueItems") and any(value.count(item) > 1 for item in value):
            say("has an item twice")
        if schema.get("x-kubernetes-list-type") == "map":
            keys = [tuple(str(item.get(k)) for k in schema["x-kubernetes-list-map-keys"]) for item in value if isinstance(item, dict)]
            if len(keys) != len(set(keys)):
                say("Duplicate value")
        for index, item in enumerate(value):
            if "items" in schema:
                found += inner(item, schema["items"], "%s[%d]" % (path, index))
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        for name in schema.get("required", []):
            if name not in value:
                say("%s is missing" % name)
        if len(value) < schema.get("minProperties", 0) or len(value) > schema.get("maxProperties", len(value)):
            say("must have exactly one of its members" if schema.get("maxProperties") == 1 else "has %d members" % len(value))
        for name, member in value.items():
            place = "%s.%s" % (path, name) if path else name
            if name in properties:
                found += inner(member, properties[name], place)
            elif isinstance(more, dict):
                found += inner(member, more, place)
            elif more is False or (strict and "properties" in schema and more is None
                                   and not schema.get("x-kubernetes-preserve-unknown-fields")):
                found.append("%s: unknown field" % place)
    for part in schema.get("allOf", []):
        found += inner(value, part, path, False)
    for word, enough in (("anyOf", lambda n: n > 0), ("oneOf", lambda n: n == 1)):
        if word in schema and not enough(sum(not inner(value, part, path, False) for part in schema[word])):
            say("is none of what %s allows" % word)
    if "if" in schema and not inner(value, schema["if"], path, False):
        found += inner(value, schema.get("then", {}), path, False)
    # Rules run on what is well-formed, as in the API server.
    if not found:
        for rule in schema.get("x-kubernetes-validations", []):
            try:
                if cel.evaluate(rule["rule"], {"self": value}) is not True:
                    say(rule["message"])
            except cel.Failure as failure:
                say("the rule %s fails: %s" % (rule["rule"], failure))
    return found
