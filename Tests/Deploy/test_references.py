"""Whether the objects of each variant fit together."""
import re

import support
from support import none, test

CLUSTER = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def selected(selector, labels):
    return selector and all(labels.get(key) == value for key, value in selector.items())


def workloads(objects):
    return [item for item in objects if item["kind"] == "StatefulSet"]


def ports(workload):
    return {port["name"]: port["containerPort"] for c in workload["spec"]["template"]["spec"]["containers"] for port in c.get("ports", [])}


def find(objects, kind, name, namespace=None):
    return [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name
            and (namespace is None or item["metadata"].get("namespace") == namespace)]


def variants():
    return support.everything()


@test("names are unique")
def unique():
    for name, objects in variants():
        keys = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
        none("%s: %s is there twice" % (name, key) for key in set(keys) if keys.count(key) > 1)


@test("everything that has a namespace says it, and is in one that is meant")
def namespaces():
    for name, objects in variants():
        for item in objects:
            has = "namespace" in item["metadata"]
            if item["kind"] in CLUSTER:
                assert not has, "%s: %s has a namespace" % (name, item["metadata"])
            elif name not in ("kubernetes/overlays/namespaced/tenant",) and not name.startswith("base and "):
                assert has, "%s: %s %s has none" % (name, item["kind"], item["metadata"]["name"])


