// Explainer: the steps of one delivery in the order in which the server takes them, each with the server's own code: route table, proof or
// rules, judgement; then the planner. Writes nothing, neither to a journal nor to an API server.

import CLinuxIO
import Catalog
import Delivery
import HTTP
import Kubernetes
import Trigger

struct Explainer: Sendable {
    /// The claims of a good ID token, and what was said about a bad one.
    typealias TokenCheck = @Sendable (IDTokenDemand) async -> (claims: JSONValue?, reasons: [String])

    let settings: ServerSettings
    let snapshot: CatalogSnapshot
    let secrets: KnownSecrets
    let table: RouteTable
    let targets: TargetExplainer
    let checkToken: TokenCheck
    /// Nanoseconds since 1970.
    let now: UInt64

    init(
        settings: ServerSettings, snapshot: CatalogSnapshot, secrets: KnownSecrets,
        clients: [String: KubernetesClient] = [:], now: UInt64, checkToken: @escaping TokenCheck = { _ in (nil, []) }
    ) {
        self.settings = settings
        self.snapshot = snapshot
        self.secrets = secrets
        self.now = now
        self.checkToken = checkToken
        table = RouteTable(
            snapshot.routes.map { route in
                var route = route
                route.dedupeWindowSeconds = route.dedupeWindowSeconds ?? settings.dedupeWindowSeconds
                return route
            }, families: snapshot.families, bodyBytesMax: settings.bodyBytesMax)
        targets = TargetExplainer(clients: clients, repositories: snapshot.repositories, images: snapshot.images)
    }

    /// Explains a request as it would be received now.
    func explain(_ request: RawRequest, source: String) async -> Explanation {
        let inbound = request.inbound
        var explanation = Explanation(request: facts(of: request, inbound, source))
        let number = request.route(in: table)
        let isFallback = number.map { $0 >= snapshot.routes.count } ?? false
        describeRoute(number, isFallback, request, inbound, into: &explanation)
        if let status = admission(number, request, inbound, into: &explanation) {
            refuse(status, into: &explanation, allowsGet: number.map { isMethodAllowed("GET", $0) } ?? false)
            return explanation
        }
        guard let number else { return explanation }
        let definition = table.definitions[number]
        var sentence: Sentence
        if let rules = definition.rules {
            sentence = await ruled(rules, request, inbound, number, into: &explanation)
        } else {
            sentence = proven(request, inbound, number, into: &explanation)
        }
        if sentence.decision == .accepted, !hasReadableBody(request, number) {
            sentence.decision = .refused(.bodyMalformed)
            sentence.answer = Answer(400)
            explanation.judgement.notes.append(
                "the proof holds, but a filter reads the body, which is no JSON object though its type says JSON")
        }
        settle(sentence, isFallback, into: &explanation)
        guard explanation.outcome.isWell else { return explanation }
        let masked = sentence.masked
        explanation.decoded = decoded(sentence, masked: masked, inbound: inbound, definition, number)
        guard sentence.decision == .accepted else { return explanation }
        explanation.planned = await targets.plan(
            definition, payload(sentence, masked),
            QueuedDelivery(
                sequence: 0, receivedNanoseconds: now, route: definition.identity,
                location: DeliveryLocation(segment: 0, offset: 0, length: 0)))
        return explanation
    }

    /// A request that the parser refuses: nobody asks for its route.
    func explain(_ failure: HTTPParseError, source: String) -> Explanation {
        var explanation = Explanation(request: Explanation.Request(source: source))
        explanation.outcome = .refused
        explanation.route.reasons = ["the request is malformed (\(failure.name)), so its route is not looked up"]
        explanation.judgement.reason = "\(failure.name)"
        explanation.judgement.status = failure.status
        explanation.judgement.notes = ["the connection is closed behind the answer"]
        return explanation
    }

    // MARK: - What was decided

