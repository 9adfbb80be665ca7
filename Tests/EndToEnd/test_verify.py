"""Proof: what is accepted, and that every refusal looks the same to whoever sent it."""
import base64
import hashlib
import re

from harness import (TOKEN, delivery_id, expect, expect_in, expect_that, github, hook, padded_push, payload,
                     plain_hook, request, secret, sign)
from registry import test

PATH = "/hooks/team-a/webapp"
BODY = b'{"ref":"refs/heads/main"}'


def with_signature(*pairs):
    """A delivery's fields with these pairs in place of the signature."""
    return [f for f in github(BODY) if f[0] != "X-Hub-Signature-256"] + list(pairs)


@test("every failed proof gets the same bytes, whatever its cause")
def indistinguishable(context):
    server = context.server(plain_hook())
    right = sign(BODY, TOKEN)
    wrong = ("0" if right[0] != "0" else "1") + right[1:]
    attempts = {
        "no signature": with_signature(),
        "a wrong digit": with_signature(("X-Hub-Signature-256", "sha256=" + wrong)),
        "the last digit wrong": with_signature(("X-Hub-Signature-256",
                                                "sha256=" + right[:-1] + ("0" if right[-1] != "0" else "1"))),
        "another secret": with_signature(("X-Hub-Signature-256", "sha256=" + sign(BODY, "another"))),
        "another body": with_signature(("X-Hub-Signature-256", "sha256=" + sign(BODY + b" ", TOKEN))),
        "no prefix": with_signature(("X-Hub-Signature-256", right)),
        "the prefix in upper case": with_signature(("X-Hub-Signature-256", "SHA256=" + right)),
        "another algorithm's prefix": with_signature(("X-Hub-Signature-256", "sha1=" + right)),
        "SHA-1 in the SHA-256 field": with_signature(("X-Hub-Signature-256", "sha1=" + sign(BODY, TOKEN, "sha1"))),
        "SHA-1 alone": with_signature(("X-Hub-Signature", "sha1=" + sign(BODY, TOKEN, "sha1"))),
        "SHA-512": with_signature(("X-Hub-Signature-256", "sha512=" + sign(BODY, TOKEN, "sha512"))),
        "an empty value": with_signature(("X-Hub-Signature-256", "")),
        "the prefix alone": with_signature(("X-Hub-Signature-256", "sha256=")),
        "a digit short": with_signature(("X-Hub-Signature-256", "sha256=" + right[:-1])),
        "a byte short": with_signature(("X-Hub-Signature-256", "sha256=" + right[:-2])),
        "a byte more": with_signature(("X-Hub-Signature-256", "sha256=" + right + "00")),
        "no hexadecimal": with_signature(("X-Hub-Signature-256", "sha256=" + "g" * 64)),
        "base64": with_signature(("X-Hub-Signature-256", "sha256=" + base64.b64encode(bytes.fromhex(right)).decode())),
        "quotes": with_signature(("X-Hub-Signature-256", '"sha256=' + right + '"')),
        "the field twice, both right": with_signature(("X-Hub-Signature-256", "sha256=" + right),
                                                      ("X-Hub-Signature-256", "sha256=" + right)),
        "the field twice, one right": with_signature(("X-Hub-Signature-256", "sha256=" + wrong),
                                                     ("X-Hub-Signature-256", "sha256=" + right)),
        "an underscore in the name": with_signature(("X_Hub_Signature_256", "sha256=" + right)),
        "the token itself": with_signature(("X-Gitlab-Token", TOKEN), ("Authorization", TOKEN)),
    }
    answers = {}
    for what, fields in attempts.items():
        answer = server.post(PATH, BODY, fields)
        expect(answer.status, 401, what)
        answers.setdefault(answer.without_date(), []).append(what)
    expect(len(answers), 1, "kinds of refusal, but for the date: %r" % answers)
    expect(server.metric("grapnel_journal_records_total"), 0, "records of refused deliveries")
    answer = server.post(PATH, BODY, github(BODY))
    expect((answer.status, answer.decision), (200, "accepted"), "the right signature")
    expect_that(answer.sequence is not None, "no Grapnel-Delivery in the answer to an accepted delivery")


