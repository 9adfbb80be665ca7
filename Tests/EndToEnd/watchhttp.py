"""The HTTP side of watchkube.py: one call, one record of a write, one stream of a watch."""
import copy
import json
import select
import socket
import time

import fakekube
from fakekube import APIError, not_served, partial

HAS_NO_STATUS = {("", "secrets"), ("", "events"), ("events.k8s.io", "events"), ("coordination.k8s.io", "leases"),
                 ("build.openshift.io", "buildconfigs"), ("build.openshift.io", "builds")}
BOOKMARK_SECONDS = 5
LOOK_SECONDS = 0.5            # how soon a client that left is noticed


class _Handler(fakekube._Handler):
    def _route(self, kube, parts, path):
        if kube.delay:
            time.sleep(kube.delay)
        if kube.starting:
            with kube.changed:
                kube.refused += 1
            if kube.starting == 404:
                raise not_served()
            raise APIError(kube.starting, "not allowed yet: %s" % path)
        super()._route(kube, parts, path)

    def _resource_list(self, served):
        body = super()._resource_list(served)
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        rows = [dict(row, verbs=row["verbs"] if "/" in row["name"] else verbs) for row in body["resources"]]
        rows += [dict(row, name=row["name"] + "/status", verbs=["get", "patch", "update"]) for row in rows
                 if "/" not in row["name"] and (served[0].group, row["name"]) not in HAS_NO_STATUS]
        return dict(body, resources=rows)

    def _serve(self, kube, r, namespace, name, subresource, path):
        watch = self.query.get("watch") in ("1", "true")
        verb = {"GET": "get" if name else "watch" if watch else "list", "POST": "create", "PUT": "update",
                "PATCH": "patch", "DELETE": "delete"}.get(self.command, "")
        asked = name
        for term in self.query.get("fieldSelector", "").split(","):
            if term.startswith("metadata.name="):
                asked = term.partition("=")[2]
        fault = kube.fault(verb, r.plural, namespace, asked)
        if verb not in ("get", "list", "watch"):
            return self._record(kube, verb, r, namespace, name, subresource, path, fault)
        with kube.changed:
            kube.reads.append((verb, path))
        if fault and "body" in fault:
            return self._raw(fault["body"])
        self._fail(fault)
        if verb == "watch":
            return self._watch(kube, r, namespace)
        metadata_only = "as=PartialObjectMetadata" in (self.headers.get("Accept") or "").replace(" ", "")
        if verb == "get":
            o = kube.read(r, namespace, name)
            return self._send(200, partial(o) if metadata_only else o)
        version, token, items = kube.page(r, namespace, self.query)
        api, kind = ("meta.k8s.io/v1", "PartialObjectMetadataList") if metadata_only else (r.api_version, r.kind + "List")
        head = {"apiVersion": api, "kind": kind,
                "metadata": {"resourceVersion": version, **({"continue": token} if token else {})}}
        texts = [json.dumps(partial(o)).encode() if metadata_only else kube.text(r, o) for o in items]
        self._raw(json.dumps(head)[:-1].encode() + b', "items": [' + b",".join(texts) + b"]}\n")

    def _raw(self, data):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _record(self, kube, verb, r, namespace, name, subresource, path, fault):
        body = self._json()
        record = {"verb": verb, "path": path, "resource": r.plural, "kind": r.kind, "namespace": namespace,
                  "name": name, "subresource": subresource, "query": dict(self.query), "group": r.group,
                  "content_type": self.headers.get("Content-Type", ""), "body": copy.deepcopy(body),
                  "time": time.time(), "status": 0}
        with kube.changed:
            kube.writes.append(record)
        try:
            self._fail(fault)
            status, result = self._write(kube, verb, r, namespace, name, subresource, body)
        except APIError as error:
            record["status"] = error.code
            raise
        record["status"] = status
        self._send(status, result)

    def _write(self, kube, verb, r, namespace, name, subresource, body):
        if verb == "delete":
            return 200, kube.delete(r, namespace, name)
        if verb == "update":
            return 200, kube.replace(r, namespace, name, lambda old: body, subresource)
        if verb == "patch" and subresource == "status":
            return 200, kube.patch(r, namespace, name, body, subresource)
        return super()._write(kube, verb, r, namespace, name, subresource, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = fakekube._Handler._any

    # - watch: one JSON document a line, in chunks

    def _watch(self, kube, r, namespace):
        watcher = kube.subscribe(r, namespace, self.query)
        self.close_connection = True
        metadata_only = "as=PartialObjectMetadata" in (self.headers.get("Accept") or "").replace(" ", "")
        deadline = time.monotonic() + min(kube.watch_seconds, float(self.query.get("timeoutSeconds") or 300))
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.flush()
            next_bookmark = time.monotonic() + BOOKMARK_SECONDS
            while time.monotonic() < deadline:
                items = watcher.take(min(LOOK_SECONDS, max(0, deadline - time.monotonic())))
                if select.select([self.connection], [], [], 0)[0]:
                    return              # a client says nothing during a watch: this is its goodbye
                data, ends = b"", False
                if not items and time.monotonic() >= next_bookmark:
                    next_bookmark = time.monotonic() + BOOKMARK_SECONDS
                    with kube.changed:
                        version = kube.version if not watcher.items else None
                    if version and self.query.get("allowWatchBookmarks") in ("1", "true"):
                        data = json.dumps({"type": "BOOKMARK", "object": {
                            "apiVersion": r.api_version, "kind": r.kind,
                            "metadata": {"resourceVersion": str(version)}}}).encode() + b"\n"
                for kind, o in items:
                    if kind == "cut":
                        self._chunk(data)
                        self.wfile.write(b'%x\r\n{"type":"MODIFIED","object":{"apiVersion":"' % 4000)
                        self.wfile.flush()
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    if kind == "end":
                        ends = True
                        break
                    if kind == "raw":
                        data += o
                        continue
                    text = json.dumps(partial(o)).encode() if metadata_only else kube.text(r, o)
                    data += b'{"type":"%s","object":%s}\n' % (kind.encode(), text)
                self._chunk(data)
                if ends:
                    break
            self.wfile.write(b"0\r\n\r\n")
        finally:
            with kube.changed:
                kube.watchers.discard(watcher)

    def _chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