    /// What rules or table said, in one shape.
    struct Sentence {
        var decision: Ruling.Decision
        var answer: Answer
        var sender: SenderType
        var eventName = ""
        var deliveryID = ""
        var dedupeWindowSeconds: UInt32 = 0
        /// The request as it reaches the disk.
        var masked: InboundRequest
    }

    private func facts(of request: RawRequest, _ inbound: InboundRequest, _ source: String) -> Explanation.Request {
        Explanation.Request(
            source: source, method: Plain.text(inbound.method, max: 32),
            path: shownPath(inbound) + (inbound.query == nil ? "" : "?…"),
            host: Plain.text(request.text(request.head.host), max: 255), bodyBytes: request.bodyBytes,
            notes: request.notes)
    }

    func shownPath(_ inbound: InboundRequest) -> String {
        Plain.path(inbound.path, tokenRoutes: snapshot.routes.filter { $0.identity.kind == .hook }.map(\.path))
    }

    // MARK: - Admission

    private func isMethodAllowed(_ method: String, _ number: Int) -> Bool {
        switch method {
        case "POST": true
        case _ where table.hasRules(number): true
        case "GET", "PUT": table.kind(of: number) == .receiver && table.sender(of: number) == .generic
        default: false
        }
    }

    /// The status with which the head alone is refused, or nil. In the order of the server.
    private func admission(
        _ number: Int?, _ request: RawRequest, _ inbound: InboundRequest, into explanation: inout Explanation
    ) -> UInt16? {
        // Below /hook/ the limit of Flux holds for unknown paths too.
        let limit =
            number.map { table.bodyBytesMax(of: $0) }
            ?? (inbound.path.hasPrefix("/hook/") ? min(3 << 20, settings.bodyBytesMax) : settings.bodyBytesMax)
        if request.bodyBytes > limit {
            explanation.judgement.reason = "body-too-large"
            explanation.judgement.notes = ["the body has \(request.bodyBytes) bytes, \(limit) are allowed"]
            explanation.outcome = number == nil ? .noRoute : .refused
            return 413
        }
        guard let number else {
            explanation.outcome = .noRoute
            explanation.judgement.reason = "unknown-path"
            return 404
        }
        explanation.outcome = .refused
        explanation.route.methodAllowed = isMethodAllowed(inbound.method, number)
        if !explanation.route.methodAllowed {
            explanation.judgement.reason = VerifyCause.methodNotAllowed.name
            return 405
        }
        if table.isUnavailable(number) {
            explanation.judgement.reason = "not-ready"
            explanation.judgement.notes = ["the route is not ready: \(table.definitions[number].readiness.summary)"]
            return 503
        }
        return nil
    }

    private func refuse(_ status: UInt16, into explanation: inout Explanation, allowsGet: Bool) {
        explanation.judgement.status = status
        if status == 405 {
            explanation.judgement.fields = [.init(name: "Allow", value: allowsGet ? "POST, GET, PUT" : "POST")]
        }
        if status == 503 { explanation.judgement.fields = [.init(name: "Retry-After", value: "1")] }
    }

    private func hasReadableBody(_ request: RawRequest, _ number: Int) -> Bool {
        guard table.readsBody(number), request.withView({ $0.saysJSON }) else { return true }
        // Sound: the body is lent for the call alone.
        return unsafe request.withBody { body in
            var check = JSONObjectCheck()
            return unsafe check.isObject(body)
        }
    }

    // MARK: - Proof

