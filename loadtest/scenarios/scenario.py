"""What scenarios share: a pinned server, the generator, the check that figures count."""
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "Tests", "EndToEnd"))

from harness import Server, TOKEN, plain_hook      # noqa: E402

GENERATOR = os.path.join(ROOT, "loadtest", ".build", "release", "grapnel-load")


class Scenario:
    """Context manager: the server on core 0, with these manifests; without any, one Hook of type github that stores only."""

    def __init__(self, options, loops=1, flags=(), manifests=None):
        self.options, self.loops, self.flags, self.manifests = options, loops, list(flags), manifests or plain_hook()

    needs_generator, folder = True, None

    def make_folder(self):
        self.folder = self.folder or tempfile.mkdtemp(prefix="grapnel-load-", dir=self.options.data or None)
        return self.folder

    def __enter__(self):
        for program, how in ((self.options.grapnel, "make build"), (GENERATOR, "make loadtest")):
            if program == GENERATOR and not self.needs_generator:
                continue
            if not os.access(program, os.X_OK):
                sys.exit("%s is missing: %s" % (program, how))
        self.make_folder()
        self.server = Server(os.path.abspath(self.options.grapnel), os.path.join(self.folder, "server"), self.manifests,
                             loops=self.loops, flags=self.flags + self.options.server_flag,
                             wrapper=["taskset", "-c", self.options.server_cores])
        self.server.start()
        self.secret = os.path.join(self.folder, "secret")
        with open(self.secret, "w") as f:
            f.write(TOKEN)
        return self

    def __exit__(self, *_):
        try:
            self.server.stop()
        finally:
            self.server.kill()
            shutil.rmtree(self.folder, ignore_errors=True)

    def figures(self):
        return {name: self.server.metric(name) for name in
                ('grapnel_journal_records_total{type="delivery"}', "grapnel_journal_duplicates_total")}

    def load(self, *arguments):
        """One run of the generator; its figures, with `counts` saying whether they count."""
        before = self.figures()
        result = subprocess.run(
            ["taskset", "-c", self.options.generator_cores, GENERATOR,
             "--url", "http://127.0.0.1:%d/hooks/team-a/webapp" % self.server.port, "--secret-file", self.secret,
             "--pid", str(self.server.pid), "--json", "-", *map(str, arguments)], capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit("grapnel-load: %s%s" % (result.stdout, result.stderr))
        figures = json.loads(result.stdout)
        after = self.figures()
        good = sum(n for status, n in figures["statuses"].items() if status.startswith("2"))
        grown = sum(after[k] - before[k] for k in after if "records" in k)
        repeated = after["grapnel_journal_duplicates_total"] - before["grapnel_journal_duplicates_total"]
        # Warm-up and drain are recorded too, so the journal grows by at least the measured answers.
        figures["counts"] = grown >= good and repeated == 0
        figures["journal_grew"], figures["duplicates"] = int(grown), int(repeated)
        return figures


def arguments(parser):
    parser.add_argument("--grapnel", default=os.path.join(ROOT, ".build", "release", "grapnel"), metavar="FILE")
    parser.add_argument("--server-cores", default="0")
    parser.add_argument("--generator-cores", default="1")
    parser.add_argument("--server-flag", action="append", default=[], metavar="FLAG")
    parser.add_argument("--data", metavar="DIR", help="where the data directory is made (default: the temporary folder)")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")


def describe(options):
    version = subprocess.run([options.grapnel, "version"], capture_output=True, text=True).stdout.strip()
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print("%s; %s, %d cores, Linux %s; server on core %s, generator on core %s" % (
        " ".join(version.split()), model, os.cpu_count(), platform.release(), options.server_cores,
        options.generator_cores))


def show(name, figures):
    latency, errors = figures["latency_us"], sum(figures["errors"].values())
    print("%-28s %8.0f/s  cpu %6.2f us  p50 %7.0f  p90 %7.0f  p99 %7.0f  p99.9 %7.0f us  errors %d  %s  generator %3.0f %%%s"
          % (name, figures["answered_per_second"], figures.get("server_cpu_us_per_delivery", 0), latency["p50"],
             latency["p90"], latency["p99"], latency["p99.9"], errors,
             " ".join("%s:%d" % pair for pair in sorted(figures["statuses"].items())),
             100 * figures["generator_busy"], "" if figures["counts"] else "  DOES NOT COUNT (journal grew by %d, %d "
             "duplicates)" % (figures["journal_grew"], figures["duplicates"])), flush=True)
