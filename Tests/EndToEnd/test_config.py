"""Settings, manifests and the environment: each mistake gets one clear error, and harms nothing else."""
import os
import signal
import socket
import ssl
import subprocess

from harness import (PATIENCE, TOKEN, Failure, Skip, expect, expect_in, expect_that, github, hook, payload, plain_hook,
                     secret, wait_until)
from registry import test


def first_line(text):
    return next((line for line in text.splitlines() if line.strip()), "")


@test("an unknown flag is a usage error: exit 2, named")
def unknown_flag(context):
    for arguments in (["serve", "--no-such-flag"], ["no-such-command"], ["serve", "--manifests"]):
        result = context.command(*arguments)
        expect(result.returncode, 2, "exit status of `grapnel %s`: %s" % (" ".join(arguments), result.stderr))
        expect_that(arguments[-1].lstrip("-") in result.stderr, "the error does not name %r: %r" % (
            arguments[-1], result.stderr))


@test("a flag's value that cannot be is an error that names flag and value")
def wrong_values(context):
    for arguments in (["--loops", "many"], ["--listen", "nonsense"], ["--durability", "maybe"], ["--loops", "0"],
                      ["--max-body", "12 parsecs"], ["--header-timeout", "soon"], ["--journal-max-bytes", "1"]):
        result = context.command("serve", "--manifests", context.folder, *arguments)
        expect_in(result.returncode, {1, 2}, "exit status of `serve %s`: %s" % (" ".join(arguments), result.stderr))
        for part in arguments:
            expect_that(part in result.stderr, "the error does not name %r: %r" % (part, result.stderr))


@test("help and version answer on standard output")
def help_and_version(context):
    result = context.command("version")
    expect((result.returncode, bool(result.stdout.strip())), (0, True), "grapnel version")
    result = context.command("--help")
    expect(result.returncode, 0, "grapnel --help")
    for word in ("serve", "check", "send", "journal"):
        expect_that(word in result.stdout, "--help does not name %s" % word)
    expect_that("vector" not in result.stdout, "--help shows the hidden command")


@test("an unknown key in the settings is an error: exit 1, with file and line")
def unknown_key(context):
    config = os.path.join(context.folder, "grapnel.yaml")
    with open(config, "w") as f:
        f.write("listen: 127.0.0.1:0\nno-such-key: 7\n")
    result = context.command("serve", "--config", config, "--data-dir", os.path.join(context.folder, "data"))
    expect(result.returncode, 1, "exit status: " + result.stderr)
    expect_that("no-such-key" in result.stderr, "the error does not name the key: %r" % result.stderr)
    expect_that("grapnel.yaml:2" in result.stderr, "the error names no line: %r" % result.stderr)
    result = context.command("serve", "--config", os.path.join(context.folder, "absent.yaml"))
    expect(result.returncode, 1, "exit status with a settings file that is not there: " + result.stderr)
    expect_that("absent.yaml" in result.stderr, "the error does not name the file: %r" % result.stderr)


@test("`grapnel check` prints the routes, or each error as file:line: message and exit 1")
def check(context):
    folder = os.path.join(context.folder, "manifests")
    os.makedirs(folder)
    for name, text in plain_hook().items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    result = context.command("check", "--manifests", folder)
    expect(result.returncode, 0, "exit status: %s%s" % (result.stdout, result.stderr))
    expect_that("/hooks/team-a/webapp" in result.stdout, "the route is not printed: %r" % result.stdout)
    expect_that(TOKEN not in result.stdout + result.stderr, "the secret is printed")
    with open(os.path.join(folder, "broken.yaml"), "w") as f:
        f.write(hook("one") + "---\n" + hook("two", more="colour: blue") + "---\n" + "kind: [\n")
    result = context.command("check", "--manifests", folder)
    expect(result.returncode, 1, "exit status with mistakes")
    output = result.stdout + result.stderr
    line = (hook("one") + "---\n" + hook("two", more="colour: blue")).splitlines().index("  colour: blue") + 1
    expect_that("broken.yaml:%d" % line in output, "broken.yaml:%d is not named: %r" % (line, output))
    expect_that("colour" in output, "the unknown field is not named: %r" % output)