    /// A route whose sender is proven out of the head.
    private func proven(
        _ request: RawRequest, _ inbound: InboundRequest, _ number: Int, into explanation: inout Explanation
    ) -> Sentence {
        let definition = table.definitions[number]
        let isFlux = definition.identity.kind == .receiver
        var proof = request.withView { table.prove($0, route: number) }
        if proof.state == .awaitsDigest {
            unsafe request.withBody { unsafe VerifyBatch.settleAlone(&proof, route: number, of: table, body: $0) }
        }
        let labels = request.withView { table.labels($0, route: number) }
        let judgement = request.withView { table.judge($0, labels, route: number) }
        let first = request.text(labels.deliveryID)
        var sentence = Sentence(
            decision: .accepted, answer: Answer(200), sender: definition.sender, eventName: request.text(labels.event),
            deliveryID: labels.secondID.isEmpty ? first : first + " " + request.text(labels.secondID),
            dedupeWindowSeconds: table.dedupeWindowSeconds(of: number),
            masked: request.masked(by: table, route: number).inbound)
        guard proof.state == .proven else {
            refuseProof(proof.cause, inbound, definition, into: &explanation)
            sentence.decision = .refused(proof.cause)
            sentence.answer = Answer(isFlux ? 400 : 401)
            return sentence
        }
        explanation.verification.status = .proven
        explanation.verification.provenBy = provenBy(inbound, definition)
        switch judgement {
        case .accepted: break
        case .ignored(let reason): sentence.decision = .ignored(reason)
        case .refused(let cause):
            sentence.decision = .refused(cause)
            sentence.answer = Answer(isFlux ? 400 : 401)
        }
        return sentence
    }

    /// A route with rules of its own.
    private func ruled(
        _ rules: any ReceiverRules, _ request: RawRequest, _ inbound: InboundRequest, _ number: Int,
        into explanation: inout Explanation
    ) async -> Sentence {
        let definition = table.definitions[number]
        var ruling = rules.rule(on: inbound, now: now)
        var claims: JSONValue?
        if case .awaitsToken(let demand) = ruling.decision, let rules = rules as? any TokenRules {
            let checked = await checkToken(demand)
            claims = checked.claims
            explanation.verification.notes += checked.reasons
            ruling =
                checked.claims.map { rules.rule(on: inbound, claims: $0, now: now) } ?? rules.refuseToken(inbound)
        }
        switch ruling.decision {
        case .refused(let cause) where isProofCause(cause):
            refuseProof(cause, inbound, definition, into: &explanation)
            if let text = (rules as? SenderRules)?.tokenText(inbound, claims: claims) {
                explanation.verification.notes.append(text)
            }
        case .refused(.methodNotAllowed): explanation.route.methodAllowed = false
        // Before the proof.
        case .refused(.receiverUnknown), .refused(.pathMalformed): break
        case .refused(.parametersWrong) where definition.identity.kind == .buildConfig: break
        case .awaitsToken: refuseProof(.idTokenRefused, inbound, definition, into: &explanation)
        default:
            explanation.verification.status = .proven
            explanation.verification.provenBy = provenBy(inbound, definition)
        }
        return Sentence(
            decision: ruling.decision, answer: ruling.answer, sender: ruling.sender ?? definition.sender,
            eventName: ruling.eventName, deliveryID: ruling.deliveryID ?? "",
            dedupeWindowSeconds: ruling.dedupeWindowSeconds ?? table.dedupeWindowSeconds(of: number),
            masked: request.masked(ruling.credentials).inbound)
    }

    /// Whether the cause is about the proof; the others come before it or behind it.
    private func isProofCause(_ cause: VerifyCause) -> Bool {
        switch cause {
        case .none, .eventNotListed, .methodNotAllowed, .bodyMalformed, .receiverUnknown, .pathMalformed,
            .parametersWrong:
            false
        default: true
        }
    }

    private func refuseProof(
        _ cause: VerifyCause, _ inbound: InboundRequest, _ definition: RouteDefinition,
        into explanation: inout Explanation
    ) {
        explanation.verification.status = .refused
        explanation.verification.cause = cause
        explanation.verification.findings = ProofDiagnosis(inbound, definition, secrets).findings(cause, now: now)
    }

    private func provenBy(_ inbound: InboundRequest, _ definition: RouteDefinition) -> String? {
        switch definition.sender {
        case .generic where definition.rules == nil: "the path alone"
        case .unverified: "nothing: the path alone leads here"
        case .gcr, .genericOIDC: "an ID token"
        default: ProofDiagnosis(inbound, definition, secrets).provenBy()
        }
    }

