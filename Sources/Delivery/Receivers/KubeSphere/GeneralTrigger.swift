// GeneralTrigger: the general route: every proven request starts a run, whoever sends it. What it does not start is opt-in, but for
// GitHub's ping.

struct GeneralTrigger {
    let request: InboundRequest
    let builder: S2iBuilderFacts
    let settings: KubeSphereSettings
    let branches: BranchRule

    func verdict() -> KubeSphereRules.Verdict {
        if settings.ignorePing, request.field("x-github-event") == "ping" { return .ignored(.ping) }
        if settings.branchFilter, let pushed = pushedBranches() {
            if branches.isInvalid { return .refused(.parametersWrong, 422) }
            guard pushed.contains(where: branches.matches) else { return .ignored(.refMismatch) }
        }
        var run = S2iRun()
        if settings.overrides, builder.secretCode != nil, !isOverriding(&run) { return .refused(.parametersWrong, 422) }
        return .run(run)
    }

    /// Takes over what a JSON object asks for; false when it asks for something that may not be.
    private func isOverriding(_ run: inout S2iRun) -> Bool {
        let blank: [UInt8] = [0x20, 0x09, 0x0a, 0x0d]
        guard request.body.first(where: { !blank.contains($0) }) == UInt8(ascii: "{"),
            let body = JSONValue(request.body)
        else { return true }
        func text(_ name: String, isValid: (String) -> Bool) -> (isValid: Bool, value: String?) {
            guard let value = body[name], !value.isNull else { return (true, nil) }
            guard let text = value.text, isValid(text) else { return (false, nil) }
            return (true, text)
        }
        let name = text("builderName") { $0.utf8.elementsEqual(builder.name.utf8) }
        let tag = text("newTag", isValid: Self.isTag)
        let revision = text("newRevisionId", isValid: Self.isRevision)
        let source = text("newSourceURL") { builder.isBinaryURL && Self.isWebURL($0) }
        guard name.isValid, tag.isValid, revision.isValid, source.isValid else { return false }
        run.newTag = tag.value
        run.newRevisionID = revision.value
        run.newSourceURL = source.value
        return true
    }

    /// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
    private static func isTag(_ text: String) -> Bool {
        func isWord(_ byte: UInt8) -> Bool {
            lowered(byte) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == UInt8(ascii: "_")
        }
        guard let first = text.utf8.first, isWord(first), text.utf8.count <= 128 else { return false }
        return text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    /// No option of a command line, no blanks.
    private static func isRevision(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 255 && text.utf8.first != UInt8(ascii: "-")
            && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }

    private static func isWebURL(_ text: String) -> Bool {
        let head = text.utf8.prefix(8).map(lowered)
        let rest: Substring.UTF8View
        if head.starts(with: "https://".utf8) {
            rest = text.utf8.dropFirst(8)
        } else if head.starts(with: "http://".utf8) {
            rest = text.utf8.dropFirst(7)
        } else {
            return false
        }
        guard let first = rest.first, first != UInt8(ascii: "/"), text.utf8.count <= 2048 else { return false }
        return rest.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }

    /// The branches that a git host's push names; nil for what is no push, or names none.
    private func pushedBranches() -> [String]? {
        let github = request.field("x-github-event") ?? request.field("x-gitea-event") ?? request.field("x-gogs-event")
        let gitlab = request.field("x-gitlab-event")
        let bitbucket = request.field("x-event-key")
        let isPush = github == "push" || gitlab == "Push Hook" || gitlab == "Tag Push Hook"
        let isBitbucket = bitbucket == "repo:push" || bitbucket == "repo:refs_changed"
        guard isPush || isBitbucket, let body = GitHubTrigger.json(of: request) else { return nil }
        var names: [String] = []
        if isPush {
            names = [body["ref"]?.text.flatMap(BranchRule.branch)].compactMap { $0 }
        } else if bitbucket == "repo:push" {
            for change in body["push"]?["changes"]?.elements ?? [] {
                guard let name = (change["new"]?["name"] ?? change["old"]?["name"])?.text else { continue }
                names.append(name)
            }
        } else {
            names = (body["changes"]?.elements ?? []).compactMap { $0["ref"]?["displayId"]?.text }
        }
        return names.isEmpty ? nil : names
    }
}
