"""The quickstart as its README tells it: `make run` without make, `grapnel send`, curl and openssl."""
import os
import re
import shutil
import signal
import stat
import subprocess

from harness import (PATIENCE, ROOT, Connection, Closed, Skip, expect, expect_that, free_port, request, wait_until)
from registry import test

QUICKSTART = os.path.join(ROOT, "deploy", "quickstart")


@test("the quickstart serves, and its README's commands do what they say")
def quickstart(context):
    for program in ("curl", "openssl"):
        if not shutil.which(program):
            raise Skip("%s is not installed (make deps)" % program)
    data = os.path.join(context.folder, "data")
    port, admin = free_port(), free_port()
    log = open(os.path.join(context.folder, "log"), "wb")
    process = subprocess.Popen(
        [os.path.join(QUICKSTART, "serve.sh"), context.grapnel, data], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        cwd=context.folder, start_new_session=True,
        env=dict(os.environ, GRAPNEL_QUICKSTART_LISTEN="127.0.0.1:%d" % port,
                 GRAPNEL_QUICKSTART_ADMIN="127.0.0.1:%d" % admin))
    text = lambda: open(os.path.join(context.folder, "log"), errors="replace").read()

    def ready():
        expect(process.poll(), None, "the server ended\n" + text())
        try:
            with Connection(admin) as connection:
                connection.send(request("/readyz", method="GET", length=False, fields=[("Connection", "close")]))
                return connection.answer("GET").status == 200
        except (OSError, Closed):
            return False
    try:
        wait_until(ready, 15, "/readyz")
        token_file = os.path.join(data, "quickstart", "token")
        token = open(token_file).read()
        expect_that(re.fullmatch("[0-9a-f]{64}", token), "the secret is not 32 random bytes: %r" % token)
        expect(stat.S_IMODE(os.stat(token_file).st_mode), 0o600, "mode of the secret's file")
        url = "http://127.0.0.1:%d/hooks/quickstart/webapp" % port
        actions = os.path.join(data, "quickstart", "actions.txt")
        result = context.command("send", "--type", "github", "--secret-file", token_file, "--url", url)
        expect(result.returncode, 0, "grapnel send: " + result.stdout + result.stderr)
        wait_until(lambda: open(actions).read().count("the action ran") == 1, 10, "the first action")

        script = readme_script().replace("data/quickstart/token", token_file).replace(
            "http://127.0.0.1:9292/hooks/quickstart/webapp", url)
        result = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, cwd=context.folder)
        expect_that("HTTP/1.1 200" in result.stdout and "Grapnel-Decision: accepted" in result.stdout,
                    "curl and openssl: %s%s" % (result.stdout, result.stderr))
        wait_until(lambda: open(actions).read().count("the action ran") == 2, 10, "the second action")
        expect_that(token not in text(), "the secret is in the log")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        log.close()
    expect(process.returncode, 0, "exit status after SIGTERM\n" + text())


def readme_script():
    """The block of the README that signs with openssl and sends with curl."""
    with open(os.path.join(QUICKSTART, "README.md")) as f:
        blocks = re.findall(r"(?m)^((?:    .*\n)+)", f.read())
    return next(block for block in blocks if "openssl" in block)
