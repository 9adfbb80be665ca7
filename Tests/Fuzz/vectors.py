#!/usr/bin/env python3
"""vectors.py DIRECTORY: writes the requests of all vectors and recordings in Tests/Fixtures as seeds of the decoders: path and query, an
Authorization, and the body."""
import base64
import glob
import hashlib
import json
import os
import sys

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Fixtures")


def requests(value):
    """Every object that looks like a request, wherever it stands."""
    if isinstance(value, dict):
        if isinstance(value.get("path") or value.get("target"), str):
            yield value
        for member in value.values():
            yield from requests(member)
    elif isinstance(value, list):
        for element in value:
            yield from requests(element)


def body(request):
    coded = request.get("body")
    if isinstance(coded, dict) and len(coded) == 1:
        if isinstance(coded.get("utf8"), str):
            return coded["utf8"].encode("utf-8", "surrogateescape")
        if isinstance(coded.get("base64"), str):
            return base64.b64decode(coded["base64"])
    for name in ("body", "body_text", "bodyText"):
        if isinstance(request.get(name), str):
            return request[name].encode("utf-8", "surrogateescape")
    for name in ("bodyBase64", "body_base64", "bodyB64"):
        if isinstance(request.get(name), str):
            return base64.b64decode(request[name])
    for name in ("body", "bodyJson", "bodyJSON", "json"):
        if isinstance(request.get(name), (dict, list)):
            return json.dumps(request[name]).encode()
    return b""


def main(directory):
    os.makedirs(directory, exist_ok=True)
    for file in sorted(glob.glob(os.path.join(FIXTURES, "**", "*.json"), recursive=True)):
        try:
            with open(file, encoding="utf-8") as f:
                document = json.load(f)
        except ValueError:
            continue
        for request in requests(document):
            content = body(request)
            if not content or len(content) > 1 << 16:
                continue
            path = request.get("path") or request.get("target")
            # With a path, and as a body alone, which goes to the path of whatever is under test.
            for seed in (path.encode() + b"\nBearer secret-of-the-route-0123456789\n" + content, content):
                with open(os.path.join(directory, hashlib.sha256(seed).hexdigest()[:16]), "wb") as f:
                    f.write(seed)


if len(sys.argv) != 2:
    sys.exit("usage: vectors.py DIRECTORY")
main(sys.argv[1])
