"""A client of the admin API for tests, and a small judge of JSON values against the schemas of docs/openapi.yaml."""
import json
import os
import re
import socket
import time

from harness import PATIENCE, Answer, Connection, Failure, ROOT, expect_that, request


class Api:
    def __init__(self, server, token=None):
        self.server, self.token, self.port = server, token, server.admin_port

    def raw(self, method, target, fields=(), body=b"", host=None):
        fields = list(fields)
        if self.token is not None and not any(k == "Authorization" for k, _ in fields):
            fields.append(("Authorization", "Bearer " + self.token))
        with Connection(self.port) as connection:
            connection.send(request(target, body, fields + [("Connection", "close")], method=method,
                                    host="127.0.0.1:%d" % self.port if host is None else host, length=bool(body)))
            return connection.answer(method)

    def get(self, path):
        answer = self.raw("GET", "/api/v1" + path)
        return answer.status, json.loads(answer.body)

    def post(self, path, body):
        answer = self.raw("POST", "/api/v1" + path, [("Content-Type", "application/json")], json.dumps(body).encode())
        return answer.status, json.loads(answer.body)

    def events(self, query="", after=None):
        return Events(self.port, query, after)


class Events:
    """Server-sent events; over HTTP/1.0, so that they come without chunks."""

    def __init__(self, port, query="", after=None):
        """`after`: the id of the last event of an earlier connection."""
        self.id = after
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        fields = [] if after is None else [("Last-Event-ID", after)]
        self.socket.sendall(request("/api/v1/events" + query, fields=fields, method="GET", version="HTTP/1.0",
                                    host="127.0.0.1", length=False))
        self.buffer = b""
        # The comment at the beginning says that it listens, and an id where.
        while b"\n\n" not in self.buffer.partition(b": grapnel\n")[2]:
            self._more()
        begin, _, self.buffer = self.buffer.partition(b": grapnel\n")[2].partition(b"\n\n")
        self.id = begin.decode().partition("id: ")[2]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Failure("the events ended: %r" % self.buffer[-300:])
        self.buffer += data

    def next(self, name):
        """The data of the next event of that name."""
        while True:
            found, data = self.any()
            if found == name:
                return data

    def any(self):
        """Name and data of the next event; `id` is where to go on after it."""
        deadline = time.monotonic() + 60            # comments keep the connection alive
        while True:
            while b"\n\n" not in self.buffer:
                if time.monotonic() > deadline:
                    raise Failure("no event comes")
                self._more()
            text, _, self.buffer = self.buffer.partition(b"\n\n")
            lines = dict(line.split(": ", 1) for line in text.decode().split("\n") if ": " in line)
            self.id = lines.get("id", self.id)
            if "event" in lines:
                return lines["event"], json.loads(lines["data"])


def load_openapi():
    import yaml
    with open(os.path.join(ROOT, "docs", "openapi.yaml")) as f:
        return yaml.safe_load(f)


def check_schema(description, response, answer, what):
    """Fails unless the answer (or plain value) is as the response says. Members that are not described are errors."""
    while "$ref" in response:
        response = _resolve(description, response["$ref"])
    content = response.get("content", {})
    if isinstance(answer, Answer):
        kind = (answer.field("Content-Type") or "").partition(";")[0]
        expect_that(kind in content, "%s: the type %s is not described" % (what, kind))
        if kind != "application/json":
            return
        value = json.loads(answer.body)
    else:
        kind, value = "application/json", answer
    problems = list(_problems(description, content[kind]["schema"], value, "$"))
    expect_that(not problems, "%s: %s" % (what, "; ".join(problems[:5])))


def _resolve(description, reference):
    value = description
    for part in reference.lstrip("#/").split("/"):
        value = value[part]
    return value


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
         "null": type(None)}


def _problems(description, schema, value, place):
    if "$ref" in schema:
        yield from _problems(description, _resolve(description, schema["$ref"]), value, place)
        return
    known = {"type", "properties", "required", "items", "enum", "anyOf", "allOf", "description", "pattern", "minimum",
             "maximum", "additionalProperties", "unevaluatedProperties", "format", "examples", "maxItems"}
    if set(schema) - known:
        raise Failure("the judge does not know %r" % (set(schema) - known))
    if "anyOf" in schema:
        every = [list(_problems(description, option, value, place)) for option in schema["anyOf"]]
        if all(every):
            yield min(every, key=len)[0]
        return
    if "allOf" in schema:
        merged = {"type": "object", "properties": {}, "required": []}
        for part in schema["allOf"]:
            part = _resolve(description, part["$ref"]) if "$ref" in part else part
            merged["properties"].update(part.get("properties", {}))
            merged["required"] += part.get("required", [])
        yield from _problems(description, merged, value, place)
        return
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types or []
    if types and not any(isinstance(value, TYPES[t]) and not (t in ("integer", "number") and isinstance(value, bool))
                         for t in types):
        yield "%s is %r and no %s" % (place, value, " or ".join(types))
        return
    if "enum" in schema and value not in schema["enum"]:
        yield "%s is %r" % (place, value)
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield "%s is %r" % (place, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield "%s is %r" % (place, value)
    if isinstance(value, list) and "items" in schema:
        for index, element in enumerate(value):
            yield from _problems(description, schema["items"], element, "%s[%d]" % (place, index))
    if isinstance(value, dict) and "properties" in schema:
        for name in schema.get("required", []):
            if name not in value:
                yield "%s.%s is missing" % (place, name)
        for name, member in value.items():
            if name in schema["properties"]:
                yield from _problems(description, schema["properties"][name], member, "%s.%s" % (place, name))
            elif schema.get("additionalProperties", False) is False:
                yield "%s.%s is not described" % (place, name)
