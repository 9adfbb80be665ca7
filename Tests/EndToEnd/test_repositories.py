"""One organisation hook for thousands of repositories: a push reaches exactly what follows its repository."""
import json
import time

from fakekube import cluster, outcomes, settled
from harness import PATIENCE, TOKEN, delivery_id, expect, expect_that, github, hook, payload, secret, sign
from registry import test

COUNT, BUILDS = 5_000, 500
NAMESPACES = 20
GITHUB, GITEA, GITLAB = "github.com", "gitea.acme.example", "gitlab.acme.example"

# How people write one repository, {h} host and {p} path.
SPELLINGS = ["https://{h}/{p}.git", "https://{h}/{p}", "ssh://git@{h}/{p}.git", "ssh://git@{h}:22/{p}",
             "git@{h}:{p}.git", "git@{h}:{p}", "https://deploy:pass@{h}:443/{p}.git/", "https://{h}/{p}/"]
# The first are plain branches; what no push to main or to a tag may move comes with every tenth object.
REFS = [{"branch": "main"}] * 5 + [{"branch": "release/1.x"}, {"tag": "v1.2.3"}, {"semver": ">=1.0.0"},
                                   {"branch": "main", "commit": "0123456789abcdef0123456789abcdef01234567"}, None]

ACTIONS = """
  - reconcile: {matchRepository: true, namespaces: ["*"]}
  - openshiftBuild: {matchRepository: true, namespaces: ["*"]}
  - s2iRun: {matchRepository: true, namespaces: ["*"]}"""


def host(number):
    """Most repositories are at GitHub."""
    return GITEA if number % 10 == 7 else GITLAB if number % 10 == 8 else GITHUB


def path(number):
    return "acme/service-%04d" % number


def url(number, spelling):
    text = SPELLINGS[spelling % len(SPELLINGS)].format(h=host(number), p=path(number))
    # GitHub does not mind the case of owner and name, and people do not either.
    return text.replace("acme/service", "Acme/Service") if host(number) == GITHUB and spelling % 7 == 3 else text


def follows(ref, pushed):
    """The rule, once more and independently: whether an object with this `ref` looks at a push to `pushed`."""
    ref = ref or {"branch": "master"}
    if ref.get("commit"):
        return False
    if ref.get("semver"):
        return pushed.startswith("refs/tags/")
    if ref.get("tag"):
        return pushed == "refs/tags/" + ref["tag"]
    return pushed == "refs/heads/" + ref["branch"]


