// GitHubTrigger: the GitHub route: pushes to the builder's branch start a run of the pushed commit (docs.github.com "push").

struct GitHubTrigger {
    let request: InboundRequest
    let branches: BranchRule

    /// Longer names are cut.
    private static let creatorBytesMax = 200

    func verdict() -> KubeSphereRules.Verdict {
        guard let event = request.field("x-github-event"), !event.isEmpty else { return .refused(.bodyMalformed, 400) }
        guard event == "push" else { return .ignored(event == "ping" ? .ping : .eventIrrelevant) }
        guard let push = Self.json(of: request), push.members != nil else { return .refused(.bodyMalformed, 400) }
        if push["deleted"]?.boolean == true { return .ignored(.branchDeleted) }
        guard let commit = push["head_commit"], !commit.isNull else { return .ignored(.branchDeleted) }
        guard let branch = push["ref"]?.text.flatMap(BranchRule.branch) else { return .refused(.bodyMalformed, 400) }
        if branches.isInvalid { return .refused(.parametersWrong, 422) }
        guard branches.matches(branch) else { return .ignored(.refMismatch) }
        guard let id = commit["id"]?.text, !id.isEmpty else { return .refused(.bodyMalformed, 400) }
        let names = [
            commit["committer"]?["name"], push["pusher"]?["name"], push["sender"]?["login"],
        ]
        let name = names.lazy.compactMap { $0?.text }.map(Self.shown).first { !$0.isEmpty } ?? "unknown"
        return .run(S2iRun(creator: "trigger-" + name, newRevisionID: id))
    }

    /// The body, or what a form has in its field `payload`, as JSON.
    static func json(of request: InboundRequest) -> JSONValue? {
        guard request.mediaType == "application/x-www-form-urlencoded" else { return JSONValue(request.body) }
        return unsafe request.body.withUnsafeBytes { unsafe FormPayload.decode($0) }.flatMap { JSONValue($0) }
    }

    private static func shown(_ name: String) -> String {
        let cut = String(decoding: name.utf8.prefix(creatorBytesMax), as: UTF8.self)
        return String(String.UnicodeScalarView(cut.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }))
    }
}
