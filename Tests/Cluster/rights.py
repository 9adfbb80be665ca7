"""What the account of the cluster tests must be allowed, and nothing else is used. `run.py --rights` prints it.

(where, API group, resource, verbs). `cluster`: bound to the whole cluster; `own`: only in the namespaces that the run
makes, so an account that gets these rights in every namespace it creates is enough; a namespace's name: only there;
`installed`: of the kinds whose definition the run installs, in all namespaces, so that it sees whether others use them.
"""
RIGHTS = [
    ("cluster", "", "namespaces", "create get delete"),
    ("cluster", "apiextensions.k8s.io", "customresourcedefinitions", "create get delete"),
    ("cluster", "authorization.k8s.io", "selfsubjectaccessreviews", "create"),
    ("installed", "*", "*", "list"),
    ("flux-system", "coordination.k8s.io", "leases", "get"),
    ("own", "coordination.k8s.io", "leases", "create get list update patch delete"),
    ("own", "", "secrets", "create get list watch patch"),
    ("own", "", "events", "create patch"),
    ("own", "grapnel.dev", "hooks", "create get list watch patch delete"),
    ("own", "grapnel.dev", "hooks/status", "patch"),
    ("own", "notification.toolkit.fluxcd.io", "receivers", "create get list watch patch delete"),
    ("own", "notification.toolkit.fluxcd.io", "receivers/status", "patch"),
    ("own", "source.toolkit.fluxcd.io", "gitrepositories", "create get list watch patch"),
    ("own", "build.openshift.io", "buildconfigs", "create get list watch"),
    ("own", "build.openshift.io", "buildconfigs/instantiate", "create"),
    ("own", "build.openshift.io", "builds", "list"),
    ("own", "build.openshift.io", "builds/docker", "create"),
    ("own", "devops.kubesphere.io", "s2ibuilders", "create get list watch"),
    ("own", "devops.kubesphere.io", "s2iruns", "create list"),
    ("own", "kpack.io", "buildpacks", "create get list watch patch"),
]
OPTIONAL = {"flux-system"}      # without it the field managers of the Receivers' status tell who judges them
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def allowed(client, namespace, group, resource, verb):
    main, _, sub = resource.partition("/")
    attributes = {"group": group, "resource": main, "verb": verb, **({"subresource": sub} if sub else {}),
                  **({"namespace": namespace} if namespace else {})}
    review = client.call("POST", REVIEWS, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                                           "spec": {"resourceAttributes": attributes}})
    return bool((review.get("status") or {}).get("allowed"))


def missing(client, where, groups, namespace=None):
    """The rights of one scope that the account lacks, as texts. Groups that are not served are not asked about."""
    found = []
    for scope, group, resource, verbs in RIGHTS:
        if scope == where and group in groups:
            found += ["%s %s%s" % (verb, resource, "." + group if group else "") for verb in verbs.split()
                      if not allowed(client, namespace, group, resource, verb)]
    return found


def text():
    lines = ["%-12s %-32s %-28s %s" % ("where", "group", "resource", "verbs")]
    lines += ["%-12s %-32s %-28s %s" % (where, group or '""', resource, verbs) for where, group, resource, verbs in RIGHTS]
    return "\n".join(lines)
