"""Flags (also as variables), settings and commands that deploy/ and its manuals use are those that the server knows."""
import re
import subprocess

import yaml

import support
from support import none, test

# Used in deploy/ and not known to the server yet. An entry that the server knows, or that nothing uses any more, fails: take it out.
FLAGS_TO_COME = set()
COMMANDS_TO_COME = set()


def known_flags():
    """Of `grapnel serve`, from the sources."""
    names = re.findall(r"^    var (\w+): ?(?:String\?|\[String\])|^    var (\w+) = false", support.read(
        "Sources", "Grapnel", "Settings", "ServeOptions.swift"), re.M)
    return {"--" + re.sub(r"([A-Z])", lambda m: "-" + m.group(1).lower(), a or b) for a, b in names}


def known_commands():
    text = support.read("Sources", "Grapnel", "Grapnel.swift")
    return {name.lower() for name in re.findall(r"(\w+)Command\.self", text)} | {"help"}


def used_flags():
    found = {}
    for name, objects in support.everything():
        for item in objects:
            if item["kind"] == "StatefulSet":
                (container,) = item["spec"]["template"]["spec"]["containers"]
                for argument in container["args"][1:]:
                    found.setdefault(argument.partition("=")[0], name)
                for variable in container["env"]:
                    if variable["name"].startswith("GRAPNEL_"):
                        found.setdefault("--" + variable["name"][8:].lower().replace("_", "-"), name)
    for match in re.findall(r'"(--[a-z-]+)"', support.read("deploy", "container", "Containerfile")):
        found.setdefault(match, "Containerfile")
    for line in re.findall(r"^ExecStart=.*", support.read("deploy", "systemd", "grapnel.service"), re.M):
        for match in re.findall(r"--[a-z-]+", line):
            found.setdefault(match, "grapnel.service")
    return found


@test("manifests, chart, unit and container use flags that the server knows")
def flags():
    known, used = known_flags(), used_flags()
    assert len(known) > 30, known
    none("%s uses %s, which the server does not know" % (where, flag) for flag, where in used.items() if flag not in known | FLAGS_TO_COME)
    none("%s is known now: take it out of FLAGS_TO_COME" % flag for flag in FLAGS_TO_COME & known)
    none("%s is used nowhere: take it out of FLAGS_TO_COME" % flag for flag in FLAGS_TO_COME - set(used))


@test("manuals of deploy/ name commands that the server has")
def commands():
    known, used = known_commands(), {}
    texts = [("docs", "install.md"), ("docs", "kubernetes.md"), ("deploy", "systemd", "grapnel.yaml"), ("deploy", "packaging", "grapnel.1"),
             ("deploy", "helm", "grapnel", "templates", "NOTES.txt")]
    texts += [("deploy", "kubernetes", "overlays", name, "README.md") for name in __import__("os").listdir(
        support.os.path.join(support.DEPLOY, "kubernetes", "overlays"))]
    for path in texts:
        for match in re.findall(r"(?:`|/usr/bin/|^    )grapnel ([a-z]+)", support.read(*path), re.M):
            used.setdefault(match, "/".join(path))
    none("%s names the command %s" % (where, name) for name, where in used.items() if name not in known | COMMANDS_TO_COME)
    none("the command %s is known now: take it out of COMMANDS_TO_COME" % name for name in COMMANDS_TO_COME & known)
    none("the command %s is named nowhere" % name for name in COMMANDS_TO_COME - set(used))


@test("settings files are taken by the server")
def settings():
    if support.grapnel is None:
        raise support.Skip("there is no release binary")
    texts = {"grapnel.yaml of the unit": support.read("deploy", "systemd", "grapnel.yaml")}
    for name, objects in support.everything():
        for item in objects:
            if item["kind"] == "ConfigMap":
                texts[name] = item["data"]["grapnel.yaml"]
    for name, text in texts.items():
        with support.temporary() as folder:
            support.os.makedirs(folder + "/manifests")
            with open(folder + "/grapnel.yaml", "w") as f:
                f.write(text)
            result = subprocess.run([support.grapnel, "check", "--config", folder + "/grapnel.yaml", "--manifests", folder + "/manifests"],
                                    capture_output=True, text=True, timeout=600, env={"PATH": "/usr/bin:/bin"})
            assert result.returncode == 0, "%s: %s" % (name, result.stderr)
            assert isinstance(yaml.safe_load(text), dict), name