@test("a bad manifest is reported with file and line and harms no other")
def bad_manifest(context):
    bad = {
        "no-yaml.yaml": "kind: [\n",
        "unknown-field.yaml": hook("unknown", more="colour: blue"),
        "unknown-kind.yaml": "apiVersion: grapnel.dev/v1alpha1\nkind: Hoook\nmetadata: {name: a, namespace: b}\n",
        "no-name.yaml": "apiVersion: grapnel.dev/v1alpha1\nkind: Hook\nmetadata: {namespace: b}\nspec: {type: github}\n",
        "bad-type.yaml": hook("badtype", type="githoob"),
        "bad-base64.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: team-a}\ndata: {token: '***'}\n",
        "bad-action.yaml": hook("badaction", actions="[{fly: {}}]"),
        "binary.yaml": "\x00\x01\x02",
        "empty.yaml": "",
    }
    server = context.server({**plain_hook(), **bad}, start=False)
    server.start(ready=False)
    wait_until(lambda: server.serves("/hooks/team-a/webapp"), 15, "the good route is served")
    log = server.log_text()
    for name in bad:
        if name not in ("empty.yaml", "unknown-kind.yaml"):
            expect_that(name + ":" in log, "%s is not reported with its line: \n%s" % (name, server.tail(30)))
    status, body = server.admin("/readyz")
    expect_that(status != 200 or b"yaml" in body, "/readyz says nothing of the bad documents: %d %r" % (status, body))
    for name in bad:
        server.remove(name)
    wait_until(server.is_ready, 5, "ready after the bad files are gone")


@test("manifests are read again when they change and on SIGHUP; the last good version stays")
def reread(context):
    server = context.server(plain_hook())
    expect(server.push(path="/hooks/team-a/second").status, 404, "before")
    server.write("second.yaml", hook("second"))
    wait_until(lambda: server.push(path="/hooks/team-a/second").status == 200, 5, "a new file")
    # Written in place, as an editor without rename does, and by pieces.
    with open(os.path.join(server.manifests, "second.yaml"), "w") as f:
        f.write(hook("second", path="/moved"))
    wait_until(lambda: server.push(path="/moved").status == 200, 5, "a file changed in place")
    wait_until(lambda: server.push(path="/hooks/team-a/second").status == 404, 5, "its old path is gone")
    server.write("second.yaml", hook("second", path="/moved", more="colour: blue"))
    wait_until(lambda: "second.yaml:" in server.log_text(), 5, "a report of the mistake")
    expect(server.push(path="/moved").status, 200, "the last good version of a file that broke")
    expect(server.push().status, 200, "the route of another file")
    server.remove("second.yaml")
    wait_until(lambda: server.push(path="/moved").status == 404, 5, "a removed file")
    server.write("third.yaml", hook("third"))
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.push(path="/hooks/team-a/third").status == 200, 5, "SIGHUP")
    expect(server.is_ready(), True, "ready in the end")


@test("of two claimants of a path the first keeps it, and the other is reported with the winner's name")
def two_claimants(context):
    server = context.server({**plain_hook(), "a-first.yaml": hook("winner", path="/shared"),
                             "b-second.yaml": hook("loser", path="/shared")}, start=False)
    server.start(ready=False)
    wait_until(lambda: server.serves("/shared"), 15, "the path is served")
    log = server.log_text()
    lines = [line for line in log.splitlines() if "loser" in line]
    expect_that(any("winner" in line for line in lines), "no line names loser and winner: %r" % lines)


@test("a path in the environment, the settings and on the command line: the flag wins")
def precedence(context):
    server = context.server(plain_hook(), config="maxBody: 5000\n", start=False)
    server.start()
    from harness import padded_push
    expect(server.push(padded_push(5001)).status, 413, "max-body of the settings file")
    server.stop()
    server.env["GRAPNEL_MAX_BODY"] = "6000"
    server.start()
    expect(server.push(padded_push(5001)).status, 200, "the environment wins over the file")
    expect(server.push(padded_push(6001)).status, 413, "max-body of the environment")
    server.stop()
    server.flags += ["--max-body", "7000"]
    server.start()
    expect(server.push(padded_push(6001)).status, 200, "the flag wins over the environment")
    expect(server.push(padded_push(7001)).status, 413, "max-body of the flag")


@test("a taken port, an unwritable data directory, a second server: exit 3 and the remedy")
def environment(context):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("--listen", "--admin-listen"):
            server = context.server(plain_hook(), start=False)
            command = server.command()
            command[command.index(flag) + 1] = "127.0.0.1:%d" % port
            result = context.command(*command[1:])
            expect(result.returncode, 3, "exit status with a taken port for %s: %s" % (flag, result.stderr))
            expect_that(str(port) in result.stderr, "the error does not name the port: %r" % result.stderr)
    server = context.server(plain_hook(), start=False)
    blocked = os.path.join(context.folder, "a-file")
    open(blocked, "w").close()
    command = server.command()
    command[command.index("--data-dir") + 1] = os.path.join(blocked, "data")
    result = context.command(*command[1:])
    expect(result.returncode, 3, "exit status with a data directory below a file: " + result.stderr)
    expect_that("a-file" in result.stderr, "the error does not name the directory: %r" % result.stderr)
    server = context.server(plain_hook())
    second = context.server(plain_hook(), start=False)
    command = second.command()
    command[command.index("--data-dir") + 1] = server.data
    result = context.command(*command[1:])
    expect(result.returncode, 3, "exit status of a second server on the same data: " + result.stderr)
    expect_that(server.data in result.stderr, "the error does not name the directory: %r" % result.stderr)
    expect(server.push().status, 200, "the first server still serves")


