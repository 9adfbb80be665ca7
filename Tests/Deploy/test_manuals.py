"""The manuals name every right that is asked for, every overlay, and files that exist."""
import os
import re

import support
from support import none, test


@test("docs/kubernetes.md says why for each resource of each role")
def rights():
    table = [line for line in support.read("docs", "kubernetes.md").splitlines() if line.startswith("|")]
    missing = set()
    for name, objects in support.everything():
        for item in objects:
            if item["kind"] in ("Role", "ClusterRole"):
                for rule in item["rules"]:
                    for resource in rule["resources"]:
                        if not any(re.search(r"\| [^|]*(?<![\w/])%s(?![\w/])[^|]* \|" % re.escape(resource), line) for line in table):
                            missing.add(resource)
    none("%s is in no row" % resource for resource in sorted(missing))


@test("the manuals' links and paths lead to something")
def paths():
    for name in ("install.md", "kubernetes.md"):
        text = support.read("docs", name)
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert os.path.exists(os.path.join(support.ROOT, "docs", link)), "%s: %s" % (name, link)
        for path in re.findall(r"(?<![\w/.-])deploy/[\w./-]+", text):
            assert os.path.exists(os.path.join(support.ROOT, path.rstrip("."))), "%s: %s" % (name, path)
    for name in re.findall(r"`overlays/([\w-]+)`", support.read("docs", "kubernetes.md")):
        assert os.path.isdir(os.path.join(support.DEPLOY, "kubernetes", "overlays", name)), name


@test("values that the manual sets are values of the chart")
def values():
    defaults = support.yaml.safe_load(support.read("deploy", "helm", "grapnel", "values.yaml"))
    for path in re.findall(r"--set ([\w.]+)=", support.read("docs", "kubernetes.md")):
        node = defaults
        for part in path.split("."):
            assert isinstance(node, dict) and part in node, path
            node = node[part]
