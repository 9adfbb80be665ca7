"""The Hook definition: a structural schema that takes what the server takes and refuses what it refuses."""
import json
import os
import re

import yaml

import cel
import crd
import kustomize
import support
from support import none, test


def definition():
    (document,) = kustomize.load(os.path.join(support.DEPLOY, "crds", "hooks.grapnel.dev.yaml"))
    return document


def spec_schema():
    return definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def hook(spec):
    return {"apiVersion": "grapnel.dev/v1alpha1", "kind": "Hook", "metadata": {"name": "a", "namespace": "b"}, "spec": spec}


def samples(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples", name), encoding="utf-8") as f:
        return yaml.safe_load(f)


def words(*path):
    return support.read("Sources", *path)


@test("the schema is structural, bounded and described")
def structural():
    document = definition()
    none(support.object_problems(document))
    (version,) = document["spec"]["versions"]
    none(crd.structural(version["schema"]["openAPIV3Schema"]))
    names = document["spec"]["names"]
    assert document["metadata"]["name"] == "%s.%s" % (names["plural"], document["spec"]["group"])
    assert version["subresources"] == {"status": {}} and version["served"] and version["storage"]
    assert [c["name"] for c in version["additionalPrinterColumns"] if not c.get("priority")] == ["Type", "Ready", "Path", "Age"]


@test("the checker of schemas finds what is not structural")
def unstructural():
    for schema in ({"type": "object", "properties": {"a": {}}}, {"type": "array"}, {"type": "object", "properties": {}, "additionalProperties": {}},
                   {"type": "object", "description": "x", "properties": {}, "required": ["a"]}, {"$ref": "#/x"},
                   {"type": "object", "description": "x", "properties": {}, "anyOf": [{"description": "y"}]}):
        assert crd.structural(schema), schema


@test("every Hook in the manuals is taken")
def manuals():
    count = 0
    for folder, names in (("docs", os.listdir(os.path.join(support.ROOT, "docs"))), (".", ["README.md"])):
        for name in sorted(names):
            if not name.endswith(".md"):
                continue
            for block in re.findall(r"^```yaml\n(.*?)^```", support.read(folder, name), re.S | re.M):
                if "kind: Hook" not in block:
                    continue
                for item in yaml.safe_load_all(block):
                    if item and item.get("kind") == "Hook":
                        count += 1
                        none("%s: %s: %s" % (name, item["metadata"]["name"], text) for text in crd.problems(item, definition()))
    assert count >= 8, "%d Hooks found" % count


@test("good samples are taken")
def good():
    for name, spec in samples("good.yaml").items():
        none("%s: %s" % (name, text) for text in crd.problems(hook(spec), definition()))


@test("bad samples are refused, for the reason that is meant")
def bad():
    for name, case in samples("bad.yaml").items():
        found = crd.problems(hook(case["spec"]), definition(), strict=not case.get("pruned"))
        assert found, "%s was taken" % name
        assert any(case["says"] in text for text in found), "%s: %r is not in %s" % (name, case["says"], found)


@test("each bad sample is refused by the server as well, and each good one taken")
def server():
    if support.grapnel is None:
        raise support.Skip("there is no release binary")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "b"}, "stringData": {
        "token": "6f1c2d0a9b8e7f3051627384a5b6c7d8", "email": "a@example.org", "audience": "https://hooks.example.org"}}
    cases = [(name, spec, 0) for name, spec in samples("good.yaml").items()]
    cases += [(name, case["spec"], 1) for name, case in samples("bad.yaml").items() if not case.get("schemaOnly")]
    import subprocess
    with support.temporary() as folder:
        for name, spec, wanted in cases:
            with open(os.path.join(folder, "hook.yaml"), "w", encoding="utf-8") as f:
                # JSON: no YAML reader's idea of what a text is comes in between.
                f.write(json.dumps(hook(spec)) + "\n---\n" + json.dumps(secret) + "\n")
            result = subprocess.run([support.grapnel, "check", "--manifests", folder, "--allow-exec"], capture_output=True, text=True, timeout=600,
                                    env={"PATH": "/usr/bin:/bin"})
            assert result.returncode == wanted, "%s: status %d: %s" % (name, result.returncode, result.stderr or result.stdout)