@test("a refused delivery of a known route is a line of the log with its cause and the remedy; a flood is a few lines")
def refusals_in_the_log(context):
    server = context.server(plain_hook())
    for _ in range(300):
        expect(server.post(PATH, BODY, with_signature()).status, 401, "no signature")
    wrong = "sha256=" + sign(BODY, "another-secret-7731")
    expect(server.post(PATH, BODY, with_signature(("X-Hub-Signature-256", wrong))).status, 401, "another secret")
    expect(server.post("/hooks/team-a/nobody", BODY, github(BODY)).status, 404, "an unknown route")
    server.stop()

    def lines(reason):
        return [l for l in server.log_text().splitlines() if "deliveries refused" in l and "reason=%s " % reason in l]

    missing, bad = lines("signature-missing"), lines("signature-wrong")
    expect(sum(int(re.search(r"count=(\d+)", l).group(1)) for l in missing), 300, "refusals in the log")
    expect_that(len(missing) <= 3, "%d lines for one cause of one route" % len(missing))
    expect(len(bad), 1, "lines for the wrong signature")
    expect_that("route=Hook/team-a/webapp" in bad[0] and "hint=" in bad[0], "no route or no hint: " + bad[0])
    for text in ("another-secret-7731", sign(BODY, TOKEN), wrong, "nobody"):
        expect_that(text not in server.log_text(), "%r is in the log" % text)


@test("one changed bit anywhere in the body is noticed")
def changed_bits(context):
    server = context.server(plain_hook())
    body = padded_push(3000)
    signature = "sha256=" + sign(body, TOKEN)
    with server.connect() as connection:
        for place in range(0, 3000, 97):
            changed = bytearray(body)
            changed[place] ^= 1 << (place % 8)
            answer = connection.exchange(request(PATH, bytes(changed), github(b"", signature=signature)))
            expect(answer.status, 401, "bit %d of byte %d changed" % (place % 8, place))
        expect(connection.exchange(request(PATH, body, github(body))).status, 200, "unchanged")


@test("any of several secrets proves a delivery, and no other does")
def several_secrets(context):
    tokens = {"webhook-token": "the-secret-in-use-00000001", "webhook-token-next": "the-secret-after-it-0000002"}
    server = context.server(
        {"secrets.yaml": "---\n".join(secret(name, token) for name, token in tokens.items()),
         "hook.yaml": hook(secrets=tuple(tokens))}, tokens=list(tokens.values()))
    for name, token in tokens.items():
        expect(server.push(token=token).status, 200, "signed with " + name)
    expect(server.push(token="the-secret-in-use-00000002").status, 401, "signed with neither")
    expect(server.push(token="").status, 401, "signed with an empty secret")


@test("a Secret replaced on disk is in force soon, and the old one no longer")
def rotation(context):
    server = context.server(plain_hook(token="the-first-secret-00000001"), tokens=["the-first-secret-00000001",
                                                                                  "the-second-secret-0000002"])
    expect(server.push(token="the-first-secret-00000001").status, 200, "before")
    server.write("secret.yaml", secret("webhook-token", "the-second-secret-0000002"))
    from harness import wait_until
    wait_until(lambda: server.push(token="the-second-secret-0000002").status == 200, 5, "the new secret")
    expect(server.push(token="the-first-secret-00000001").status, 401, "the old secret")


@test("stringData and other keys of a Secret serve as well")
def secret_forms(context):
    server = context.server({"all.yaml": """
apiVersion: v1
kind: Secret
metadata: {name: plain, namespace: team-a}
stringData: {token: plain-text-secret-000001, other: another-text-secret-01}
---
""" + hook("webapp", secrets=["plain"]) + "---\n" + hook("second", secrets=None,
                                                        more="secretRefs: [{name: plain, key: other}]")},
                            tokens=["plain-text-secret-000001", "another-text-secret-01"])
    expect(server.push(token="plain-text-secret-000001").status, 200, "stringData")
    expect(server.push(token="another-text-secret-01", path="/hooks/team-a/second").status, 200, "another key")
    expect(server.push(token="plain-text-secret-000001", path="/hooks/team-a/second").status, 401, "the wrong key")


@test("a Hook without a usable secret is not ready, never open, and harms no other")
def unusable_secrets(context):
    server = context.server({
        **plain_hook(),
        "empty.yaml": secret("empty", "") + "---\n" + hook("empty", secrets=["empty"]),
        "missing.yaml": hook("missing", secrets=["not-there"]),
        "nokey.yaml": secret("nokey", "x-y-z-0123456789", key="password") + "---\n" + hook("nokey", secrets=["nokey"]),
    })
    for name in ("empty", "missing", "nokey"):
        path = "/hooks/team-a/" + name
        for token in ("", TOKEN, "x-y-z-0123456789"):
            expect(server.push(path=path, token=token).status, 503, "%s signed with %r" % (name, token))
        expect(server.post(path, BODY, with_signature()).status, 503, name + " without a signature")
    expect(server.push().status, 200, "the other route")
    expect(server.is_ready(), True, "ready")


