// The generic webhook: a payload of OpenShift's own making, JSON or YAML, or none at all. Whatever is wrong with it the build is started,
// and the warning stands in the Build's annotations.

extension BuildHook {
    func generic() -> Verdict {
        if let field = request.field("content-type"), !field.isEmpty, MediaType(field) == nil {
            return .refused(.contentTypeWrong, OpenShiftStatus.badRequest("error parsing Content-Type"))
        }
        if has(.providerHeaders), let verdict = providerPush() { return verdict }
        let payload: JSONValue
        switch MediaType(request.field("content-type") ?? "")?.name {
        case "application/json":
            if request.body.isEmpty { return .build(Plan()) }
            guard let value = JSONValue(request.body) else {
                return .build(Plan(warning: "error unmarshalling payload: not a JSON text" + Self.goingOn))
            }
            payload = value
        case "application/yaml":
            if request.body.isEmpty { return .build(Plan()) }
            guard let value = YAMLPayload.json(request.body) else {
                return .build(Plan(warning: "error converting payload to json: not a YAML text" + Self.goingOn))
            }
            payload = value
        default:
            return .build(Plan(warning: "invalid Content-Type on payload" + Self.goingOn))
        }
        // Upstream crashes.
        if payload.isNull { return .build(Plan()) }
        do throws(WrongJSONType) {
            return try generic(payload)
        } catch {
            return .build(Plan(warning: "error unmarshalling payload: a member has a wrong type" + Self.goingOn))
        }
    }

    private static let goingOn = ", ignoring payload and continuing with build"

    private func generic(_ payload: JSONValue) throws(WrongJSONType) -> Verdict {
        let event = try GoObject(payload)
        _ = try event.text("type")
        var plan = Plan()
        plan.env = try Self.env(event.list("env"))
        let options = try event.object("dockerStrategyOptions")
        let hasOptions = event.member("dockerStrategyOptions") != nil
        let buildArgs = try Self.env(options.list("buildArgs"))
        let noCache = try options.boolean("noCache")
        let git = try event.object("git")
        for name in ["uri", "httpProxy", "httpsProxy", "noProxy"] { _ = try git.text(name) }
        let refs = try git.list("refs")
        let ref = try git.text("ref")
        plan.revision = try Self.genericRevision(git)
        var entries: [(ref: String, revision: GitRevision)] = []
        for element in refs ?? [] {
            let entry = try GoObject(element)
            entries.append((try entry.text("ref"), try Self.genericRevision(entry)))
        }

        if hasOptions, !has(.gateDockerOptions) {
            plan.dockerOptions = Self.dockerOptions(buildArgs: buildArgs, noCache: noCache)
        }
        guard facts.git != nil else {
            plan.revision = nil
            return .build(plan)
        }
        guard event.member("git") != nil else {
            plan.revision = nil
            plan.warning = "no git information found in payload, ignoring and continuing with build"
            return .build(plan)
        }
        if let uri = git.member("uri")?.text, !uri.isEmpty, let trouble = repositoryTrouble([uri]) { return trouble }
        if refs != nil {
            guard let entry = entries.first(where: { refRule.matches($0.ref) }) else {
                let wanted = facts.git?.ref ?? ""
                return skipped("skipping build. None of the supplied refs matched \"\(wanted)\"")
            }
            plan.revision = entry.revision
            return .build(plan)
        }
        if ref.isEmpty, has(.commitWithoutRef), plan.revision?.commit.isEmpty == false { return .build(plan) }
        guard refRule.matches(ref) else {
            let shown = ref.utf8.count <= 256 ? ref : ""
            return skipped("skipping build. Branch reference from \"\(shown)\" does not match configuration")
        }
        return .build(plan)
    }

    private func skipped(_ message: String) -> Verdict { .ignored(.refMismatch, OpenShiftStatus.skipped(message)) }

    /// A push of a known provider, by its headers; nil when there is none, or the payload is one of OpenShift's own. Read as in profile
    /// `grapnel`: who asks for this wants no build of a deleted branch.
    private func providerPush() -> Verdict? {
        let hook = BuildHook(request: request, facts: facts, profile: .grapnel)
        let verdict: Verdict
        if let event = firstField("x-github-event", "x-gogs-event") {
            verdict = event == "push" ? hook.githubPush() : .ignored(event == "ping" ? .ping : .eventIrrelevant)
        } else if let event = firstField("x-gitlab-event") {
            let isPush = event == "Push Hook" || event == "Tag Push Hook"
            verdict = isPush ? hook.gitlabPush() : .ignored(.eventIrrelevant)
        } else if let event = firstField("x-event-key") {
            let isPush = event == "repo:push" || event == "repo:refs_changed"
            verdict =
                isPush
                ? hook.bitbucketPush(isCloud: event == "repo:push")
                : .ignored(event == "diagnostics:ping" ? .ping : .eventIrrelevant)
        } else {
            return nil
        }
        // Without a push in it the payload is no provider's.
        if case .refused = verdict { return nil }
        if JSONValue(request.body)?["git"]?.members != nil { return nil }
        return verdict
    }

    private static func genericRevision(_ git: GoObject) throws(WrongJSONType) -> GitRevision {
        var revision = GitRevision()
        revision.commit = try git.text("commit")
        revision.author = try GitRevision.Person(git.object("author"))
        revision.committer = try GitRevision.Person(git.object("committer"))
        revision.message = try git.text("message")
        return revision
    }

    /// EnvVars: name, value and valueFrom.
    private static func env(_ list: [JSONValue]?) throws(WrongJSONType) -> [JSONValue] {
        var variables: [JSONValue] = []
        for element in list ?? [] {
            let variable = try GoObject(element)
            var members: [JSONValue.Member] = [.init(name: "name", value: .string(try variable.text("name")))]
            let value = try variable.text("value")
            if !value.isEmpty { members.append(.init(name: "value", value: .string(value))) }
            _ = try variable.object("valueFrom")
            if let source = variable.member("valueFrom") { members.append(.init(name: "valueFrom", value: source)) }
            variables.append(.object(members))
        }
        return variables
    }

    private static func dockerOptions(buildArgs: [JSONValue], noCache: Bool?) -> JSONValue? {
        var members: [JSONValue.Member] = []
        if !buildArgs.isEmpty { members.append(.init(name: "buildArgs", value: .array(buildArgs))) }
        if let noCache { members.append(.init(name: "noCache", value: .bool(noCache))) }
        return members.isEmpty ? nil : .object(members)
    }
}
