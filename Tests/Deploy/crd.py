"""The rules of structural schemas, written after the Kubernetes documentation ("Specifying a structural schema", "Validation rules").

`structural(schema)` gives what is wrong with the schema itself; `problems(item, definition)` what is wrong with an object.
"""
import schema as validator

VALUE_ONLY = {"description", "type", "default", "additionalProperties", "nullable", "title"}


def structural(schema, path="openAPIV3Schema", logical=False):
    found = []
    say = lambda text: found.append("%s: %s" % (path, text))
    for word in ("$ref", "definitions", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly", "writeOnly", "xml",
                 "uniqueItems"):
        if schema.get(word):
            say("%s is not allowed" % word)
    if logical:
        for word in VALUE_ONLY & set(schema):
            if not (path.endswith("]") and word == "type"):
                say("%s may not stand inside allOf, anyOf, oneOf or not" % word)
    else:
        if "type" not in schema and not schema.get("x-kubernetes-int-or-string") and not schema.get("x-kubernetes-preserve-unknown-fields"):
            say("has no type")
        if schema.get("x-kubernetes-int-or-string") and (
                "type" in schema or schema.get("anyOf") not in (None, [{"type": "integer"}, {"type": "string"}])):
            say("int-or-string must have no type and at most the usual anyOf")
        if "properties" in schema and "additionalProperties" in schema:
            say("properties and additionalProperties exclude each other")
        if schema.get("type") == "array" and "items" not in schema:
            say("has no items")
        if schema.get("x-kubernetes-list-type") == "map":
            for key in schema.get("x-kubernetes-list-map-keys", []):
                if key not in schema["items"].get("required", []) and "default" not in schema["items"]["properties"][key]:
                    say("the key %s must be required or have a default" % key)
        if "description" not in schema and not path.endswith(("[]", ".metadata")) and schema.get("type") != "string":
            say("has no description")
        for name in schema.get("required", []):
            if name not in schema.get("properties", {}):
                say("requires %s, which it does not define" % name)
        for rule in schema.get("x-kubernetes-validations", []):
            if set(rule) - {"rule", "message"} or not rule.get("message"):
                say("a rule needs a text and a message")
        # What rules look at must be bounded, or the API server refuses the definition for what the rules may cost.
        if schema.get("x-kubernetes-validations") and schema.get("type") == "string" and "maxLength" not in schema and "enum" not in schema:
            say("a text with a rule needs maxLength")
        if schema.get("type") == "array" and "maxItems" not in schema:
            say("a list needs maxItems")
    for word in ("allOf", "anyOf", "oneOf"):
        if not schema.get("x-kubernetes-int-or-string"):
            for index, part in enumerate(schema.get(word, [])):
                found += structural(part, "%s.%s[%d]" % (path, word, index), True)
    for name, part in schema.get("properties", {}).items():
        if path == "openAPIV3Schema" and name == "metadata" and set(part) - {"type", "properties"}:
            say("metadata may restrict name and generateName only")
        found += structural(part, "%s.%s" % (path, name), logical)
    if isinstance(schema.get("items"), dict):
        found += structural(schema["items"], path + "[]", logical)
    return found


def prune(value, schema):
    """Without the fields that the API server drops because the schema does not know them."""
    if isinstance(value, dict) and "properties" in schema:
        return {name: prune(member, schema["properties"][name]) for name, member in value.items()
                if name in schema["properties"] and not (member is None and not schema["properties"][name].get("nullable"))}
    if isinstance(value, list) and "items" in schema:
        return [prune(item, schema["items"]) for item in value]
    return value


def problems(item, definition, strict=True):
    """strict: as kubectl's `--validate=strict`, its default; else unknown fields are dropped first, as the API server does."""
    (version,) = [v for v in definition["spec"]["versions"] if item["apiVersion"].endswith("/" + v["name"])]
    schema = version["schema"]["openAPIV3Schema"]
    body = {name: value for name, value in item.items() if name != "metadata"}
    return validator.problems(body if strict else prune(body, schema), schema)