@test("every rule reads and judges a value")
def rules():
    count = 0

    def walk(schema):
        nonlocal count
        for rule in schema.get("x-kubernetes-validations", []):
            count += 1
            try:
                cel.Parser(rule["rule"]).whole()
            except cel.Failure as failure:
                raise AssertionError("%s: %s" % (rule["rule"], failure))
        for part in list(schema.get("properties", {}).values()) + ([schema["items"]] if "items" in schema else []):
            walk(part)
    walk(spec_schema())
    assert count > 30, count


@test("the small CEL of these tests refuses what it does not know")
def small():
    for text, variables, wanted in (("self.a == 'x' && has(self.b)", {"a": "x", "b": 1}, True), ("has(self.b)", {}, False),
                                    ("duration('1h30m') > duration('90s')", None, True), ("self.l.all(x, x < 3)", {"l": [1, 2]}, True),
                                    ("self.s.matches('^a$')", {"s": "a\n"}, False), ("!(self.t in ['a', 'b']) || true", {"t": "c"}, True)):
        assert cel.evaluate(text, {"self": variables}) is wanted, text
    for text in ("self.namespace == 'a'", "self.a.frobnicate()", "self.a ==", "self.a + 1 == 2", "other == 1", "self.a == 1"):
        try:
            cel.evaluate(text, {"self": {"a": "x"}})
        except cel.Failure:
            continue
        raise AssertionError("%s was evaluated" % text)


@test("the sender types are the server's, and so are their credentials")
def types():
    source = words("Delivery", "Route", "RouteDefinition.swift")
    names = set(re.findall(r'case \.\w+: "([a-z0-9-]+)"', source.split("enum SenderType")[1].split("var kind")[0].split("public enum")[0]))
    enum = set(spec_schema()["properties"]["type"]["enum"])
    assert enum == (names - {"generic"}) | {"forgejo"}, enum ^ names


@test("the schema has every field that the server reads, and no other")
def fields():
    folder = os.path.join(support.ROOT, "Sources", "Catalog", "Manifests")
    hook_source = "".join(words("Catalog", "Manifests", name) for name in os.listdir(folder) if name.startswith("Hook"))
    read = set(re.findall(r'spec\.(?:text|texts|list|map|node|boolean|size|duration|integer)\("(\w+)"', hook_source))
    read |= {"actions"} | ({"oidcProviders"} if "ReceiverManifest.providers(&spec)" in hook_source else set())
    assert set(spec_schema()["properties"]) == read, set(spec_schema()["properties"]) ^ read
    actions_source = words("Catalog", "Manifests", "HookActions.swift")
    (listed,) = re.findall(r"supported = \[(.*?)\]", actions_source, re.S)
    actions = spec_schema()["properties"]["actions"]["items"]["properties"]
    assert set(actions) == set(re.findall(r'"(\w+)"', listed)), set(actions)
    inner = {name for action in actions.values() for name in action.get("properties", {})}
    inner_read = set(re.findall(r'fields\.(?:text|texts|node|boolean|duration)\("(\w+)"', actions_source)) | {"builderName"}
    # What manifest files alone may say: a Hook in a cluster acts in that cluster, and its API server drops the field.
    inner_read -= {"cluster"}
    assert inner == inner_read, inner ^ inner_read


@test("no description or pattern holds a tab, and the file is what its first lines say")
def tidy():
    text = support.read("deploy", "crds", "hooks.grapnel.dev.yaml")
    assert text.startswith("# ") and "\t" not in text and len(text) < 262144
