"""Rules and dashboard: over figures that the server has, and judged by Prometheus's own tool."""
import json
import os
import re

import yaml

import support
from support import none, test

FOLDER = os.path.join(support.DEPLOY, "monitoring")


def metrics():
    """Names in the sources of the page, with what a histogram makes of its own."""
    text = "".join(support.read("Sources", "Grapnel", "Metrics", name)
                   for name in os.listdir(os.path.join(support.ROOT, "Sources", "Grapnel", "Metrics")))
    found = set(re.findall(r'"(grapnel_\w+)"', text))
    histograms = set(re.findall(r'"(grapnel_\w+)",\s*\.histogram', text))
    return found - histograms | {name + suffix for name in histograms for suffix in ("_bucket", "_sum", "_count")}


def expressions():
    for group in yaml.safe_load(support.read("deploy", "monitoring", "alerts.yaml"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads(support.read("deploy", "monitoring", "grafana-dashboard.json"))["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


@test("promtool takes the rules")
def rules():
    support.run(support.program("promtool"), "check", "rules", os.path.join(FOLDER, "alerts.yaml"))


@test("each rule is raised when it should be, and not otherwise")
def raised():
    support.run(support.program("promtool"), "test", "rules", "alerts.test.yaml", cwd=FOLDER)
    tests = yaml.safe_load(support.read("deploy", "monitoring", "alerts.test.yaml"))["tests"]
    tried = {(case["alertname"], bool(case["exp_alerts"])) for t in tests for case in t["alert_rule_test"]}
    (group,) = yaml.safe_load(support.read("deploy", "monitoring", "alerts.yaml"))["groups"]
    none("%s is not tried both ways" % rule["alert"] for rule in group["rules"] if not {(rule["alert"], True), (rule["alert"], False)} <= tried)


@test("rules and dashboard use figures that the server has")
def known():
    have = metrics()
    assert len(have) > 40, have
    none("%s uses %s" % (where, name) for where, text in expressions() for name in re.findall(r"grapnel_\w+", text) if name not in have)


@test("promtool reads each expression of the dashboard")
def readable():
    promtool = support.program("promtool")
    rules = [{"record": "a:b%d" % i, "expr": re.sub(r"\$__rate_interval", "5m", text).replace("$instance", ".*")}
             for i, (_, text) in enumerate(expressions())]
    with support.temporary() as folder:
        with open(os.path.join(folder, "rules.yaml"), "w") as f:
            json.dump({"groups": [{"name": "g", "rules": rules}]}, f)
        support.run(promtool, "check", "rules", os.path.join(folder, "rules.yaml"))


@test("the dashboard's panels have ids of their own, a place of their own, and a description")
def dashboard():
    document = json.loads(support.read("deploy", "monitoring", "grafana-dashboard.json"))
    panels = document["panels"]
    assert len({p["id"] for p in panels}) == len(panels) > 20
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in places, "%s lies on another panel" % panel["title"]
                places.add((x, y))
        assert panel["type"] == "row" or (panel["description"] and panel["targets"]), panel["title"]
    variables = {v["name"] for v in document["templating"]["list"]}
    none("%s: $%s" % (where, name) for where, text in expressions() for name in re.findall(r"\$(\w+)", text)
         if name not in variables | {"__rate_interval", "labels", "value"})