class Organisation:
    """All objects, and which of them follow what."""

    def __init__(self):
        self.objects, self.rows = [], []        # rows: (repository, ref, kind, namespace, name)
        for i in range(COUNT):
            self.source(i, "service-%04d" % i, REFS[i // 10 % len(REFS)], i)
        for i in range(BUILDS):
            self.build(i, "build-%04d" % i, "main" if i % 3 else None, i)
            self.builder(250 + i, "shop-%04d" % i, "main" if i % 4 else "", i)
        # One repository has many followers, each spells it differently.
        for i, ref in enumerate(REFS + [{"branch": "main"}] * len(SPELLINGS)):
            self.source(300, "extra-%02d" % i, ref, i)

    def add(self, number, ref, api_version, kind, name, spec):
        namespace = "team-%02d" % (len(self.rows) % NAMESPACES)
        self.rows.append((number, ref, kind, namespace, name))
        self.objects.append({"apiVersion": api_version, "kind": kind,
                             "metadata": {"name": name, "namespace": namespace}, "spec": spec})

    def source(self, number, name, ref, spelling):
        self.add(number, ref, "source.toolkit.fluxcd.io/v1", "GitRepository", name,
                 {"url": url(number, spelling), "interval": "10m", **({"ref": ref} if ref else {})})

    def build(self, number, name, branch, spelling):
        git = {"uri": url(number, spelling), **({"ref": branch} if branch else {})}
        self.add(number, {"branch": branch or "master"}, "build.openshift.io/v1", "BuildConfig", name,
                 {"source": {"type": "Git", "git": git}, "strategy": {"type": "Docker"}})

    def builder(self, number, name, branch, spelling):
        self.add(number, {"branch": branch or "master"}, "devops.kubesphere.io/v1alpha1", "S2iBuilder", name,
                 {"config": {"sourceUrl": url(number, spelling), "revisionId": branch,
                             "secretCode": "code-of-" + name}})

    def followers(self, number, pushed):
        """kind namespace/name of all that must act, sorted."""
        return sorted("%s %s/%s" % row[2:] for row in self.rows if row[0] == number and follows(row[1], pushed))

    def manifests(self, per_file=500):
        files = {"hooks.yaml": "---\n".join(
            [secret("webhook-token", TOKEN, "platform")]
            + [hook(name, type=name, namespace="platform", actions=ACTIONS) for name in ("github", "gitea", "gitlab")])}
        for i in range(0, len(self.objects), per_file):
            files["objects-%02d.yaml" % (i // per_file)] = "\n---\n".join(
                json.dumps(o) for o in self.objects[i:i + per_file])
        return files


def event(number=None, pushed="refs/heads/main", at=None, name=None, **more):
    """A push as the repository's host sends it; `at` and `name` stand in for those of the repository."""
    at, name = at or host(number), name or path(number)
    commit = "%040x" % (1 << 159 | (number or 0))
    if at == GITLAB:
        document = json.loads(payload("gitlab-push.json"))
        document.update(ref=pushed, after=commit, checkout_sha=commit)
        document["project"] = {"path_with_namespace": name, "git_http_url": "https://%s/%s.git" % (at, name),
                               "git_ssh_url": "git@%s:%s.git" % (at, name), "web_url": "https://%s/%s" % (at, name)}
        del document["repository"]
        document.update(more)
        body = json.dumps(document).encode()
        return "/hooks/platform/gitlab", body, [("Content-Type", "application/json"), ("X-Gitlab-Event", "Push Hook"),
                                                ("X-Gitlab-Token", TOKEN)]
    document = json.loads(payload("gitea-push.json" if at == GITEA else "github-push.json"))
    document.update(ref=pushed, after=commit)
    document["repository"].update(
        name=name.rpartition("/")[2], full_name=name, clone_url="https://%s/%s.git" % (at, name),
        ssh_url="git@%s:%s.git" % (at, name), html_url="https://%s/%s" % (at, name),
        git_url="git://%s/%s.git" % (at, name))
    document.update(more)
    body = json.dumps(document).encode()
    if at == GITEA:
        return "/hooks/platform/gitea", body, [
            ("Content-Type", "application/json"), ("X-Gitea-Event", "push"), ("X-Gitea-Delivery", delivery_id()),
            ("X-Gitea-Signature", sign(body, TOKEN)), ("X-Hub-Signature-256", "sha256=" + sign(body, TOKEN))]
    return "/hooks/platform/github", body, github(body)


def acted_on(writes):
    """kind namespace/name of what each write acts on, sorted."""
    found = []
    for w in writes:
        if w["kind"] == "S2iRun":
            found.append("S2iBuilder %s/%s" % (w["namespace"], w["body"]["spec"]["builderName"]))
        else:
            found.append("%s %s/%s" % (w["kind"], w["namespace"], w["name"]))
    return sorted(found)


def push(server, *arguments, **more):
    where, body, fields = event(*arguments, **more)
    answer = server.post(where, body, fields)
    expect((answer.status, answer.decision), (200, "accepted"), "a push to %s with %r" % (where, (arguments, more)))
    return answer


def push_and_look(server, kube, *arguments, **more):
    """What one push caused: (objects acted on, writes)."""
    before = len(kube.writes_since())
    settled(server, [push(server, *arguments, **more)], 30)
    writes = kube.acts(before)
    expect(kube.attempts(), len(kube.acts()), "attempts at the API server")
    return acted_on(writes), writes


def serve(context, organisation):
    kube = cluster(context, organisation.objects)
    server = context.server(organisation.manifests(), start=False, flags=kube.flags)
    began = time.monotonic()
    server.start()
    return kube, server, time.monotonic() - began


@test("5,000 repositories behind one hook: a push reaches its followers, in every spelling, by branch, and no others")
def followers(context):
    organisation = Organisation()
    kube, server, seconds = serve(context, organisation)
    memory = server.metrics()["grapnel_process_resident_memory_bytes"] / (1 << 20)
    print("     %d objects that follow repositories: ready after %.2f s, %.0f MiB resident" % (
        len(organisation.objects), seconds, memory), flush=True)
    expect(server.metrics()['grapnel_catalog_routes{kind="Hook",ready="true"}'], 3, "hooks that are ready")
    kinds = set()
    # Every spelling is among the first; of BuildConfigs and S2iBuilders there are some below 500, and from 250 to 749.
    pushes = [(n, "refs/heads/main") for n in (0, 1, 2, 3, 4, 5, 6, 9, 17, 24, 31, 45, 250, 301, 454, 499, 722, 4_940)]
    pushes += [(300, ref) for ref in ("refs/heads/main", "refs/heads/master", "refs/heads/release/1.x",
                                      "refs/tags/v1.2.3", "refs/tags/v9")]
    for number, pushed in pushes + [(4_999, "refs/heads/master")]:
        wanted = organisation.followers(number, pushed)
        expect_that(wanted, "the test is wrong: nobody follows %s of repository %d" % (pushed, number))
        came, writes = push_and_look(server, kube, number, pushed)
        expect(came, wanted, "acted on after a push to %s of %s" % (pushed, path(number)))
        kinds |= {name.split()[0] for name in wanted}
        commit = "%040x" % (1 << 159 | number)
        for w in writes:
            if w["kind"] == "GitRepository":
                expect(list(w["body"]["metadata"]["annotations"]), ["reconcile.fluxcd.io/requestedAt"], "annotations")
            elif w["kind"] == "BuildConfig":
                expect((w["subresource"], w["body"]["revision"]["git"]["commit"]), ("instantiate", commit), "the build")
            else:
                expect(w["body"]["spec"]["newRevisionId"], commit, "the run's revision")
    expect(kinds, {"GitRepository", "BuildConfig", "S2iBuilder"}, "kinds that were acted on in all")

    # Many at once: each does its own, none another's.
    before, wanted, answers = len(kube.writes_since()), [], []
    for number in range(1_000, 1_200):
        wanted += organisation.followers(number, "refs/heads/main")
        answers.append(push(server, number))
    settled(server, answers, 30)
    expect(acted_on(kube.acts(before)), sorted(wanted), "acted on after 200 pushes to 200 repositories")


@test("a fork, a renamed, an unknown and a foreign repository write nothing, and the reason is recorded")
def strangers(context):
    organisation = Organisation()
    kube, server, _ = serve(context, organisation)
    repository = path(300)
    name = repository.rpartition("/")[2]
    cases = [
        ("a fork under another owner", "repository-unknown", dict(at=GITHUB, name="mallory/" + name)),
        ("a fork below the owner's name", "repository-unknown", dict(at=GITHUB, name="mallory/acme/" + name)),
        ("a name with more behind it", "repository-unknown", dict(at=GITHUB, name=repository + "-archive")),
        ("the beginning of a name", "repository-unknown", dict(at=GITHUB, name=repository[:-1])),
        ("a renamed repository", "repository-unknown", dict(at=GITHUB, name="acme/renamed-%s" % name)),
        ("an unknown one", "repository-unknown", dict(at=GITHUB, name="acme/never-heard-of")),
        ("the same path at another host", "repository-unknown", dict(at=GITEA, name=repository)),
        ("the same path at a third host", "repository-unknown", dict(at=GITLAB, name=repository)),
        ("another case where case counts", "repository-unknown", dict(at=GITEA, name=path(7).upper())),
        ("a branch that nobody follows", "ref-mismatch", dict(number=300, pushed="refs/heads/nobody")),
        ("a branch whose name ends alike", "ref-mismatch", dict(number=300, pushed="refs/heads/x/main")),
        ("a tag named as a branch is", "ref-mismatch", dict(number=454, pushed="refs/tags/main")),
    ]
    for what, reason, given in cases:
        answer = push(server, **given)
        settled(server, [answer])
        expect([(o["code"], o["reason"]) for o in outcomes(server, answer.sequence)], [("ignored", reason)], what)
    expect(kube.attempts(), 0, "attempts at the API server")
    ignored = server.metrics()['grapnel_trigger_outcomes_total{action="none",outcome="ignored"}']
    expect(ignored, len(cases), "deliveries counted as ignored")

    # The objects learn the new name of one repository: it is followed under that, and no longer under the old.
    files = organisation.manifests()
    old, new = "service-0300", "renamed-service-0300"
    for file, text in files.items():
        if old in text or old.replace("s", "S", 1) in text:
            for a, b in ((old, new), (old.replace("s", "S", 1), new)):
                text = text.replace("/" + a, "/" + b)
            server.write(file, text)
    wanted = organisation.followers(300, "refs/heads/main")
    expect_that(len(wanted) >= 10, "the test is wrong: few follow the repository")
    deadline = time.monotonic() + PATIENCE
    while True:                             # the files arrive one by one, and so may the followers
        came, _ = push_and_look(server, kube, at=GITHUB, name="acme/" + new)
        if came == wanted or time.monotonic() > deadline:
            break
    expect(came, wanted, "acted on under the new name")
    answer = push(server, 300)
    settled(server, [answer])
    expect([(o["code"], o["reason"]) for o in outcomes(server, answer.sequence)], [("ignored", "repository-unknown")],
           "the old name")
    expect(push_and_look(server, kube, 301)[0], organisation.followers(301, "refs/heads/main"), "another repository")


@test("organisation hooks of Gitea and GitLab reach the followers at their hosts, and refuse each other's deliveries")
def other_hosts(context):
    organisation = Organisation()
    kube, server, _ = serve(context, organisation)
    for number in (7, 47, 307, 487, 8, 28, 308, 488):
        wanted = organisation.followers(number, "refs/heads/main")
        expect_that(wanted, "the test is wrong: nobody follows repository %d" % number)
        expect(push_and_look(server, kube, number)[0], wanted, "acted on after a push to %s at %s" % (
            path(number), host(number)))
    before = kube.attempts()
    hooks = {"github": event(1), "gitea": event(7), "gitlab": event(8)}
    for sender, (_, body, fields) in hooks.items():
        for receiver, (where, _, _) in hooks.items():
            # Gitea sends GitHub's signature too, but not its event; there GitHub's alone is enough.
            if sender != receiver and {sender, receiver} != {"github", "gitea"}:
                expect(server.post(where, body, fields).status, 401, "a delivery of %s at the hook of %s" % (
                    sender, receiver))
    for where, body, fields in hooks.values():
        spoiled = [(k, "x" * len(v) if "Signature" in k or "Token" in k else v) for k, v in fields]
        expect(server.post(where, body, spoiled).status, 401, "without the secret at " + where)
    expect(kube.attempts(), before, "attempts at the API server after refusals")


@test("the deletion of a branch, and events that are no push, start no builds")
def no_builds(context):
    organisation = Organisation()
    kube, server, _ = serve(context, organisation)
    nothing = "0" * 40
    branch = json.loads(event(300)[1])
    for member in ("after", "head_commit", "commits", "before"):
        branch.pop(member, None)
    cases = [("a deletion", "push", json.dumps(dict(json.loads(event(300)[1]), after=nothing, deleted=True,
                                                    head_commit=None, commits=[]))),
             ("a deleted branch", "delete", json.dumps(dict(branch, ref="main", ref_type="branch"))),
             ("a comment", "issue_comment", json.dumps({k: v for k, v in branch.items() if k != "ref"}))]
    started = {}
    for what, name, text in cases:
        before = len(kube.writes_since())
        answer = server.push(text.encode(), "/hooks/platform/github", event=name)
        expect(answer.status, 200, what)
        if answer.decision == "accepted":
            settled(server, [answer])
        started[what] = [name for name in acted_on(kube.acts(before)) if not name.startswith("GitRepository")]
    expect(started, {what: [] for what, _, _ in cases}, "builds")


@test("of a repository that only GitRepositories follow, a push to another branch is recorded as that")
def reason_of_one_kind(context):
    manifests = {"hook.yaml": "---\n".join([secret("webhook-token", TOKEN, "platform"),
                                            hook("github", namespace="platform", actions=ACTIONS)]),
                 "source.yaml": json.dumps({
                     "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                     "metadata": {"name": "only", "namespace": "team-a"},
                     "spec": {"url": "https://github.com/acme/only", "ref": {"branch": "main"}}})}
    kube = cluster(context)
    server = context.server(manifests, flags=kube.flags)
    answer = push(server, at=GITHUB, name="acme/only", pushed="refs/heads/other")
    settled(server, [answer])
    expect([(o["code"], o["reason"]) for o in outcomes(server, answer.sequence)], [("ignored", "ref-mismatch")],
           "a branch that nobody follows")
