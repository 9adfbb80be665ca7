"""`grapnel send`: a delivery as its sender makes it, proven in whatever way the Hook asks for."""
from harness import TOKEN, expect, expect_that, hook, payload, plain_hook, secret
from registry import test

# The body of any sender that says too little to be refused.
BODY = '{"ref":"refs/heads/main","repository":{"full_name":"acme/webapp","repo_name":"acme/webapp","name":"webapp"}}'

CREDENTIALS = {
    "bearer": ("token", "{type: bearer}"), "header": ("token", "{type: header, name: X-Our-Token}"),
    "query": ("token", "{type: query, name: \"the token\"}"), "path": ("token", "{type: path}"),
    "password": ("docker-registry", "{type: basic}"), "user": ("basic", "{type: basic, username: \"team a\"}"),
}


def send(context, server, name, folder, *more):
    body = context.folder + "/body.json"
    with open(body, "w") as f:
        f.write(BODY)
    result = context.command("send", "Hook/" + name, "-n", "team-a", "--manifests", folder, "--file", body,
                             "--url", "http://127.0.0.1:%d" % server.port, *more)
    for token in server.tokens:
        expect_that(token not in result.stdout + result.stderr, "the secret is printed: %s" % result.stdout)
    return result


@test("send proves a delivery in each way that a Hook may ask for")
def credentials(context):
    token = "s3cret/of?team a&b=c#d%e"
    manifests = {"secret.yaml": secret("webhook-token", token)}
    for name, (sender, credential) in CREDENTIALS.items():
        manifests[name + ".yaml"] = hook(name, type=sender, more="credential: %s" % credential)
    for name in ("token", "dockerhub", "quay", "acr", "harbor", "basic", "azure-devops", "nexus", "bitbucket", "gitea",
                 "jfrog", "hmac", "generic-hmac", "github", "gitlab"):
        manifests["of-%s.yaml" % name] = hook("of-" + name, type=name)
    server = context.server(manifests, tokens=(token,))
    for name in [n[:-5] for n in manifests if n != "secret.yaml"]:
        result = send(context, server, name, server.manifests)
        expect(result.returncode, 0, "send to %s: %s%s" % (name, result.stdout, result.stderr))


@test("send with another secret is refused, and says so")
def wrong_secret(context):
    server = context.server({"secret.yaml": secret("webhook-token", TOKEN),
                             "hook.yaml": hook("q", type="token", more="credential: {type: query, name: token}")})
    result = send(context, server, "q", server.manifests, "--secret", "another")
    expect((result.returncode, "< HTTP/1.1 401" in result.stdout), (1, True), result.stdout + result.stderr)
