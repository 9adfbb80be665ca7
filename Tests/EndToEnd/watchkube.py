"""The fake API server for servers that read their routes from it: watches, status, finalizers, and what can go wrong.

Beside what fakekube.py knows it speaks: watch (bookmarks, selectors, 410), update with resourceVersion conflicts, the status
subresource, generation, deletion with finalizers. Objects are replaced as a whole and never changed in place, so that
lists and watches need no copies.

    kube.apply(o), kube.remove(kind, namespace, name)      what a person does: the status stays, the generation counts
    kube.put(o)                                            stores the object as it is, status included
    kube.faults = [{"verb": "list", "resource": "hooks", "status": 500, "times": 1}]      `*` is any; also `body`, `delay`
    kube.delay, kube.starting                              every answer so many seconds late; 401, 403 or 404 to all
    kube.compact(), kube.cut_watches(), kube.end_watches(), kube.inject(plural, bytes)
"""
import base64
import collections
import copy
import json
import os
import tempfile
import threading
import time

import fakekube
from fakekube import APIError, Resource, label_filter, merge, missing, not_served
from harness import free_port, wait_until
from watchhttp import HAS_NO_STATUS, _Handler

MORE = {
    "coordination.k8s.io": [("v1", "Lease", "leases", True)],
    "notification.toolkit.fluxcd.io": [("v1", "Receiver", "receivers", True)],
    "grapnel.dev": [("v1alpha1", "Hook", "hooks", True)],
    "kpack.io": [("v1alpha2", "ClusterStore", "clusterstores", False),
                 ("v1alpha2", "ClusterLifecycle", "clusterlifecycles", False),
                 ("v1alpha2", "Buildpack", "buildpacks", True),
                 ("v1alpha2", "ClusterBuildpack", "clusterbuildpacks", False),
                 ("v1alpha2", "Build", "builds", True)],
    "build.pivotal.io": [("v1alpha1", "Image", "images", True)],
}
PLURALS = {("notification.fluxcd.io", "Receiver"): "receivers"}
PAGES_KEPT = 64


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Watcher:
    """The queue of one watch."""

    def __init__(self, resource, namespace, visible):
        self.resource, self.namespace, self.visible = resource, namespace, visible
        self.items, self.wake = collections.deque(), threading.Condition()

    def push(self, item):
        with self.wake:
            self.items.append(item)
            self.wake.notify()

    def take(self, seconds):
        """All that waits; empty after `seconds` without anything."""
        with self.wake:
            if not self.items:
                self.wake.wait(seconds)
            items = list(self.items)
            self.items.clear()
            return items

    def sees(self, o):
        return o is not None and self.namespace in ("", o["metadata"].get("namespace", "")) and self.visible(o)

    def offer(self, kind, old, new):
        """What this watch says of a change: an object that leaves its selection is DELETED for it."""
        before, after = self.sees(old), kind != "DELETED" and self.sees(new)
        if before or after:
            self.push(("DELETED" if not after else "MODIFIED" if before else "ADDED", new))


