"""What is for a machine: unit, packages, container file."""
import hashlib
import os
import re
import shutil
import subprocess

import support
from support import none, test

PACKAGING = os.path.join(support.DEPLOY, "packaging")


def unit():
    found = {}
    for line in support.read("deploy", "systemd", "grapnel.service").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@test("the unit is well confined")
def confined():
    program = support.program("systemd-analyze")
    result = subprocess.run([program, "security", "--offline=yes", os.path.join(support.DEPLOY, "systemd", "grapnel.service")],
                            capture_output=True, text=True, timeout=600)
    if "offline" in result.stderr:
        raise support.Skip("this systemd-analyze cannot judge a file")
    score = re.search(r"exposure level for grapnel.service: ([0-9.]+)", result.stdout)
    assert score and float(score.group(1)) <= 1.2, result.stdout[-400:] + result.stderr


@test("systemd reads the unit without a complaint")
def verified():
    program = support.program("systemd-analyze")
    with support.temporary() as folder:
        path = os.path.join(folder, "grapnel.service")
        with open(path, "w") as f:
            f.write(support.read("deploy", "systemd", "grapnel.service").replace("/usr/bin/grapnel", "/bin/true"))
        result = subprocess.run([program, "verify", "--man=no", path], capture_output=True, text=True, timeout=600)
        none(line for line in result.stderr.splitlines() if "grapnel.service" in line)


@test("unit, settings, users and folders agree")
def agree():
    found = unit()
    settings = support.yaml.safe_load(support.read("deploy", "systemd", "grapnel.yaml"))
    assert settings["dataDir"] == "/var/lib/" + found["StateDirectory"][0]
    assert found["ExecStart"] == ["/usr/bin/grapnel serve --config /etc/grapnel/grapnel.yaml"]
    grace = int(settings["shutdownGrace"].rstrip("s")) + int(settings["shutdownDelay"].rstrip("s"))
    assert grace < int(found["TimeoutStopSec"][0].rstrip("s"))
    assert re.search(r"^u %s " % found["User"][0], support.read("deploy", "systemd", "grapnel.sysusers"), re.M)
    for folder in ("/etc/grapnel/manifests", settings["dataDir"]):
        assert re.search(r"^d %s\s+07[05]0 " % folder, support.read("deploy", "systemd", "grapnel.tmpfiles"), re.M), folder
    assert "io_uring_setup" in " ".join(found["SystemCallFilter"])


def stand_in(folder):
    """A small program that packages as the server does: it prints a completion script and uses a library of a package."""
    program = support.program("gcc")
    source, output = os.path.join(folder, "a.c"), os.path.join(folder, "grapnel")
    with open(source, "w") as f:
        f.write('#include <stdio.h>\nextern const char *zlibVersion(void);\n'
                'int main(int n, char **a) { if (n > 5) puts(zlibVersion()); puts("#!/bin/bash\\ncomplete -W serve grapnel"); return 0; }\n')
    support.run(program, "-O2", "-fPIE", "-pie", "-Wl,-z,relro,-z,now", "-o", output, source, "-l:libz.so.1")
    return output


def package(script, binary, folder, name):
    output = os.path.join(folder, name)
    path = support.run(os.path.join(PACKAGING, script), env=dict(
        os.environ, GRAPNEL_BINARY=binary, DIST=output, SOURCE_DATE_EPOCH="1700000000", DEB_MAINTAINER="Grapnel <grapnel@grapnel.dev>",
        LC_ALL="C.UTF-8")).strip()
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    with open(path + ".sha256") as f:
        assert f.read() == "%s  %s\n" % (digest, os.path.basename(path))
    return path, digest


@test("the tarball is the same each time and holds what a machine needs")
def tarball():
    support.program("strip")
    with support.temporary() as folder:
        try:
            binary = stand_in(folder)
        except AssertionError as failure:
            raise support.Skip("no stand-in can be compiled: %s" % failure)
        path, first = package("tarball.sh", binary, folder, "a")
        os.utime(binary)
        _, second = package("tarball.sh", binary, folder, "b")
        assert first == second
        names = support.run("tar", "--list", "--verbose", "--file", path)
        top = os.path.basename(path)[:-len(".tar.gz")]
        for wanted in ("bin/grapnel", "LICENSE", "doc/install.md", "doc/kubernetes.md", "systemd/grapnel.service", "crds/hooks.grapnel.dev.yaml",
                       "quickstart/serve.sh"):
            assert "%s/%s\n" % (top, wanted) in names, wanted
        assert all(re.match(r"[d-]rw[x-]r-[x-]r-[x-] 0/0 ", line) for line in names.splitlines()), names


