#!/usr/bin/env python3
"""`make test-cluster`: the server against the API server that $KUBECONFIG names, with a signed delivery of every system.

Makes two namespaces with a random suffix, and minimal definitions of the kinds that the cluster does not have (the Hook
definition is the one of deploy/crds); says what it made; runs the checks of checks.py; takes everything away again, also
after a failure or Ctrl-C. Touches nothing outside of its namespaces. `--rights` prints what the account must be allowed.

  run.py --grapnel FILE [--context NAME] [--json FILE] [--rights]

Exit status: 0 all held, 1 something did not, 3 it could not run (no KUBECONFIG, missing rights, not cleaned up).
"""
import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "EndToEnd")]

import rights                                                       # noqa: E402
from api import Client, Refused, Trouble                            # noqa: E402
from checks import Scene, checks                                    # noqa: E402
from estate import KINDS, Estate                                    # noqa: E402
from harness import Closed, Context, Failure, Skip                  # noqa: E402


def say(text):
    print(text, flush=True)


class Interrupted(BaseException):
    pass


def interrupt(number, frame):
    raise Interrupted(signal.Signals(number).name)


def require_rights(client, where, groups, namespace=None):
    missing = rights.missing(client, where, groups, namespace)
    if missing:
        raise Trouble("the account of the context %s may not%s: %s (`--rights` prints all that is needed)" % (
            client.context, " in its namespaces" if namespace else "", ", ".join(missing)))


def perform(scene, verdicts):
    """Runs the checks in order. Without a server those that need one would only repeat one failure."""
    for name, function in checks:
        began, state, reason = time.monotonic(), "pass", ""
        try:
            function(scene)
        except Skip as skip:
            state, reason = "skip", str(skip)
        except (AssertionError, Closed, Refused) as failure:
            state, reason = "fail", str(failure) or repr(failure)
        except (Interrupted, Trouble):
            raise
        except Exception:
            state, reason = "fail", traceback.format_exc().strip()
        verdicts.append({"name": name, "state": state, "reason": reason, "seconds": round(time.monotonic() - began, 2)})
        say("%-4s %s (%.1f s)%s" % ({"pass": "ok", "fail": "FAIL", "skip": "skip"}[state], name,
                                    time.monotonic() - began, ": " + reason if reason else ""))
        if state == "fail" and scene.server is None:
            say("     the checks behind it need what it did not get done")
            return
    scene.context.finish()


def run(options, names):
    client = Client(names, options.context)
    status, version = client.raw("GET", "/version")
    if status != 200:
        raise Trouble("%s answers %d to the account of the context %s" % (client.cluster["server"], status, client.context))
    say("context %s: %s, %s" % (client.context, client.cluster["server"], version.get("gitVersion")))
    folder = tempfile.mkdtemp(prefix="grapnel-test-cluster-")
    context, estate, verdicts, trouble = Context(options.grapnel, folder), Estate(client, say), [], []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        kinds = {KINDS[k][0] for k in KINDS}
        needed = {""} | ({"apiextensions.k8s.io"} if any(estate.served(k) is None for k in KINDS) else set())
        require_rights(client, "cluster", needed)
        estate.build()
        require_rights(client, "own", kinds | {"", "coordination.k8s.io"}, estate.team)
        perform(Scene(context, client, estate), verdicts)
    except Interrupted as signal_name:
        trouble.append("ended by %s" % signal_name)
    except (Trouble, Refused) as error:
        trouble.append(str(error))
    except Failure as failure:
        verdicts.append({"name": "the server's end", "state": "fail", "reason": str(failure), "seconds": 0})
        say("FAIL the server's end: %s" % failure)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: say("still taking away what was made"))
        context.abandon()
        if any(v["state"] == "fail" for v in verdicts):
            for server in context.servers:
                say(server.tail(40))
        try:
            trouble += estate.remove()
        except Trouble as error:
            trouble.append("not taken away: %s; `kubectl delete namespace,crd -l grapnel.dev/test-run=%s` does it" % (
                error, estate.suffix))
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(verdicts, f, indent=1)
    for text in trouble:
        print("test-cluster: " + text, file=sys.stderr, flush=True)
    count = lambda state: sum(v["state"] == state for v in verdicts)
    say("%d passed, %d failed, %d skipped" % (count("pass"), count("fail"), count("skip")))
    return 3 if trouble else 1 if count("fail") or not count("pass") else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grapnel", metavar="FILE", help="the binary under test")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    parser.add_argument("--json", metavar="FILE", help="all verdicts")
    parser.add_argument("--rights", action="store_true", help="print the rights that are needed, and do nothing")
    options = parser.parse_args()
    if options.rights:
        print(rights.text())
        return 0
    names = os.environ.get("KUBECONFIG", "")
    if not names:
        print("test-cluster: KUBECONFIG names no API server. Set it to a kubeconfig of a cluster for tests: "
              "namespaces and, where they are missing, definitions are made there and taken away again", file=sys.stderr)
        return 3
    if not options.grapnel or not os.access(options.grapnel, os.X_OK):
        print("test-cluster: --grapnel names no executable file; `make build` makes it", file=sys.stderr)
        return 3
    options.grapnel = os.path.abspath(options.grapnel)
    try:
        return run(options, names)
    except Trouble as error:
        print("test-cluster: %s" % error, file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
