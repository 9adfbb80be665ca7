// GitHub, Gitea, Forgejo and Gogs: event `push` (docs.github.com "Webhook events and payloads").

extension BuildHook {
    func github() -> Verdict {
        if let trouble = contentTypeTrouble(alsoForm: has(.formBodies)) { return trouble }
        guard let event = firstField("x-github-event", "x-gogs-event") else {
            return .malformed("missing X-GitHub-Event or X-Gogs-Event")
        }
        switch event {
        case "ping": return .ignored(.ping)
        case "push": return githubPush()
        default: return unknownEvent("Unknown X-GitHub-Event or X-Gogs-Event")
        }
    }

    func githubPush() -> Verdict {
        var body = request.body
        if MediaType(request.field("content-type") ?? "")?.name == Self.form {
            guard let payload = unsafe body.withUnsafeBytes({ unsafe FormPayload.decode($0) }) else {
                return .malformed("the form has no field payload")
            }
            body = payload
        }
        switch json(body) {
        case .failure(let refusal): return refusal.verdict
        case .success(let value):
            do throws(WrongJSONType) {
                return try githubPush(value)
            } catch {
                return Self.wrongTypes
            }
        }
    }

    private func githubPush(_ value: JSONValue) throws(WrongJSONType) -> Verdict {
        let event = try GoObject(value)
        let ref = try event.text("ref")
        let after = try event.text("after")
        var revision = try Self.githubCommit(event.object("head_commit"))
        guard refRule.matches(ref, defaultBranch: value.text(at: "repository", "default_branch")) else {
            return .ignored(.refMismatch)
        }
        if let trouble = repositoryTrouble(Self.githubURLs(value)) { return trouble }
        guard isBetter else { return .build(Plan(revision)) }
        if event.member("deleted")?.boolean == true || GitRevision.isZero(after) { return .ignored(.branchDeleted) }
        if revision.commit.isEmpty {
            // Gogs has no head_commit.
            let entry = event.member("commits")?.elements?.last { $0.text(at: "id") == after }
            revision = (try? entry.map { try Self.githubCommit(GoObject($0)) }) ?? GitRevision()
            revision.commit = after
        }
        return .build(Plan(revision))
    }

    private static func githubCommit(_ commit: GoObject) throws(WrongJSONType) -> GitRevision {
        var revision = GitRevision()
        revision.commit = try commit.text("id")
        revision.author = try GitRevision.Person(commit.object("author"))
        revision.committer = try GitRevision.Person(commit.object("committer"))
        revision.message = try commit.text("message")
        return revision
    }

    private static func githubURLs(_ value: JSONValue) -> [String?] {
        ["clone_url", "ssh_url", "git_url", "html_url", "svn_url", "url"].map { value.text(at: "repository", $0) }
    }
}