@test("Services, budgets and policies select the pods; their ports exist")
def selectors():
    for name, objects in variants():
        pods = workloads(objects)
        for item in objects:
            place = "%s: %s %s" % (name, item["kind"], item["metadata"]["name"])
            if item["kind"] == "Service" and "selector" in item["spec"]:
                matching = [w for w in pods if selected(item["spec"]["selector"], w["spec"]["template"]["metadata"]["labels"])
                            and w["metadata"].get("namespace") == item["metadata"].get("namespace")]
                assert matching, place + " selects no pod"
                known = ports(matching[0])
                for port in item["spec"]["ports"]:
                    assert port["targetPort"] in known or port["targetPort"] in known.values(), "%s: %s" % (place, port)
            if item["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
                selector = item["spec"]["selector" if item["kind"] == "PodDisruptionBudget" else "podSelector"]["matchLabels"]
                if "acme.cert-manager.io/http01-solver" in selector:
                    continue
                matching = [w for w in pods if selected(selector, w["spec"]["template"]["metadata"]["labels"])]
                assert matching, place + " selects no pod"
                for rule in item["spec"].get("ingress", []):
                    for port in rule["ports"]:
                        assert port["port"] in ports(matching[0]).values(), "%s: %s" % (place, port)
            if item["kind"] == "ServiceMonitor":
                services = [s for s in objects if s["kind"] == "Service"
                            and selected(item["spec"]["selector"]["matchLabels"], s["metadata"].get("labels", {}))]
                assert len(services) == 1, place + " selects %d Services" % len(services)
                assert item["spec"]["endpoints"][0]["port"] in [p["name"] for p in services[0]["spec"]["ports"]], place


@test("each port a Service or the webhooks' policy leads to is one that the server listens on")
def listens():
    for name, objects in variants():
        for workload in workloads(objects):
            (container,) = workload["spec"]["template"]["spec"]["containers"]
            listened = {int(m.group(1)) for a in container["args"] for m in [re.match(r"--(?:tls-|metrics-)?listen=.*:(\d+)$", a)] if m}
            assert set(ports(workload).values()) == listened, "%s: ports %s, listeners %s" % (name, ports(workload), listened)
            allowed = {p["port"] for item in objects if item["kind"] == "NetworkPolicy" for r in item["spec"]["ingress"] for p in r["ports"]}
            if allowed:
                assert listened <= allowed, "%s: no policy lets %s through" % (name, listened - allowed)


@test("Ingress, HTTPRoute and Route lead to a port of the Service")
def routes():
    for name, objects in variants():
        for item in objects:
            if item["kind"] == "Ingress":
                backend = item["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
                (service,) = find(objects, "Service", backend["name"])
                assert backend["port"]["name"] in [p["name"] for p in service["spec"]["ports"]], name
                assert [t["hosts"] for t in item["spec"]["tls"]] == [[item["spec"]["rules"][0]["host"]]], name
            if item["kind"] == "HTTPRoute":
                backend = item["spec"]["rules"][0]["backendRefs"][0]
                (service,) = find(objects, "Service", backend["name"])
                assert backend["port"] in [p["port"] for p in service["spec"]["ports"]], name
            if item["kind"] == "Route":
                (service,) = find(objects, "Service", item["spec"]["to"]["name"])
                assert item["spec"]["port"]["targetPort"] in [p["name"] for p in service["spec"]["ports"]], name


@test("EndpointSlices belong to a Service without a selector and name its ports")
def slices():
    for name, objects in variants():
        for item in objects:
            if item["kind"] == "EndpointSlice":
                (service,) = find(objects, "Service", item["metadata"]["labels"]["kubernetes.io/service-name"], item["metadata"]["namespace"])
                assert "selector" not in service["spec"], name
                assert [p["name"] for p in item["ports"]] == [p["name"] for p in service["spec"]["ports"]], name
                assert [p["port"] for p in item["ports"]] == [p["targetPort"] for p in service["spec"]["ports"]], name


@test("bindings name roles that exist and the account of the pods, where it is")
def bindings():
    for name, objects in variants():
        accounts = [(a["metadata"].get("namespace", "grapnel-system"), a["metadata"]["name"]) for a in objects if a["kind"] == "ServiceAccount"]
        roles = set()
        for item in objects:
            if item["kind"] in ("RoleBinding", "ClusterRoleBinding"):
                place = "%s: %s %s" % (name, item["kind"], item["metadata"]["name"])
                role = item["roleRef"]
                namespace = item["metadata"].get("namespace") if role["kind"] == "Role" else None
                assert find(objects, role["kind"], role["name"], namespace), place + " names no role of ours"
                roles.add((role["kind"], role["name"], namespace))
                for subject in item["subjects"]:
                    assert not accounts or (subject["namespace"], subject["name"]) in accounts, "%s: %s" % (place, subject)
        for item in objects:
            if item["kind"] in ("Role", "ClusterRole"):
                namespace = item["metadata"].get("namespace") if item["kind"] == "Role" else None
                assert (item["kind"], item["metadata"]["name"], namespace) in roles, "%s: %s is bound nowhere" % (name, item["metadata"]["name"])
        for workload in workloads(objects):
            spec = workload["spec"]["template"]["spec"]
            assert (workload["metadata"].get("namespace", "grapnel-system"), spec["serviceAccountName"]) in accounts, name


@test("volumes that are mounted are defined, and what they name exists")
def volumes():
    for name, objects in variants():
        for workload in workloads(objects):
            spec = workload["spec"]["template"]["spec"]
            defined = {v["name"] for v in spec["volumes"]} | {v["metadata"]["name"] for v in workload["spec"]["volumeClaimTemplates"]}
            mounts = [m for c in spec["containers"] for m in c["volumeMounts"]]
            assert {m["name"] for m in mounts} == defined, name
            for volume in spec["volumes"]:
                if "configMap" in volume:
                    (settings,) = find(objects, "ConfigMap", volume["configMap"]["name"])
                    assert "grapnel.yaml" in settings["data"], name
            (container,) = spec["containers"]
            folders = [m["mountPath"] for m in mounts]
            named = [a.partition("=")[2] for a in container["args"] if re.match(r"--tls-(certificate|key)=", a)]
            named += [e["value"] for e in container["env"] if e["name"] in ("GRAPNEL_CONFIG", "GRAPNEL_DATA_DIR")]
            assert len(named) >= 2, name
            for path in named:
                assert any(path == f or path.startswith(f + "/") for f in folders), "%s: %s is on no volume" % (name, path)


@test("the pods pass Pod Security `restricted`")
def restricted():
    for name, objects in variants():
        for workload in workloads(objects):
            spec = workload["spec"]["template"]["spec"]
            pod = spec["securityContext"]
            assert pod["runAsNonRoot"] is True and pod["seccompProfile"]["type"] == "RuntimeDefault", name
            assert not any(spec.get(word) for word in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")), name
            assert pod.get("runAsUser", 1) != 0, name
            for container in spec["containers"]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True, name
                assert context["capabilities"] == {"drop": ["ALL"]} and not context.get("privileged"), name
                assert container["resources"]["limits"]["memory"] and container["resources"]["requests"], name
                assert all("hostPort" not in port for port in container["ports"]), name
            assert all(set(volume) & {"configMap", "secret", "emptyDir", "projected"} for volume in spec["volumes"]), name
        for item in objects:
            if item["kind"] == "Namespace":
                assert item["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", name


@test("delay and grace fit into the termination grace period, and readiness fails within the delay")
def termination():
    for name, objects in variants():
        for workload in workloads(objects):
            spec = workload["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            flags = dict(a.partition("=")[::2] for a in container["args"])
            delay, grace = (int(flags[f].rstrip("s")) for f in ("--shutdown-delay", "--shutdown-grace"))
            probe = container["readinessProbe"]
            assert delay + grace < spec["terminationGracePeriodSeconds"], name
            assert probe["periodSeconds"] * probe["failureThreshold"] < delay, name
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[kind]["httpGet"]["port"] in ports(workload), name


@test("the journal's bound is below the size of its volume")
def journal():
    for name, objects in variants():
        for workload in workloads(objects):
            (container,) = workload["spec"]["template"]["spec"]["containers"]
            (bound,) = [a.partition("=")[2] for a in container["args"] if a.startswith("--journal-max-bytes=")]
            (claim,) = workload["spec"]["volumeClaimTemplates"]
            size = claim["spec"]["resources"]["requests"]["storage"]
            assert bound.endswith("GiB") and size.endswith("Gi") and int(bound[:-3]) < int(size[:-2]), "%s: %s, %s" % (name, bound, size)


def rules(objects):
    for item in objects:
        if item["kind"] in ("Role", "ClusterRole"):
            for rule in item["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        yield item, group, resource, rule


@test("no right is granted by a star, none is beyond what the server uses, and Secrets are only read")
def smallest():
    writes = {"leases": {"create", "get", "update"}, "events": {"create", "patch"}, "selfsubjectaccessreviews": {"create"}, "s2iruns": {"create", "list"}}
    for name, objects in variants():
        for item, group, resource, rule in rules(objects):
            place = "%s: %s %s/%s" % (name, item["metadata"]["name"], group, resource)
            verbs = set(rule["verbs"])
            assert "*" not in verbs | {group, resource}, place
            if resource in writes:
                assert verbs <= writes[resource], place
            elif resource.startswith("builds/") or resource in ("buildconfigs/instantiate", "buildconfigs/webhooks"):
                assert verbs == {"create"}, place
            elif (group, resource) == ("build.openshift.io", "builds"):
                assert verbs == {"list"}, place
            elif resource.endswith("/status"):
                assert verbs == {"patch"} and resource in ("hooks/status", "receivers/status"), place
            elif resource in ("secrets", "buildconfigs", "s2ibuilders", "images"):
                assert verbs == {"get", "list", "watch"}, place
            else:
                assert verbs <= {"get", "list", "watch", "patch"}, place
                assert "fluxcd." in group or group in ("kpack.io", "build.pivotal.io", "grapnel.dev"), place


@test("a system that is left out leaves out its rights")
def separate():
    groups = {"flux": "fluxcd.", "openshift": "build.openshift.io", "openshift-relay": "build.openshift.io",
              "kubesphere": "devops.kubesphere.io", "build-service": "kpack.io"}
    base = support.rendered()["kubernetes/base"]
    shared = {"coordination.k8s.io"}
    none(group for _, group, _, _ in rules(base) if any(other in group for other in groups.values()))
    for component, group in groups.items():
        objects = support.rendered()["base and kubernetes/components/" + component]
        added = {g for _, g, _, _ in rules(objects)} - {g for _, g, _, _ in rules(base)}
        added -= shared
        assert added and all(group in g or g == "build.pivotal.io" for g in added), "%s adds %s" % (component, added)
    relayed = {r for _, _, r, _ in rules(support.rendered()["base and kubernetes/components/openshift-relay"])}
    assert "buildconfigs/instantiate" not in relayed


@test("the overlay `namespaced` has no ClusterRole, and its Role holds what the ClusterRoles hold")
def namespaced():
    objects = support.rendered()["kubernetes/overlays/namespaced"]
    assert not [item for item in objects if item["kind"].startswith("ClusterRole")]
    (role,) = find(objects, "Role", "grapnel-watch", "team-a")
    of = lambda items: {(g, r, v) for _, g, r, rule in rules(items) for v in rule["verbs"]}
    wanted = set()
    for name, variant in support.rendered().items():
        if name.startswith("base and kubernetes/components/") and not name.endswith("relay"):
            wanted |= of([item for item in variant if item["kind"] == "ClusterRole"])
    wanted = {(g, r, v) for g, r, v in wanted if not r.startswith("cluster") and r != "selfsubjectaccessreviews"}
    assert of([role]) == wanted, (of([role]) ^ wanted)


@test("beside Flux nothing may be written to Receivers")
def beside():
    objects = support.rendered()["kubernetes/overlays/beside-flux"]
    receivers = [(r, rule["verbs"]) for _, _, r, rule in rules(objects) if r.startswith("receivers")]
    assert receivers == [("receivers", ["get", "list", "watch"])] * 2, receivers


@test("every kind that the server watches may be watched, in all namespaces and in single ones")
def watched():
    source = support.read("Sources", "Cluster", "Objects", "WatchedKind.swift")
    kinds = re.findall(r'WatchedKind\(\s*"([\w.]*)", "(\w+)", \[[^\]]*\](.*?)\)', source, re.S)
    assert len(kinds) > 10, kinds
    plural = lambda kind: kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"
    cluster, single = set(), set()
    for name, objects in support.rendered().items():
        for item, group, resource, rule in rules(objects):
            if {"get", "list", "watch"} <= set(rule["verbs"]) and "relay" not in name:
                (cluster if item["kind"] == "ClusterRole" else single).add((group, resource))
    none("%s in %s may not be watched" % (kind, group or "core") for group, kind, _ in kinds if (group, plural(kind)) not in cluster)
    none("%s in %s may not be watched in a namespace" % (kind, group or "core") for group, kind, more in kinds
         if "isNamespaced: false" not in more and (group, plural(kind)) not in single)
