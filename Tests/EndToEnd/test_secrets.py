"""Credentials: never on the disk, never in the log, never in a figure."""
import base64
import os
import stat

from harness import (TOKEN, delivery_id, expect, expect_that, github, hook, payload, plain_hook, secret, sign,
                     wait_until)
from registry import test

GITLAB = "gitlab-token-5f0e9a1c7b3d"
BEARER = "bearer-credential-77aa0e41"
COOKIE = "session-cookie-91c3d5b2"


@test("no credential reaches the disk, and files are for the owner only")
def on_disk(context):
    server = context.server({
        **plain_hook(actions="[{log: {}}]"),
        "gitlab.yaml": secret("gitlab-token", GITLAB) + "---\n" + hook("gitlab", type="gitlab",
                                                                      secrets=["gitlab-token"]),
    }, tokens=[TOKEN, GITLAB, BEARER, COOKIE])
    more = [("Authorization", "Bearer " + BEARER), ("Cookie", "id=" + COOKIE), ("Proxy-Authorization", "Basic "
            + base64.b64encode(("user:" + BEARER).encode()).decode())]
    body = payload("github-push.json")
    one = delivery_id()
    fields = github(body, delivery=one) + more
    expect(server.post("/hooks/team-a/webapp", body, fields).status, 200, "github")
    body = payload("gitlab-push.json")
    fields = [("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", GITLAB)] + more
    expect(server.post("/hooks/team-a/gitlab", body, fields).status, 200, "gitlab")
    expect(server.post("/hooks/team-a/gitlab", body,
                       [("X-Gitlab-Token", GITLAB + "x"), ("X-Gitlab-Event", "Push Hook")]).status, 401, "refused")
    wait_until(lambda: one in server.log_text(), 10, "the log action")
    figures = server.admin("/metrics")[1]
    for running in (True, False):
        everything = b""
        for folder, folders, files in os.walk(server.data):
            expect(stat.S_IMODE(os.stat(folder).st_mode) & 0o077, 0, "mode bits for others of " + folder)
            for name in files:
                path = os.path.join(folder, name)
                expect(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0, "mode bits for others of " + path)
                with open(path, "rb") as f:
                    everything += f.read()
        expect_that(one.encode() in everything, "the delivery's id is not on the disk: is this the journal?")
        expect_that(sign(payload("github-push.json"), TOKEN).encode() in everything, "the signature is not kept")
        for what in (TOKEN, GITLAB, BEARER, COOKIE):
            for form in (what.encode(), base64.b64encode(what.encode())):
                expect_that(form not in everything, "%s... is on the disk" % what[:8])
                expect_that(form not in figures, "%s... is in the figures" % what[:8])
        expect_that(base64.b64encode(("user:" + BEARER).encode()) not in everything, "a Basic credential is on the disk")
        if running:
            server.stop()
    result = context.command("journal", "inspect", "--data-dir", server.data)
    for what in (TOKEN, GITLAB, BEARER, COOKIE):
        expect_that(what not in result.stdout + result.stderr, "`journal inspect` shows a credential")


@test("refusals are explained in the log without the secret or the expected signature")
def refusal_log(context):
    server = context.server(plain_hook(), flags=["--log-level", "debug"])
    body = payload("github-push.json")
    expect(server.push(body, signature="sha256=" + "0" * 64).status, 401, "a wrong signature")
    expect(server.push(body, signature="sha1=" + "0" * 40).status, 401, "a wrong prefix")
    log = server.log_text()
    expect_that(sign(body, TOKEN) not in log, "the expected signature is in the log")
    expect_that('"ref":' not in log, "the body is in the log")
