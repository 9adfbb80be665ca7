"""A server whose deliveries tests redeliver, and what they ask of it."""
import subprocess

from apikit import Api
from harness import expect, plain_hook, wait_until

SLOW = "retry: {attempts: 10, backoff: 1h, maxBackoff: 1h}"


def http(*urls):
    return "[%s]" % ", ".join('{http: {url: "%s"}}' % url for url in urls)


class Desk:
    """A server with the Hook `webapp`, and others, and what the tests ask of it."""

    def __init__(self, context, actions, hooks=(), **more):
        self.context = context
        manifests = plain_hook(actions=actions, more=more.pop("more", ""))
        for one in hooks:
            manifests["%d.yaml" % len(manifests)] = one
        self.server = context.server(manifests, **more)
        self.api = Api(self.server)

    def push(self, count=1, **more):
        return [self.server.push(**more).sequence for _ in range(count)]

    def show(self, sequence):
        return self.api.get("/deliveries/%d" % sequence)[1]

    def outcome(self, sequence):
        return self.show(sequence)["outcome"]

    def wait(self, sequences, outcome):
        wait_until(lambda: all(self.outcome(s) == outcome for s in sequences), 30, "%r are %s" % (sequences, outcome))

    def all(self, query=""):
        return self.api.get("/deliveries?limit=200" + query)[1]["deliveries"]

    def one(self, sequence, **body):
        return self.api.post("/deliveries/%d/redeliver" % sequence, body)

    def select(self, status=200, outcome="dead", **body):
        """The selection of a dry run."""
        found, answer = self.api.post("/redeliveries", {"filter": {"outcome": outcome}, "dryRun": True, **body})
        expect(found, status, "the status of %r: %r" % (body, answer))
        return answer.get("selection") or answer["error"]

    def run(self, *arguments, status=0):
        result = self.context.command("deliveries", "redeliver", *arguments, "--data-dir", self.server.data)
        expect(result.returncode, status, "exit status of %r: %s%s" % (arguments, result.stdout, result.stderr))
        return result

    def popen(self, *arguments, **more):
        return subprocess.Popen(
            [self.server.grapnel, "deliveries", "redeliver", *arguments, "--data-dir", self.server.data],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **{"stderr": subprocess.PIPE, **more})

    def job(self, id="1"):
        status, job = self.api.get("/redeliveries/" + id)
        return job if status == 200 else None
