// GitLab: `Push Hook` (docs.gitlab.com "Webhook events").
//
// The API server builds the last of `commits`, which is the oldest where GitLab lists the newest first, and crashes when there is none.
// Profile `grapnel` builds `checkout_sha`; so do both when there are no commits.

extension BuildHook {
    func gitlab() -> Verdict {
        if let trouble = contentTypeTrouble() { return trouble }
        guard let event = firstField("x-gitlab-event") else { return .malformed("missing X-Gitlab-Event") }
        // A tag matches a ref that is written as refs/tags/…
        guard event == "Push Hook" || isBetter && event == "Tag Push Hook" else {
            return unknownEvent("Unknown X-Gitlab-Event")
        }
        return gitlabPush()
    }

    func gitlabPush() -> Verdict {
        switch json(request.body) {
        case .failure(let refusal): return refusal.verdict
        case .success(let value):
            do throws(WrongJSONType) {
                return try gitlabPush(value)
            } catch {
                return Self.wrongTypes
            }
        }
    }

    private func gitlabPush(_ value: JSONValue) throws(WrongJSONType) -> Verdict {
        let event = try GoObject(value)
        let ref = try event.text("ref")
        let after = try event.text("after")
        var commits: [GitRevision] = []
        for element in try event.list("commits") ?? [] { commits.append(try Self.gitlabCommit(GoObject(element))) }
        guard refRule.matches(ref, defaultBranch: value.text(at: "project", "default_branch")) else {
            return .ignored(.refMismatch)
        }
        if let trouble = repositoryTrouble(Self.gitlabURLs(value)) { return trouble }
        if !isBetter, let last = commits.last { return .build(Plan(last)) }
        // Of an annotated tag `after` is the tag object, `checkout_sha` the commit.
        let checkout = value.text(at: "checkout_sha") ?? ""
        let commit = checkout.isEmpty ? after : checkout
        if commit.isEmpty || GitRevision.isZero(after) || GitRevision.isZero(commit) { return .ignored(.branchDeleted) }
        var revision = commits.last { $0.commit == commit } ?? GitRevision()
        revision.commit = commit
        return .build(Plan(revision))
    }

    private static func gitlabCommit(_ commit: GoObject) throws(WrongJSONType) -> GitRevision {
        var revision = GitRevision()
        revision.commit = try commit.text("id")
        revision.author = try GitRevision.Person(commit.object("author"))
        revision.committer = revision.author
        revision.message = try commit.text("message")
        return revision
    }

    private static func gitlabURLs(_ value: JSONValue) -> [String?] {
        ["git_http_url", "git_ssh_url", "http_url", "ssh_url", "web_url", "url"]
            .map { value.text(at: "project", $0) }
            + ["git_http_url", "git_ssh_url", "homepage", "url"].map { value.text(at: "repository", $0) }
    }
}
