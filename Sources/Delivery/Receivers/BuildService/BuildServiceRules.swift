// BuildServiceRules: what a Build Service endpoint says to a request.
//
// Method, credentials, media type, body, in this order: nothing in the body is believed, or parsed, before the credentials are found
// good. A notification is a hint: it makes kpack look at a registry again and nothing else. Whatever an authenticated sender says
// about images that nobody reads is answered 200.
//
// The docker registry retries every answer of 400 and above for ever and keeps all later events waiting behind it: under its media type
// a body that can never become valid is dropped with 200.

public struct BuildServiceRules: ReceiverRules {
    public let endpoint: BuildServiceEndpoint
    private let proof: BuildServiceProof
    private let index: ImageIndex
    /// Whether the index knows all objects of its cluster.
    private let isComplete: Bool
    private let artifactory: ArtifactoryMap
    private let forceBuild: Bool
    private let dedupeWindowSeconds: UInt32
    private let callsBack: Bool

    /// Long enough that an operator may be at work, short enough that the registry's queue does not grow old.
    static let retryAfterSeconds = "10"

    /// `index` holds the objects of the route's cluster, with `settings.hostAliases`; while it is not complete nobody can say that no
    /// object reads an image, and what is proven is accepted.
    public init(
        _ endpoint: BuildServiceEndpoint, _ settings: BuildServiceSettings, _ index: ImageIndex,
        isComplete: Bool = true
    ) {
        self.isComplete = isComplete
        self.endpoint = endpoint
        self.proof = BuildServiceProof(endpoint, settings)
        self.index = index
        self.artifactory = ArtifactoryMap(settings.repositories, aliases: index.aliases)
        self.forceBuild = settings.forceBuild
        self.dedupeWindowSeconds = settings.dedupeWindowSeconds
        self.callsBack = endpoint == .dockerHub && settings.dockerHubCallback
    }

    public func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        guard request.method == "POST" else { return refused(.methodNotAllowed, 405, Answer.Field("Allow", "POST")) }
        guard proof.isUsable else {
            return refused(.secretUnusable, 503, Answer.Field("Retry-After", Self.retryAfterSeconds))
        }
        guard request.body.count <= endpoint.bodyBytesMax else { return refused(.bodyMalformed, 413) }
        let cause = proof.cause(request)
        guard cause == .none else { return refused(cause, 401) }
        guard let mediaType = mediaType(of: request) else { return refused(.contentTypeWrong, 415) }
        switch message(request.body) {
        case .malformed:
            return mediaType == RegistryNotification.mediaType
                ? ruling(request, .ignored(.bodyUnusable), 200) : refused(.bodyMalformed, 400)
        case .unusable: return refused(.parametersWrong, 422)
        case .nothing(let reason, let event, let id): return ruling(request, .ignored(reason), 200, event, id)
        case .changes(let changes, let event, let id):
            let outcome = index.outcome(of: changes)
            if outcome.refreshes.isEmpty, callback(request, after: nil) != nil {
                return ruling(request, .accepted, 200, event, id)
            }
            return outcome.refreshes.isEmpty && isComplete
                ? ruling(request, .ignored(outcome.reason), 200, event, id)
                : ruling(request, .accepted, 202, event, id)
        }
    }

    public func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers {
        switch message(request.body) {
        case .malformed, .unusable: return .ignored(.bodyUnusable)
        case .nothing(let reason, _, _): return .ignored(reason)
        case .changes(let changes, _, _):
            let outcome = index.outcome(of: changes)
            guard let first = outcome.refreshes.first else {
                return callback(request, after: nil).map { .actions([$0]) } ?? .ignored(outcome.reason)
            }
            var actions = outcome.refreshes.map { Action.kpackRefresh($0.target, image: $0.image, forceBuild: false) }
            if forceBuild {
                // After the refreshes, so that kpack is already looking when the Builds are marked.
                actions += index.builds(behind: outcome.objects).map {
                    .kpackRefresh($0, image: first.image, forceBuild: true)
                }
            }
            if let callback = callback(request, after: outcome.refreshes.last?.target) { actions.append(callback) }
            return .actions(actions)
        }
    }

    /// What `triggers` refreshes, with the digests that the sender named: for the check whether an object was patched for the same
    /// image and digest already.
    public func refreshes(of request: InboundRequest) -> [KpackRefresh] {
        guard case .changes(let changes, _, _) = message(request.body) else { return [] }
        return index.outcome(of: changes).refreshes
    }

    /// The call that Docker Hub waits for, where it is switched on and the payload names an address that may be called. A refresh is a
    /// hint that is repeated until it is taken, so what is told is that it was heard.
    private func callback(_ request: InboundRequest, after target: TargetReference?) -> Action? {
        guard callsBack else { return nil }
        do throws(DockerHubCallback.Refusal) {
            let description = target == nil ? "no object reads this image" : "refresh requested"
            return .dockerHubCallback(
                after: target,
                try DockerHubCallback.request(for: request.body, state: .success, description: description))
        } catch {
            return nil
        }
    }

    private func message(_ body: [UInt8]) -> BuildServiceMessage {
        guard let value = JSONValue(body) else { return .malformed }
        switch endpoint {
        case .notification: return RegistryNotification.read(value, aliases: index.aliases)
        case .artifactory: return ArtifactoryNotification.read(value, artifactory)
        case .dockerHub: return DockerHubNotification.read(value, aliases: index.aliases)
        }
    }

    /// The first acceptable one: a registry whose operator configured a Content-Type sends two.
    private func mediaType(of request: InboundRequest) -> String? {
        for field in request.allFields("content-type") {
            let type = InboundRequest(
                method: "", path: "", fields: [InboundRequest.Field(name: "content-type", value: field)]
            ).mediaType
            if type == "application/json" || (endpoint == .notification && type == RegistryNotification.mediaType) {
                return type
            }
        }
        return nil
    }

    private func refused(_ cause: VerifyCause, _ status: UInt16, _ fields: Answer.Field...) -> Ruling {
        Ruling(.refused(cause), answer: Answer(status, fields: fields), sender: endpoint.sender)
    }

    private func ruling(
        _ request: InboundRequest, _ decision: Ruling.Decision, _ status: UInt16, _ event: String = "",
        _ id: String? = nil
    ) -> Ruling {
        Ruling(
            decision, answer: Answer(status), duplicateAnswer: Answer(200), sender: endpoint.sender, eventName: event,
            deliveryID: id, dedupeWindowSeconds: dedupeWindowSeconds, credentials: proof.places(request))
    }
}