class WatchKube(fakekube.FakeKube):
    def __init__(self, pki, port=0, token=None, without=()):
        self.watchers, self.history, self.oldest = set(), collections.defaultdict(list), 0
        self.delay, self.starting, self.refused = 0, None, 0
        self.watch_seconds = 600            # no watch lasts longer
        self.pages, self.rendered = collections.OrderedDict(), {}
        self.secret_values = set()
        self.watch_count = 0                # opened so far
        super().__init__(pki, port, token)
        for group, rows in MORE.items():
            self.resources += [Resource(group, *row) for row in rows]
        self.resources = [r for r in self.resources if r.group not in without]

    def _listen(self, port):
        return fakekube._Server(("127.0.0.1", port), _Handler, self)

    def down(self):
        self.end_watches()
        super().down()

    stop = down

    # - what tests do

    def serve(self, group, version, kind, plural, namespaced=True):
        """As when a CRD is installed."""
        with self.changed:
            self.resources.append(Resource(group, version, kind, plural, namespaced))

    def unserve(self, group):
        """As when the CRDs of a group are removed, with all their objects."""
        with self.changed:
            self.resources = [r for r in self.resources if r.group != group]
            for key in [k for k in self.objects if k[0] == group]:
                del self.objects[key]
            ends = [w for w in self.watchers if w.resource.group == group]
        for watcher in ends:
            watcher.push(("end", None))

    def resource_of(self, api_version, kind):
        group, _, version = api_version.rpartition("/")
        if (group, kind) in PLURALS and not any((r.group, r.kind) == (group, kind) for r in self.resources):
            self.resources.append(Resource(group, version, kind, PLURALS[group, kind], True))
        return super().resource_of(api_version, kind)

    def put(self, o):
        o = copy.deepcopy(o)
        r = self.resource_of(o["apiVersion"], o["kind"])
        meta = o.setdefault("metadata", {})
        meta.setdefault("generation", 1)
        if r.namespaced:
            meta.setdefault("namespace", "default")
        with self.changed:
            self._store(r, (meta.get("namespace", ""), meta["name"]), o)
        return o

    def apply(self, o):
        """Creates the object, or gives it this spec, data, labels and annotations; returns what is stored."""
        r = self.resource_of(o["apiVersion"], o["kind"])
        meta = o["metadata"]
        key = (meta.get("namespace", "default") if r.namespaced else "", meta["name"])
        with self.changed:
            old = self.objects.get(r.key, {}).get(key)
            if old is None:
                return self.put({k: v for k, v in o.items() if k != "status" or r.key in HAS_NO_STATUS})
            new = {**{k: v for k, v in old.items() if k in ("metadata", "status")},
                   **{k: copy.deepcopy(v) for k, v in o.items() if k not in ("metadata", "status")}}
            new["metadata"] = {k: v for k, v in old["metadata"].items() if k not in ("labels", "annotations")}
            new["metadata"].update({k: copy.deepcopy(meta[k]) for k in ("labels", "annotations") if k in meta})
            return self._change(r, key, old, new)

    def remove(self, api_version, kind, namespace, name):
        r = self.resource_of(api_version, kind)
        with self.changed:
            self.delete(r, namespace, name)

    def all(self, plural):
        with self.changed:
            return [o for key, items in self.objects.items() if key[1] == plural for o in items.values()]

    def compact(self):
        """Every version that is not the present one is gone; watches that are open get a 410."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()
            watchers = list(self.watchers)
        body = json.dumps({"type": "ERROR", "object": expired().body()}).encode() + b"\n"
        for watcher in watchers:
            watcher.push(("raw", body))
            watcher.push(("end", None))

    def end_watches(self):
        self._tell(("end", None))

    def cut_watches(self):
        """Every watch breaks in the middle of a line."""
        self._tell(("cut", None))

    def inject(self, plural, data):
        """Raw bytes into all watches of a resource, once there is one: between a list and its watch there is none."""
        wait_until(lambda: self._tell(("raw", data), plural), 20, "somebody watches %s" % plural)

    def _tell(self, item, plural=None):
        with self.changed:
            watchers = [w for w in self.watchers if plural in (None, w.resource.plural)]
        for watcher in watchers:
            watcher.push(item)
        return len(watchers)

    def open_watches(self, plural=None):
        with self.changed:
            return sum(plural in (None, w.resource.plural) for w in self.watchers)

    # - the store; the lock is held

    def _store(self, r, key, o, event=None):
        items = self.objects.setdefault(r.key, {})
        old = items.get(key)
        if old is not None:
            o["metadata"].setdefault("uid", old["metadata"]["uid"])
        super()._store(r, key, o)
        if event == "DELETED":
            items.pop(key, None)
        if r.key == ("", "secrets"):
            self.secret_values |= {base64.b64decode(v).decode("utf-8", "replace") for v in (o.get("data") or {}).values()}
        event = event or ("MODIFIED" if old is not None else "ADDED")
        self.history[r.key].append((self.version, event, old, o))
        for watcher in self.watchers:
            if watcher.resource.key == r.key:
                watcher.offer(event, old, o)

    def _change(self, r, key, old, new):
        """With the rules of the API server; `new` may share parts with `old`."""
        if new == old:
            return old
        new["metadata"] = dict(new["metadata"])
        strip = lambda o: {k: v for k, v in o.items() if k not in ("metadata", "status")}
        if r.key not in HAS_NO_STATUS and strip(new) != strip(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        gone = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        self._store(r, key, new, "DELETED" if gone else "MODIFIED")
        return new

    def replace(self, r, namespace, name, change, subresource=""):
        with self.changed:
            key = (namespace if r.namespaced else "", name)
            old = self.objects.get(r.key, {}).get(key)
            if old is None:
                raise missing(r, name)
            new = change(old)
            if not isinstance(new.get("metadata"), dict):
                raise APIError(400, "the result is not an object")
            meta, before = new["metadata"], old["metadata"]
            if meta.get("resourceVersion") not in (None, "", before["resourceVersion"]):
                raise APIError(409, 'Operation cannot be fulfilled on %s "%s": the object has been modified; please apply '
                                    "your changes to the latest version and try again" % (fakekube.qualified(r), name))
            if subresource == "status":
                if r.key in HAS_NO_STATUS:
                    raise not_served()
                new = {**old, "status": new.get("status")}
            else:
                new = dict(new, metadata=dict(meta))
                for field in ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation",
                              "resourceVersion"):
                    new["metadata"].pop(field, None)
                    if field in before:
                        new["metadata"][field] = before[field]
                new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
                if r.key not in HAS_NO_STATUS:
                    new.pop("status", None)
                    if "status" in old:
                        new["status"] = old["status"]
            return self.shown(r, self._change(r, key, old, new))

    def patch(self, r, namespace, name, change, subresource=""):
        return self.replace(r, namespace, name, lambda old: merge(old, change), subresource)

    def delete(self, r, namespace, name):
        with self.changed:
            key = (namespace if r.namespaced else "", name)
            old = self.objects.get(r.key, {}).get(key)
            if old is None:
                raise missing(r, name)
            new = dict(old, metadata=dict(old["metadata"]))
            if new["metadata"].get("finalizers"):
                if "deletionTimestamp" not in new["metadata"]:
                    new["metadata"]["deletionTimestamp"] = now()
                    new["metadata"]["generation"] = new["metadata"].get("generation", 1) + 1
                    self._store(r, key, new)
            else:
                self._store(r, key, new, "DELETED")
            return self.shown(r, new)

    def create(self, r, namespace, body):
        body = dict(body)
        if r.key not in HAS_NO_STATUS:
            body.pop("status", None)
        body.setdefault("metadata", {}).setdefault("generation", 1)
        return super().create(r, namespace, body)

    def shown(self, r, o):
        return dict(o, apiVersion=r.api_version, kind=r.kind)

    def read(self, r, namespace, name):
        with self.changed:
            o = self.objects.get(r.key, {}).get((namespace if r.namespaced else "", name))
            if o is None:
                raise missing(r, name)
            return self.shown(r, o)

    def text(self, r, o):
        """The object as JSON, made once for each version."""
        key = (r.key, r.version, o["metadata"].get("namespace"), o["metadata"]["name"])
        known = self.rendered.get(key)
        if known is None or known[0] != o["metadata"]["resourceVersion"]:
            known = (o["metadata"]["resourceVersion"], json.dumps(self.shown(r, o)).encode())
            self.rendered[key] = known
        return known[1]

    def page(self, r, namespace, query):
        """(resourceVersion, continue token, objects): the pages of one list show one state."""
        with self.changed:
            if query.get("continue"):
                snapshot, start = query["continue"].split("-")
                # Two kinds may be listed at one version.
                kept = (snapshot, r.key, namespace)
                if kept not in self.pages or int(snapshot) < self.oldest:
                    raise expired()
                items, start = self.pages[kept], int(start)
            else:
                visible = selection(query)
                items, start = [o for (ns, _), o in sorted(self.objects.get(r.key, {}).items())
                                if namespace in ("", ns) and visible(o)], 0
                snapshot = str(self.version)
            end = start + (int(query.get("limit") or 0) or len(items))
            if end < len(items):
                self.pages[snapshot, r.key, namespace] = items
                while len(self.pages) > PAGES_KEPT:
                    self.pages.popitem(last=False)
            return snapshot, "%s-%d" % (snapshot, end) if end < len(items) else "", items[start:end]

    def subscribe(self, r, namespace, query):
        watcher = Watcher(r, namespace, selection(query))
        with self.changed:
            asked = query.get("resourceVersion") or ""
            if asked in ("", "0"):
                for _, o in sorted(self.objects.get(r.key, {}).items()):
                    if watcher.sees(o):
                        watcher.push(("ADDED", o))
            else:
                if int(asked) < self.oldest:
                    raise expired()
                for version, event, old, o in self.history[r.key]:
                    if version > int(asked):
                        watcher.offer(event, old, o)
            self.watchers.add(watcher)
            self.watch_count += 1
        return watcher

    def fault(self, verb, plural, namespace, name):
        with self.changed:
            for f in self.faults:
                if f["verb"] not in ("*", verb) or f["resource"] not in ("*", plural) or f["times"] == 0:
                    continue
                if f.get("namespace", namespace) != namespace or f.get("name", name) != name:
                    continue
                if f["times"] > 0:
                    f["times"] -= 1
                return f
        return None


def expired():
    error = APIError(410, "too old resource version")
    error.body = lambda: dict(APIError.body(error), reason="Expired")
    return error


def selection(query):
    """A predicate for labelSelector and fieldSelector (metadata.name and metadata.namespace)."""
    labels = label_filter(query.get("labelSelector", ""))
    terms = [t.split("=", 1) for t in query.get("fieldSelector", "").replace("==", "=").split(",") if t]
    return lambda o: labels(o) and all(o["metadata"].get(k.rpartition(".")[2], "") == v for k, v in terms)


_pki_lock, _pki = threading.Lock(), []


def shared_pki():
    """One CA for all clusters of a run: making one costs more than starting a server."""
    with _pki_lock:
        if not _pki:
            folder = tempfile.TemporaryDirectory(prefix="grapnel-e2e-pki-")
            _pki.append((fakekube.make_pki(folder.name), folder))
        return _pki[0][0]


def watched_cluster(context, objects=(), port=None, without=(), down=False):
    """A started server with these objects, stopped with the test. `.kubeconfig_path` leads a server under test to it.

    `without`: API groups that are not served. `down`: it is only started by `.up()`.
    """
    folder = os.path.join(context.folder, "kube-%d" % len(context.closers))
    os.makedirs(folder)
    kube = WatchKube(shared_pki(), port or free_port(), without=without)
    for o in objects:
        kube.put(o)
    if down:
        kube._listener.server_close()
        kube._listener = None
    else:
        kube.start()
    context.closers.append(kube.stop)
    kube.kubeconfig_path = os.path.join(folder, "kubeconfig")
    with open(kube.kubeconfig_path, "w") as f:
        json.dump(kube.kubeconfig(), f)
    return kube
