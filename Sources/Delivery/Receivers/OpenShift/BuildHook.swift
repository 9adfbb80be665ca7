// BuildHook: what one delivery means for one BuildConfig, once its secret was right. One file for each type of webhook beside this one.
//
// Reading it is what decides the answer, and again, on the stored record, what is built: it needs no credentials.

/// A delivery and the config it is for.
struct BuildHook {
    let request: InboundRequest
    let facts: BuildConfigFacts
    let profile: OpenShiftProfile

    enum Verdict {
        case build(Plan)
        case ignored(IgnoredReason, Answer)
        case refused(VerifyCause, Answer)

        static func ignored(_ reason: IgnoredReason) -> Verdict { .ignored(reason, Answer(200)) }
        static func malformed(_ message: String) -> Verdict {
            .refused(.bodyMalformed, OpenShiftStatus.badRequest(message))
        }
    }

    /// What the build is asked for.
    struct Plan: Equatable {
        /// nil: the tip of the configured ref.
        var revision: GitRevision?
        /// EnvVars; only what the webhook's trigger allows may be used.
        var env: [JSONValue] = []
        var dockerOptions: JSONValue?
        /// Why the payload was not used (all of it or in part), for the Build's annotations.
        var warning: String?

        init(_ revision: GitRevision? = nil, warning: String? = nil) {
            self.revision = revision
            self.warning = warning
        }
    }

    func verdict(_ type: BuildHookType) -> Verdict {
        switch type {
        case .github: github()
        case .gitlab: gitlab()
        case .bitbucket: bitbucket()
        case .generic: generic()
        }
    }

    var isBetter: Bool { profile == .grapnel }
    func has(_ option: OpenShiftOption) -> Bool { facts.options.contains(option) }
    var refRule: BuildRefRule { BuildRefRule(facts, profile) }

    /// The first of the fields that is not empty.
    func firstField(_ names: String...) -> String? {
        for name in names {
            if let value = request.field(name), !value.isEmpty { return value }
        }
        return nil
    }

    /// What the API server's plug-ins say to an event they do not build; `fixed` without the event.
    func unknownEvent(_ fixed: String) -> Verdict {
        isBetter ? .ignored(.eventIrrelevant) : .refused(.eventNotListed, OpenShiftStatus.badRequest(fixed))
    }

    /// nil when the Content-Type is JSON, else the refusal.
    func contentTypeTrouble(alsoForm: Bool = false) -> Verdict? {
        func refused(_ message: String) -> Verdict {
            .refused(.contentTypeWrong, OpenShiftStatus.badRequest(message))
        }
        guard let field = request.field("content-type"), !field.isEmpty else {
            return refused("non-parseable Content-Type  (mime: no media type)")
        }
        guard let type = MediaType(field) else { return refused("non-parseable Content-Type") }
        switch type.name {
        case "application/json": return nil
        case BuildHook.form where alsoForm: return nil
        case BuildHook.form: return refused("unsupported Content-Type: choose application/json at the sender")
        default: return refused("unsupported Content-Type")
        }
    }

    static let form = "application/x-www-form-urlencoded"

    /// The body as JSON, or the refusal.
    func json(_ body: [UInt8]) -> Result<JSONValue, Refusal> {
        guard body.contains(where: { $0 != 0x20 && $0 != 0x0a && $0 != 0x0d && $0 != 0x09 }) else {
            return .failure(Refusal(verdict: .malformed("unexpected end of JSON input")))
        }
        guard let value = JSONValue(body) else {
            return .failure(Refusal(verdict: .malformed("the body is not a JSON text")))
        }
        return .success(value)
    }

    struct Refusal: Error { let verdict: Verdict }

    static let wrongTypes = Verdict.malformed("the body has a member of another type than this event has")

    /// nil when the payload's repository may be built; `urls` are all that it has.
    func repositoryTrouble(_ urls: [String?]) -> Verdict? {
        guard has(.verifyRepository) else { return nil }
        guard let own = facts.git.flatMap({ RepositoryName(url: $0.uri) }),
            urls.contains(where: { $0.flatMap { RepositoryName(url: $0) } == own })
        else { return .ignored(.repositoryMismatch) }
        return nil
    }
}