@test("a data directory that nobody may write to: exit 3")
def unwritable(context):
    if os.geteuid() == 0:
        if not os.path.isdir("/sys/kernel"):
            raise Skip("root may write everywhere, and there is no /sys")
        data = "/sys/kernel/grapnel"                # a place where even root cannot make a directory
    else:
        data = os.path.join(context.folder, "locked")
        os.mkdir(data, 0o500)
    server = context.server(plain_hook(), start=False)
    command = server.command()
    command[command.index("--data-dir") + 1] = data
    result = context.command(*command[1:])
    expect(result.returncode, 3, "exit status: " + result.stderr)
    expect_that(data in result.stderr, "the error does not name the directory: %r" % result.stderr)


@test("`grapnel url` says what to enter at the sender, secrets only on demand")
def url(context):
    folder = os.path.join(context.folder, "manifests")
    os.makedirs(folder)
    for name, text in plain_hook(events=["ping", "push"]).items():
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    result = context.command("url", "Hook/webapp", "-n", "team-a", "--manifests", folder,
                             "--external-url", "https://hooks.example.com")
    expect(result.returncode, 0, "exit status: " + result.stderr)
    expect_that("https://hooks.example.com/hooks/team-a/webapp" in result.stdout, "no URL: %r" % result.stdout)
    expect_that(TOKEN not in result.stdout, "the secret is shown without --reveal")
    result = context.command("url", "Hook/absent", "-n", "team-a", "--manifests", folder,
                             "--external-url", "https://hooks.example.com")
    expect(result.returncode, 1, "exit status for an unknown resource")


@test("`grapnel send` signs, sends and shows request and answer")
def send(context):
    server = context.server(plain_hook())
    token_file = os.path.join(context.folder, "token")
    with open(token_file, "w") as f:
        f.write(TOKEN)
    result = send_command(context, server.port, token_file)
    expect(result.returncode, 0, "exit status: %s%s" % (result.stdout, result.stderr))
    expect_that("200" in result.stdout, "no status: %r" % result.stdout)
    expect_that(TOKEN not in result.stdout + result.stderr, "the secret is shown")
    with open(token_file, "w") as f:
        f.write("wrong")
    result = send_command(context, server.port, token_file)
    expect_that("401" in result.stdout and result.returncode != 0, "a refusal: status %d, %r" % (
        result.returncode, result.stdout))


def send_command(context, port, token_file):
    return context.command("send", "--type", "github", "--secret-file", token_file, "--url",
                           "http://127.0.0.1:%d/hooks/team-a/webapp" % port)


@test("a Hook's field that its type does not use is named, and so is a secret that is no key; values are not shown")
def fields_without_effect(context):
    manifests = os.path.join(context.folder, "manifests")
    os.makedirs(manifests)
    cases = [
        (hook(type="token", events=["push"]), TOKEN, "name no event", "spec.filter"),
        (hook(type="github", more="tolerance: 5m"), TOKEN, "spec.tolerance", "standard-webhooks only"),
        (hook(type="standard-webhooks"), "hunter2-is-no-key", "is no key of Standard Webhooks", "openssl rand -base64 32"),
        (hook(actions="[{reconcile: {matchRepository: true, kinds: []}}]"), TOKEN, "kinds is empty", "leave it out"),
    ]
    for text, token, *expected in cases:
        for name, content in (("secret.yaml", secret("webhook-token", token)), ("hook.yaml", text)):
            with open(os.path.join(manifests, name), "w") as f:
                f.write(content)
        result = context.command("check", "--manifests", manifests)
        expect(result.returncode, 1, "exit status: " + result.stderr)
        for part in expected:
            expect_that(part in result.stderr, "the error does not say %r: %r" % (part, result.stderr))
        expect_that(token not in result.stdout + result.stderr, "the secret is shown")