    // MARK: - Judgement

    private func settle(_ sentence: Sentence, _ isFallback: Bool, into explanation: inout Explanation) {
        explanation.judgement.status = sentence.answer.status
        switch sentence.decision {
        case .accepted:
            explanation.outcome = .accepted
            explanation.judgement.fields = Self.decisionFields("accepted")
        case .ignored(let reason):
            explanation.outcome = .ignored
            explanation.judgement.reason = reason.name
            explanation.judgement.fields = Self.decisionFields("\(reason.decision)")
        case .refused(let cause):
            explanation.outcome = isFallback ? .noRoute : .refused
            explanation.judgement.reason = cause.name
            if explanation.verification.status != .refused { explanation.judgement.notes.append(cause.hint) }
            if sentence.answer.status < 300 {
                explanation.judgement.notes.append(
                    "the sender is told \(sentence.answer.status) all the same; nothing is stored")
            }
        case .awaitsToken:
            explanation.outcome = .refused
            explanation.judgement.reason = VerifyCause.idTokenRefused.name
        }
        if let type = sentence.answer.contentType {
            explanation.judgement.fields.append(.init(name: "Content-Type", value: type))
        }
        explanation.judgement.fields += sentence.answer.fields.map { .init(name: $0.name, value: $0.value) }
        let firstLine = sentence.answer.body.prefix { $0 != 0x0a && $0 != 0x0d }.prefix(400)
        explanation.judgement.body = String(decoding: firstLine, as: UTF8.self)
        if explanation.outcome.isWell, !sentence.deliveryID.isEmpty, sentence.dedupeWindowSeconds > 0 {
            explanation.judgement.notes.append(
                "if this delivery id was seen within the last \(sentence.dedupeWindowSeconds) s it is answered as a duplicate "
                    + "and triggers nothing")
        }
    }

    static func decisionFields(_ decision: String) -> [Explanation.Judgement.Field] {
        [
            .init(name: "Grapnel-Delivery", value: "<sequence>"),
            .init(name: "Grapnel-Decision", value: decision),
        ]
    }

    // MARK: - Event

    private func decoded(
        _ sentence: Sentence, masked: InboundRequest, inbound: InboundRequest, _ definition: RouteDefinition,
        _ number: Int
    ) -> Explanation.Decoded {
        Explanation.Decoded(
            event: ActionSet.decodeEvent(payload(sentence, masked)), sender: sentence.sender.name,
            deliveryID: sentence.deliveryID, dedupeWindowSeconds: sentence.dedupeWindowSeconds,
            masked: Self.differences(inbound, masked))
    }

    private func payload(_ sentence: Sentence, _ masked: InboundRequest) -> DeliveryPayload {
        DeliveryPayload(
            sender: sentence.sender, deliveryID: sentence.deliveryID, eventKind: sentence.eventName, masked)
    }

    /// In words, what of `request` is overwritten in `masked`.
    private static func differences(_ request: InboundRequest, _ masked: InboundRequest) -> [String] {
        var found: [String] = []
        for (field, other) in zip(request.fields, masked.fields) where field != other {
            let isPart = !other.value.allSatisfy { $0 == "*" }
            found.append(isPart ? "a part of the field \(field.name)" : "the field \(field.name)")
        }
        if request.path != masked.path { found.append("a part of the path") }
        if request.query != masked.query { found.append("a part of the query") }
        if request.body != masked.body { found.append("a part of the body") }
        return found
    }
}

extension DeliveryPayload {
    /// As the dispatcher reads it back from the journal.
    init(sender: SenderType, deliveryID: String, eventKind: String, _ request: InboundRequest) {
        self.init(
            sender: sender, deliveryID: deliveryID, eventKind: eventKind,
            contentType: request.field("content-type") ?? "", method: request.method,
            target: request.path + (request.query.map { "?" + $0 } ?? ""),
            headers: request.fields.map { Field(name: $0.name, value: $0.value) }, body: request.body)
    }
}
