"""A new token is a new path. The old one goes on for a while, with the old token alone."""
import os
import stat
import time

from clustercase import FLUX, GRACE, PUSH, TOKEN, Case, flux_path, git, receiver, secret
from harness import Failure, expect, expect_in, wait_until
from registry import test

TOKENS = [TOKEN, "second-t0ken-00112233445566", "third-t0ken-8899aabbccddee", "fourth-t0ken-ffeeddccbbaa"]
PATHS = [flux_path(token=token) for token in TOKENS]


def start(context, *flags, annotations=None, **more):
    case = Case(context, [secret(), git(), receiver(annotations=annotations)])
    server = case.server(*flags, **more)
    case.ready(path=PATHS[0])
    return case, server


def rotate(case, server, number):
    case.kube.apply(secret(token=TOKENS[number]))
    case.status_becomes(server, PATHS[number], 400, "token %d" % (number + 1))
    case.ready(path=PATHS[number])


def check(case, server, alive, dead=()):
    """Paths `alive` take their own token and no other; paths `dead` are unknown."""
    for number in alive:
        case.deliver(server, PATHS[number], ["team-a/webapp"], TOKENS[number])
        for other in set(range(4)) - {number}:
            expect(server.push(PUSH, PATHS[number], TOKENS[other]).status, 400, "path %d with token %d" % (number, other))
    for number in dead:
        expect(server.push(PUSH, PATHS[number], TOKENS[number]).status, 404, "path %d" % number)


@test("cluster rotation: each old path takes the token that made it and no other, also after restart and kill")
def rotation(context):
    case, server = start(context)
    check(case, server, [0], [1])
    rotate(case, server, 1)
    check(case, server, [0, 1], [2])
    rotate(case, server, 2)
    check(case, server, [0, 1, 2])
    file = os.path.join(server.data, "retired-paths")
    expect(stat.S_IMODE(os.stat(file).st_mode), 0o600, "mode of the file with old paths")
    server.stop()
    server.start()
    check(case, server, [0, 1, 2])
    server.kill()
    server.start()
    check(case, server, [0, 1, 2])
    case.kube.apply(secret())                               # back to the first: it is no old path any more
    case.ready(path=PATHS[0])                               # Receivers come by a watch of their own
    case.kube.apply(receiver(annotations={GRACE: "0s"}))
    case.status_becomes(server, PATHS[1], 404, "the old paths end, the first is none of them")
    check(case, server, [0], [1, 2])


@test("cluster rotation: old paths obey suspension and deletion of their Receiver")
def suspended(context):
    case, server = start(context)
    rotate(case, server, 1)
    case.kube.apply(receiver(suspend=True))
    case.status_becomes(server, PATHS[1], 503, "it is suspended")
    expect_in(server.push(PUSH, PATHS[0], TOKENS[0]).status, {404, 503}, "the old path of a suspended Receiver")
    case.kube.apply(receiver(resources=[{"kind": "GitRepository", "name": "other"}]))
    case.kube.apply(git("other"))
    case.status_becomes(server, PATHS[1], 400, "it is resumed, with another target")
    case.deliver(server, PATHS[0], ["team-a/other"], TOKENS[0])
    case.kube.remove(FLUX, "Receiver", "team-a", "webapp")
    case.status_becomes(server, PATHS[1], 404, "it is deleted")
    check(case, server, [], [0, 1])
    wait_until(lambda: case.receiver() is None, 10, "the Receiver is gone")
    case.kube.apply(receiver())
    case.status_becomes(server, PATHS[1], 400, "it is created again")
    check(case, server, [1], [0])


@test("cluster rotation: --path-grace 0 ends the old path with the token")
def no_grace(context):
    case, server = start(context, "--path-grace", "0s")
    rotate(case, server, 1)
    check(case, server, [1], [0])


@test("cluster rotation: the old path ends when --path-grace has passed, also when the server was restarted meanwhile")
def grace_ends(context):
    case, server = start(context, "--path-grace", "6s")
    began = time.monotonic()

    def lives():
        """The old path is served; it is none of this test that nothing else may take time."""
        try:
            check(case, server, [0, 1])
        except Failure:
            if time.monotonic() - began < 6:
                raise
    rotate(case, server, 1)
    lives()
    server.stop()
    server.start()
    lives()
    wait_until(lambda: server.probe(PATHS[0]) == 404, 10, "the old path ends")
    expect(time.monotonic() - began > 4.9, True, "the old path lasted nearly as long as it should")
    check(case, server, [1], [0])
    wait_until(lambda: not os.path.getsize(os.path.join(server.data, "retired-paths")), 5, "the old token is off the disk")


def annotate(case, server, **annotations):
    """Receivers and Secrets come by watches of their own: this one's change is in force before the next one's is made."""
    loaded = server.log_text().count("catalog loaded")
    case.kube.apply(receiver(**annotations))
    wait_until(lambda: server.log_text().count("catalog loaded") > loaded, 20, "the changed Receiver is compiled")


@test("cluster rotation: the annotation grapnel.dev/path-grace: 0s ends old paths at once, before or after the rotation")
def annotation(context):
    case, server = start(context, annotations={GRACE: "0s"})
    rotate(case, server, 1)
    check(case, server, [1], [0])
    annotate(case, server)
    rotate(case, server, 2)
    check(case, server, [1, 2], [0])
    case.kube.apply(receiver(annotations={GRACE: "0s"}))
    case.status_becomes(server, PATHS[1], 404, "the answer to a leak")
    check(case, server, [2], [0, 1])
    annotate(case, server, annotations={GRACE: "1h"})
    rotate(case, server, 3)
    check(case, server, [2, 3], [0, 1])


@test("cluster rotation: a Secret that is deleted and created again with another token is a rotation")
def recreated(context):
    case, server = start(context)
    case.kube.remove("v1", "Secret", "team-a", "webhook-token")
    case.status_becomes(server, PATHS[0], 404, "the Secret is deleted")
    rotate(case, server, 1)
    check(case, server, [0, 1])


@test("cluster rotation: an old path never takes a path from the Receiver whose path it is")
def collision(context):
    # Without separators a receiver `web` in `appteam-a` has the path of `webapp` in `team-a` with the same token.
    case, server = start(context)
    rotate(case, server, 1)
    case.kube.apply(secret(namespace="appteam-a"))
    case.kube.apply(git("web", "appteam-a"))
    case.kube.apply(receiver("web", "appteam-a", created="2026-03-01T00:00:00Z"))
    expect(flux_path("web", namespace="appteam-a"), PATHS[0], "the path of the other Receiver")
    case.ready("web", "appteam-a", PATHS[0])
    case.deliver(server, PATHS[0], ["appteam-a/web"])


@test("cluster rotation: a damaged file of old paths costs those paths, and nothing else")
def damaged(context):
    case, server = start(context)
    rotate(case, server, 1)
    server.stop()
    with open(os.path.join(server.data, "retired-paths"), "ab") as f:
        f.write(b"\xff\x00 no JSON\n{\"cluster\":5}\n{}\n" + b"{" * 70_000)
    server.start()
    check(case, server, [0, 1], [2])