@test("`grapnel check` counts each kind by its name, and warns of secrets in the settings file and of settings without effect")
def counts_and_warnings(context):
    manifests = os.path.join(context.folder, "manifests")
    os.makedirs(manifests)
    with open(os.path.join(manifests, "all.yaml"), "w") as f:
        f.write("\n---\n".join([
            secret("webhook-token", TOKEN), hook(),
            "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {name: b, namespace: a}\n"
            "spec: {triggers: [{type: Generic, generic: {secret: inl1ne-inl1ne}}]}",
            "apiVersion: devops.kubesphere.io/v1alpha1\nkind: S2iBuilder\nmetadata: {name: b, namespace: a}\n"
            "spec: {config: {secretCode: inl1ne-inl1ne}}"]))
    config = os.path.join(context.folder, "grapnel.yaml")
    with open(config, "w") as f:
        f.write("adminTokenFile: missing\nbuildService:\n  auth:\n    notification: {type: bearer, token: %s}\n" % TOKEN)
    result = context.command("check", "--config", config, "--manifests", manifests)
    expect(result.returncode, 0, "exit status: " + result.stderr)
    expect_that("0 Receivers, 1 Hooks, 1 BuildConfigs, 1 S2iBuilders, 1 Secrets" in result.stdout, result.stdout)
    for part in ("grapnel.yaml:4: buildService.auth.notification.token", "--admin-token-file"):
        expect_that(part in result.stderr, "no warning with %r: %r" % (part, result.stderr))
    expect_that(TOKEN not in result.stdout + result.stderr, "the secret is shown")
    server = context.server(manifests={"all.yaml": secret("webhook-token", TOKEN) + "---\n" + hook()}, config=open(config).read())
    wait_until(lambda: "buildService.auth.notification.token" in server.log_text(), 5, "the warning is in the log")
    expect_that(TOKEN not in server.log_text(), "the secret is in the log")


@test("outbound.allow holds http actions to its hosts, by name and by address")
def outbound_hosts(context):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    listener.settimeout(PATIENCE)
    port = listener.getsockname()[1]
    actions = "[{http: {url: 'http://localhost:%d/x', timeout: 60s}}]" % port
    manifests = {"secret.yaml": secret("webhook-token", TOKEN),
                 "named.yaml": hook(name="named", actions=actions),
                 "other.yaml": hook(name="other", actions="[{http: {url: 'http://127.0.0.2:%d/x'}}]" % port)}
    server = context.server(manifests=manifests, config="outbound: {allow: [localhost]}\n")
    body = payload("github-push.json")
    expect(server.post("/hooks/team-a/named", body, github(body)).status, 200, "the Hook whose host is listed")
    connection, _ = listener.accept()
    head = connection.recv(65536)
    expect_that(head.startswith(b"POST /x HTTP/1.1") and b"localhost:%d" % port in head, "the call: %r" % head[:300])
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    connection.close()
    expect(server.post("/hooks/team-a/other", body, github(body)).status, 503, "the Hook whose host is not")
    expect_that("outbound.allow does not list 127.0.0.2" in server.log_text(),
                "the log does not say why")
    listener.settimeout(0.5)
    try:
        listener.accept()
        raise Failure("a host that is not listed was called")
    except TimeoutError:
        pass
    listener.close()


@test("`grapnel send` signs for a standard-webhooks Hook whose secret has no prefix as the server verifies")
def send_bare_key(context):
    manifests = {"secret.yaml": secret("webhook-token", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                 "hook.yaml": hook(type="standard-webhooks")}
    server = context.server(manifests=manifests)
    body = os.path.join(context.folder, "body.json")
    with open(body, "w") as f:
        f.write("{}")
    result = context.command("send", "Hook/webapp", "-n", "team-a", "--manifests", server.manifests, "--file", body,
                             "--url", "http://127.0.0.1:%d" % server.port)
    expect(result.returncode, 0, "exit status: " + result.stdout + result.stderr)


@test("behind outbound.allow a TLS call still goes by its name: server name, certificate and Host field")
def outbound_tls(context):
    key, certificate = (os.path.join(context.folder, name) for name in ("key.pem", "certificate.pem"))
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True, text=True)
    if made.returncode != 0:
        raise Skip("openssl made no certificate: " + made.stderr[-200:])
    names = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda connection, name, _: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        actions = "[{http: {url: 'https://localhost:%d/x', timeout: 60s}}]" % port
        server = context.server(
            manifests={"secret.yaml": secret("webhook-token", TOKEN), "hook.yaml": hook(actions=actions)},
            config="outbound: {allow: [127.0.0.0/8], caFile: %s}\n" % certificate)
        expect(server.push().status, 200, "the delivery")
        connection, _ = listener.accept()
        with tls.wrap_socket(connection, server_side=True) as secured:
            head = secured.recv(65536)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    expect(names, ["localhost"], "the server name of TLS")
    expect_that(b"localhost:%d\r\n" % port in head, "the Host field: %r" % head[:300])
