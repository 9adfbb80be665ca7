// Bitbucket Cloud (`repo:push`) and Bitbucket Server or Data Center (`repo:refs_changed`; confluence.atlassian.com "Event payload").
//
// The API server looks at the first change only, and on Cloud at the branch's old state, so that it misses new branches. Profile
// `grapnel` looks at all changes and at the new state.

extension BuildHook {
    func bitbucket() -> Verdict {
        let event = firstField("x-event-key")
        // Sent by the button "Test connection" without a Content-Type.
        if isBetter, event == "diagnostics:ping" { return .ignored(.ping) }
        if let trouble = contentTypeTrouble() { return trouble }
        guard let event else { return .malformed("missing X-Event-Key") }
        guard event == "repo:push" || event == "repo:refs_changed" else {
            return unknownEvent("Unknown Bitbucket X-Event-Key")
        }
        return bitbucketPush(isCloud: event == "repo:push")
    }

    func bitbucketPush(isCloud: Bool) -> Verdict {
        switch json(request.body) {
        case .failure(let refusal): return refusal.verdict
        case .success(let value):
            do throws(WrongJSONType) {
                let event = try GoObject(value)
                let changes = try isCloud ? event.object("push").list("changes") : event.list("changes")
                guard let changes, !changes.isEmpty else { return Self.noEvent }
                var first: Verdict?
                for change in isBetter ? changes : [changes[0]] {
                    let verdict =
                        try isCloud ? cloudChange(change, of: value) : serverChange(change, of: value)
                    if case .build = verdict {
                        return repositoryTrouble(Self.bitbucketURLs(value)) ?? verdict
                    }
                    // What became of the branch that is built says more than that others were pushed too.
                    if first == nil { first = verdict }
                    if case .ignored(.branchDeleted, _) = verdict { first = verdict }
                }
                return first ?? Self.noEvent
            } catch {
                return Self.wrongTypes
            }
        }
    }

    private static let noEvent = Verdict.malformed("Unable to extract valid event from payload")

    private func cloudChange(_ value: JSONValue, of payload: JSONValue) throws(WrongJSONType) -> Verdict {
        let change = try GoObject(value)
        let oldName = try change.object("old").text("name")
        var commits: [GitRevision] = []
        for element in try change.list("commits") ?? [] { commits.append(try cloudCommit(GoObject(element))) }
        guard isBetter else {
            guard let commit = commits.first else { return Self.noEvent }
            return refRule.matches(oldName) ? .build(Plan(commit)) : .ignored(.refMismatch)
        }
        let new = change.member("new")
        let branch = new?.text(at: "name") ?? oldName
        let isTag = (new ?? change.member("old"))?.text(at: "type") == "tag"
        let ref = isTag ? "refs/tags/" + branch : branch
        guard refRule.matches(ref, defaultBranch: payload.text(at: "repository", "mainbranch", "name")) else {
            return .ignored(.refMismatch)
        }
        guard let target = new?.member(ignoringCase: "target"), let hash = target.text(at: "hash"), !hash.isEmpty else {
            // Without a new state: a deletion, unless there are commits to build.
            return commits.first.map { .build(Plan($0)) } ?? .ignored(.branchDeleted)
        }
        if let commit = commits.first(where: { $0.commit == hash }) { return .build(Plan(commit)) }
        var revision = (try? cloudCommit(GoObject(target))) ?? GitRevision()
        revision.commit = hash
        return .build(Plan(revision))
    }

    private func cloudCommit(_ commit: GoObject) throws(WrongJSONType) -> GitRevision {
        let author = try commit.object("author")
        var revision = GitRevision()
        revision.commit = try commit.text("hash")
        revision.message = try commit.text("message")
        revision.author.name = try author.text("username")
        if isBetter, let raw = author.member("raw")?.text, !raw.isEmpty {
            revision.author = GitRevision.Person(raw: raw)
        }
        revision.committer = revision.author
        return revision
    }

    private func serverChange(_ value: JSONValue, of payload: JSONValue) throws(WrongJSONType) -> Verdict {
        let change = try GoObject(value)
        let ref = try change.object("ref")
        let displayID = try ref.text("displayId")
        var revision = GitRevision()
        revision.commit = try change.text("toHash")
        // A tag and a branch of one name cannot be told apart by the display name.
        var isMatch = refRule.matches(displayID)
        if isBetter, !isMatch, let id = ref.member("id")?.text { isMatch = refRule.matches(id) }
        guard isMatch else { return .ignored(.refMismatch) }
        guard isBetter else { return .build(Plan(revision)) }
        if change.member("type")?.text == "DELETE" || GitRevision.isZero(revision.commit) {
            return .ignored(.branchDeleted)
        }
        if let commit = payload.member(ignoringCase: "toCommit"), commit.text(at: "id") == revision.commit {
            revision.message = commit.text(at: "message") ?? ""
            revision.author = Self.serverPerson(commit, "author")
            revision.committer = Self.serverPerson(commit, "committer")
        }
        return .build(Plan(revision))
    }

    private static func serverPerson(_ commit: JSONValue, _ role: String) -> GitRevision.Person {
        GitRevision.Person(
            name: commit.text(at: role, "name") ?? "", email: commit.text(at: role, "emailAddress") ?? "")
    }

    private static func bitbucketURLs(_ payload: JSONValue) -> [String?] {
        let repository = payload.member(ignoringCase: "repository")
        let links = repository?.member(ignoringCase: "links")
        let clone = links?.member(ignoringCase: "clone")?.elements ?? []
        return clone.map { $0.text(at: "href") } + [links?.text(at: "html", "href")]
    }
}