@test("the Debian package is the same each time, and complete")
def deb():
    for name in ("dpkg-deb", "dpkg-query", "strip", "objdump"):
        support.program(name)
    with support.temporary() as folder:
        try:
            binary = stand_in(folder)
        except AssertionError as failure:
            raise support.Skip("no stand-in can be compiled: %s" % failure)
        path, first = package("deb.sh", binary, folder, "a")
        _, second = package("deb.sh", binary, folder, "b")
        assert first == second
        fields = support.run("dpkg-deb", "--field", path)
        number = support.read("Sources", "Grapnel", "Commands", "VersionCommand.swift").split('static let number = "')[1].split('"')[0]
        assert "Version: %s\n" % number in fields and re.search(r"^Depends: adduser, .*\bzlib1g\b", fields, re.M), fields
        contents = support.run("dpkg-deb", "--contents", path)
        assert all(" root/root " in line for line in contents.splitlines()), contents
        root = os.path.join(folder, "root")
        support.run("dpkg-deb", "--raw-extract", path, root)
        conffiles = open(os.path.join(root, "DEBIAN", "conffiles")).read().split()
        for name in conffiles + ["/usr/bin/grapnel", "/lib/systemd/system/grapnel.service", "/usr/lib/tmpfiles.d/grapnel.conf"]:
            assert os.path.exists(root + name), name
        in_etc = ["/" + os.path.relpath(os.path.join(at, f), root) for at, _, files in os.walk(os.path.join(root, "etc")) for f in files]
        assert sorted(in_etc) == sorted(conffiles)
        support.run("md5sum", "--check", "--quiet", "DEBIAN/md5sums", cwd=root)
        for name in ("postinst", "prerm", "postrm"):
            support.run("sh", "-n", os.path.join(root, "DEBIAN", name))
        if shutil.which("lintian"):
            # The stand-in is no server: what lintian says of its contents does not count.
            tags = "hardening-no-pie,unstripped-binary-or-object,embedded-library,hardening-no-fortify-functions"
            result = subprocess.run(["lintian", "--no-cfg", "--allow-root", "--suppress-tags", tags, path], capture_output=True, text=True, timeout=600)
            none(line for line in result.stdout.splitlines() if line.startswith(("E:", "W:")))


@test("the scripts are sound, and run from a fresh checkout")
def scripts():
    for name in sorted(os.listdir(PACKAGING)):
        if name.endswith(".sh"):
            path = os.path.join(PACKAGING, name)
            support.run("bash", "-n", path)
            text = support.read("deploy", "packaging", name)
            assert name == "common.sh" or (os.access(path, os.X_OK) and "set -euo pipefail" in text), name
            assert not re.search(r"/(work|home|tmp/)\w", text), name
    makefile = support.read("Makefile")
    for target, script in (("tarball", "tarball.sh"), ("deb", "deb.sh")):
        assert re.search(r"^%s:.* ## .*\n\t@deploy/packaging/%s$" % (target, script), makefile, re.M), target


def stages():
    """The container file: [(base image, [(instruction, arguments)])]."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", support.read("deploy", "container", "Containerfile")))
    found, before = [], []
    for line in text.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                found.append((rest, []))
            elif found:
                found[-1][1].append((word, rest.strip()))
            else:
                before.append((word, rest))
    return before, found


@test("the container file has the form it should have")
def container():
    before, found = stages()
    known = {"RUN", "COPY", "WORKDIR", "LABEL", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert all(word == "ARG" for word, _ in before) and len(found) == 2, before
    none("unknown instruction %s" % word for _, lines in found for word, _ in lines if word not in known)
    (build, building), (image, running) = found
    assert build.endswith(" AS build") and "SWIFT_IMAGE" in build and "DEBIAN_IMAGE" in image
    assert any("--static-swift-stdlib" in rest for word, rest in building if word == "RUN")
    order = [word for word, _ in running]
    assert dict(running)["USER"] == "65532:65532" and order.index("USER") > max(i for i, word in enumerate(order) if word == "RUN")
    assert support.json.loads(dict(running)["ENTRYPOINT"]) == ["/usr/bin/grapnel"] and support.json.loads(dict(running)["CMD"])[0] == "serve"
    ignored = support.read("deploy", "container", "Containerfile.containerignore")
    assert ignored == support.read("deploy", "container", "Containerfile.dockerignore")
    for word, rest in building + running:
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert source == "." or os.path.exists(os.path.join(support.ROOT, source)) and "!%s\n" % source in ignored, source
    # The same user as in the pods, so that a volume's files fit both.
    (pod,) = [w["spec"]["template"]["spec"]["securityContext"] for w in support.rendered()["kubernetes/base"] if w["kind"] == "StatefulSet"]
    assert "%d:%d" % (pod["runAsUser"], pod["runAsGroup"]) == dict(running)["USER"]


@test("the image holds the libraries that Package.swift links")
def libraries():
    linked = set(re.findall(r'linkedLibrary\("(\w+)"\)', support.read("Package.swift")))
    packages = {"uring": "liburing2", "crypto": "libssl3", "ssl": "libssl3", "IPSec_MB": "libipsec-mb1", "z": "zlib1g", "simdjson": "libsimdjson14"}
    _, (_, (_, running)) = stages()
    installed = " ".join(rest for word, rest in running if word == "RUN").split()
    assert linked <= set(packages), linked
    none("%s needs %s" % (name, packages[name]) for name in linked if packages[name] not in installed)
