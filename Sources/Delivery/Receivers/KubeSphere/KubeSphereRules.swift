// KubeSphereRules: one S2iBuilder's two triggers: verified, filtered, and carried out by creating an S2iRun.
//
// Order: path and method, content type (GitHub route), ping (GitHub route), secret, then what each route looks at.

public struct KubeSphereRules: ReceiverRules {
    private let builder: S2iBuilderFacts
    private let settings: KubeSphereSettings
    private let branches: BranchRule

    public init(_ builder: S2iBuilderFacts, settings: KubeSphereSettings = KubeSphereSettings()) {
        self.builder = builder
        self.settings = settings
        branches = BranchRule(builder)
    }

    enum Verdict {
        case run(S2iRun)
        case ignored(IgnoredReason)
        case refused(VerifyCause, UInt16)
    }

    public func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        guard let path = KubeSpherePath(request.path) else { return KubeSphereAddress.notFound(.pathMalformed) }
        if let refusal = KubeSphereAddress.refusal(request, path) { return refusal }
        let isGitHub = path.route == .github
        let proof = KubeSphereProof(request, secret: builder.secretCode)
        if let refusal = refusal(request, proof, isGitHub: isGitHub) { return refusal }
        var ruling: Ruling
        switch verdict(request, isGitHub: isGitHub) {
        case .run: ruling = Ruling(.accepted, answer: Answer(201), duplicateAnswer: Answer(200))
        case .ignored(let reason): ruling = Ruling(.ignored(reason), answer: Answer(200))
        case .refused(let cause, let status): ruling = Ruling(.refused(cause), answer: Answer(status))
        }
        describe(&ruling, request)
        ruling.credentials = proof.credentials
        return ruling
    }

    public func triggers(of request: InboundRequest, _ delivery: DeliveryFacts) -> Triggers {
        switch verdict(request, isGitHub: KubeSpherePath(request.path)?.route == .github) {
        case .run(let run):
            let target = TargetReference(
                cluster: builder.cluster, apiVersion: S2iRun.apiVersion, kind: "S2iBuilder",
                namespace: builder.namespace, name: builder.name)
            return .actions([.s2iRun(target, run: run.json(builder, delivery))])
        case .ignored(let reason): return .ignored(reason)
        // The builder changed since the delivery was accepted.
        case .refused: return .ignored(.bodyUnusable)
        }
    }

    private func verdict(_ request: InboundRequest, isGitHub: Bool) -> Verdict {
        isGitHub
            ? GitHubTrigger(request: request, branches: branches).verdict()
            : GeneralTrigger(request: request, builder: builder, settings: settings, branches: branches).verdict()
    }

    /// The answer to a request that is not proven; nil when it is.
    private func refusal(_ request: InboundRequest, _ proof: KubeSphereProof, isGitHub: Bool) -> Ruling? {
        if isGitHub, settings.githubUnauthenticated { return nil }
        if builder.secretCode == nil, settings.requireSecret {
            return Ruling(.refused(.secretUnusable), answer: Answer(403))
        }
        // This route never asked for a code.
        if isGitHub, builder.secretCode == nil { return nil }
        switch proof.outcome {
        case .proven: return nil
        // Answered as for every path, builder or not; but nothing unproven is stored.
        case .missing where isGitHub && KubeSphereAddress.isPing(request): return KubeSphereAddress.ping(proof.cause)
        case .missing, .wrong: return Ruling(.refused(proof.cause), answer: Answer(401))
        }
    }

    private func describe(_ ruling: inout Ruling, _ request: InboundRequest) {
        let events: [(field: String, sender: SenderType)] = [
            ("x-gitea-event", .gitea), ("x-github-event", .github), ("x-gitlab-event", .gitlab),
            ("x-event-key", .bitbucket),
        ]
        ruling.sender = .generic
        for event in events {
            guard let name = request.field(event.field) else { continue }
            ruling.sender = event.sender
            ruling.eventName = name
            break
        }
        ruling.deliveryID = HookDeliveryID.of(
            request, ["x-github-delivery", "x-gitlab-event-uuid", "x-gitea-delivery", "x-request-uuid"])
        ruling.dedupeWindowSeconds = settings.dedupeWindowSeconds
    }
}