@test("GitLab's token is compared as a whole")
def gitlab(context):
    server = context.server(plain_hook(type="gitlab"))
    body = payload("gitlab-push.json")

    def fields(token, *more):
        return [("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook"),
                ("X-Gitlab-Event-UUID", delivery_id())] + ([] if token is None else [("X-Gitlab-Token", token)]) \
            + list(more)
    expect(server.post(PATH, body, fields(TOKEN)).status, 200, "the token")
    refusals = set()
    for what, pairs in {"none": fields(None), "empty": fields(""), "a prefix": fields(TOKEN[:-1]),
                        "longer": fields(TOKEN + "x"), "other": fields("x" * len(TOKEN)),
                        "upper case": fields(TOKEN.upper()),
                        "twice": fields(TOKEN, ("X-Gitlab-Token", TOKEN))}.items():
        answer = server.post(PATH, body, pairs)
        expect(answer.status, 401, what)
        refusals.add(answer.without_date())
    expect(len(refusals), 1, "kinds of refusal")


@test("Hooks of type hmac take their field, algorithm, encoding and prefix from the manifest")
def hmac_scheme(context):
    server = context.server(plain_hook(type="hmac"))
    right = sign(BODY, TOKEN)
    base = [("Content-Type", "application/json")]
    answer = server.post(PATH, BODY, base + [("X-Signature", right)])
    answer_prefixed = server.post(PATH, BODY, base + [("X-Signature", "sha256=" + right)])
    expect_that({answer.status, answer_prefixed.status} <= {200, 401} and 200 in (answer.status, answer_prefixed.status),
                "X-Signature bare: %d, with sha256= in front: %d" % (answer.status, answer_prefixed.status))
    expect(server.post(PATH, BODY, base).status, 401, "no signature")
    expect(server.post(PATH, BODY, base + [("X-Signature", sign(BODY, "another"))]).status, 401, "another secret")


@test("a Flux Receiver answers on its own path with Flux's status codes")
def flux(context):
    receiver = """apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: webapp, namespace: team-a}
spec:
  type: %s
  secretRef: {name: webhook-token}
  resources: []
"""
    path = "/hook/" + hashlib.sha256((TOKEN + "webapp" + "team-a").encode()).hexdigest()
    server = context.server({"secret.yaml": secret("webhook-token", TOKEN), "receiver.yaml": receiver % "generic-hmac"})
    good = [("X-Signature", "sha256=" + sign(BODY, TOKEN))]
    expect(server.post(path, BODY, good).status, 200, "signed")
    expect(server.post(path, BODY, [("X-Signature", "sha512=" + sign(BODY, TOKEN, "sha512"))]).status, 200, "SHA-512")
    answer = server.post(path, BODY, [])
    expect((answer.status, answer.body), (400, b""), "unsigned")
    answer = server.post(path, BODY, [("X-Signature", "sha256=" + sign(BODY, "another"))])
    expect((answer.status, answer.body), (400, b""), "wrongly signed")
    expect(server.post("/hook/" + "0" * 64, BODY, good).status, 404, "another path below /hook/")
    expect(server.post(path.upper().replace("/HOOK/", "/hook/"), BODY, good).status, 404, "the path in upper case")


@test("content trouble behind a right signature is never a 5xx")
def content(context):
    server = context.server(plain_hook())
    bodies = {
        "no JSON": b"hello", "an array": b"[]", "a number": b"1", "empty": b"", "null": b"null",
        "cut short": BODY[:-4], "deeply nested": b"[" * 100_000 + b"]" * 100_000, "nested objects": b'{"a":' * 5000,
        "a lone surrogate": b'{"ref":"\\ud800"}', "not UTF-8": b'{"ref":"\xff\xfe"}', "NUL": b"\0" * 100,
        "twice the same member": b'{"ref":1,"ref":"refs/heads/main"}', "a huge number": b'{"a":1' + b"0" * 20_000 + b"}",
        "wrong types": b'{"ref":{},"repository":[],"after":7}', "only blanks": b" " * 1000,
    }
    for what, body in bodies.items():
        answer = server.post(PATH, body, github(body))
        expect_in(answer.status, {200, 400, 422}, what)
    expect(server.push().status, 200, "a good delivery afterwards")


@test("an event that is not listed is stored as ignored and not acted upon")
def unlisted_event(context):
    server = context.server(plain_hook(events=["ping", "push"], actions="[{log: {}}]"))
    expect(server.push(event="push").decision, "accepted", "push")
    answer = server.push(event="PUSH")
    expect((answer.status, answer.decision), (200, "accepted"), "an event in upper case")
    answer = server.push(event="issues")
    expect(answer.status, 200, "issues")
    expect_that((answer.decision or "").startswith("ignored"), "decision: %r" % answer.decision)
    expect_that(answer.sequence is not None, "an ignored delivery has no sequence")
    answer = server.push(event="issues", token="wrong")
    expect((answer.status, answer.decision), (401, None), "issues, badly signed")
    answer = server.push(event="ping", body=payload("github-ping.json"))
    expect_that(answer.status == 200 and answer.decision, "ping: %d %r" % (answer.status, answer.decision))
