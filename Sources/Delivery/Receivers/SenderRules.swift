// SenderRules: the rules of every sender that path and signature alone do not settle, for Flux Receivers and for Hooks.
//
// Order: method, proof, body, event. The two kinds of receiver differ in their answers only. A Flux Receiver: 200, and 400 for
// everything that fails, bodies empty. A Hook: 401 for a failed proof, the same for every cause; 400 for a body that its
// sender cannot have meant; 200 for what is not listed. Which actions follow was settled when the route was made.

public struct SenderRules: TokenRules {
    let sender: any Sender.Type
    let isFlux: Bool
    private(set) var secrets: [SecretBytes]
    let events: [String]
    let configuration: SenderConfiguration
    let actions: [Action]

    /// nil for the types that are proven on the loop.
    ///
    /// - Parameters:
    ///   - secrets: any one may prove a delivery; empty ones are left out.
    ///   - events: accepted event names; empty accepts all.
    ///   - actions: what each accepted delivery causes.
    public init?(
        sender: SenderType, isFlux: Bool, secrets: [SecretBytes], events: [String] = [],
        configuration: SenderConfiguration = SenderConfiguration(), actions: [Action] = []
    ) {
        guard let sender = SenderTable.sender(sender) else { return nil }
        self.sender = sender
        self.isFlux = isFlux
        self.secrets = secrets.filter { !$0.isEmpty }
        self.events = events
        self.configuration = configuration
        self.actions = actions
    }

    /// How a delivery is proven where that was chosen; nil: the type's own way.
    public var credential: SenderCredential? { configuration.credential }

    /// The same rules with other secrets.
    public func proven(by secrets: [SecretBytes]) -> SenderRules {
        var rules = self
        rules.secrets = secrets.filter { !$0.isEmpty }
        return rules
    }

    public func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        guard request.method == "POST" else {
            return Ruling(.refused(.methodNotAllowed), answer: Answer(405, fields: [Answer.Field("Allow", "POST")]))
        }
        switch sender.prove(request, keys(now)) {
        case .proven: return judge(request, now)
        case .refused(let cause): return refuse(cause)
        case .refusedToken(let failure): return refuse(failure == .headerMissing ? .idTokenMissing : .idTokenRefused)
        case .awaitsToken(let demand):
            // The answer stands only until the token is settled.
            return Ruling(
                .awaitsToken(demand), answer: refuse(.idTokenRefused).answer, credentials: credentials(of: request))
        }
    }

    public func rule(on request: InboundRequest, claims: JSONValue, now: UInt64) -> Ruling {
        switch sender.judge(claims: claims, keys(now)) {
        case .success: judge(request, now)
        case .failure: refuse(.idTokenRefused)
        }
    }

    public func refuseToken(_ request: InboundRequest) -> Ruling { refuse(.idTokenRefused) }

    public func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .actions(actions) }

    /// What the log says about a refused ID token beside the cause; nil when the request was not refused for its token.
    ///
    /// - Parameter claims: of a genuine token; nil when there was none.
    public func tokenText(_ request: InboundRequest, claims: JSONValue? = nil) -> String? {
        if let claims {
            guard case .failure(let failure) = sender.judge(claims: claims, keys(0)) else { return nil }
            return failure.text
        }
        guard case .refusedToken(let failure) = sender.prove(request, keys(0)) else { return nil }
        return failure.text
    }

    private func keys(_ now: UInt64) -> SenderKeys {
        SenderKeys(isFlux: isFlux, secrets: secrets, configuration: configuration, events: events, now: now)
    }

    /// A proven request.
    private func judge(_ request: InboundRequest, _ now: UInt64) -> Ruling {
        guard let reading = sender.read(request, keys(now)) else {
            return Ruling(.refused(.bodyMalformed), answer: Answer(400))
        }
        let credentials = credentials(of: request)
        func ruling(_ decision: Ruling.Decision, _ eventName: String) -> Ruling {
            Ruling(
                decision, answer: Answer(200), sender: sender.type, eventName: eventName,
                deliveryID: reading.deliveryID, credentials: credentials)
        }
        if reading.isUnusable { return ruling(.ignored(.bodyUnusable), "") }
        let first = Self.label(reading.eventNames.first ?? "")
        guard !events.isEmpty, !isFlux || sender.filtersEventsForFlux else {
            if !isFlux, reading.isPing { return ruling(.ignored(.ping), first) }
            if !isFlux, reading.isIrrelevant { return ruling(.ignored(.eventIrrelevant), first) }
            return ruling(.accepted, first)
        }
        for name in reading.eventNames
        where events.contains(where: { sender.isListed(name, as: $0, isFlux: isFlux) }) {
            return ruling(.accepted, Self.label(name))
        }
        if isFlux { return Ruling(.refused(.eventNotListed), answer: Answer(400)) }
        return ruling(.ignored(reading.isPing ? .ping : .eventNotListed), first)
    }

    private func refuse(_ cause: VerifyCause) -> Ruling {
        if isFlux { return Ruling(.refused(cause), answer: Answer(400)) }
        // Not the sender's fault, and it heals: the sender may come again.
        if cause == .secretUnusable {
            return Ruling(.refused(cause), answer: Answer(503, fields: [Answer.Field("Retry-After", "1")]))
        }
        return Ruling(.refused(cause), answer: Answer(401))
    }

    /// Everything that may prove something, used or not.
    private func credentials(of request: InboundRequest) -> [CredentialPlace] {
        var places: [CredentialPlace] = []
        let names = ["authorization", "proxy-authorization", "cookie", "x-gitlab-token"]
        for index in request.fields.indices where names.contains(request.fields[index].name) {
            // Without its signature an ID token proves nothing; its claims are what filters read.
            if sender.credentials.contains(.idToken), let part = IDToken.signatureRange(request.fields[index].value) {
                places.append(.fieldPart(index, part))
            } else {
                places.append(.field(index))
            }
        }
        if isFlux {
            // The path is derived from the token and often the only secret there is.
            if let segment = SenderCredential.lastSegment(of: request.path) { places.append(.path(segment)) }
            return places
        }
        guard !sender.credentials.contains(.idToken) else { return places }
        for place in keys(0).credential(of: sender)?.places(in: request) ?? [] where !places.contains(place) {
            places.append(place)
        }
        return places
    }

    /// An event's name as a record and a log may hold it.
    private static func label(_ name: String) -> String {
        guard name.utf8.count <= SenderTable.deliveryIDBytesMax, name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return "" }
        return name
    }
}
