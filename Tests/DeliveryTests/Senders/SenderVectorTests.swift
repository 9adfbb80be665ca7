import Testing

@testable import Delivery

/// Replays the recorded requests of the suites against rules built from each vector's objects, and compares status, body and the set of
/// objects to be reconciled. Filters are not applied: every vector with a filter lets its object through.
@Suite("Recorded requests of Flux Receivers")
struct SenderVectorTests {
    static let suites = [
        "bitbucket", "harbor", "dockerhub", "quay", "acr", "nexus", "cdevents", "gcr", "generic-oidc",
    ]

    /// Vectors of class `edge` that we answer otherwise, each below 500.
    static let deviations: Set<String> = [
        // What upstream shows as 500 is a body that its filter cannot read.
        "harbor-cloudevents-filter", "gcr-filter-no-json-ct",
        // Official events carry a schemaUri, spec 0.5 is current, structured mode is CloudEvents' own.
        "cdevents-custom-schema", "cdevents-spec-0.5", "cdevents-structured-cloudevent",
    ]

    @Test("Every vector gives the recorded answer", arguments: suites)
    func replay(suite: String) throws {
        let vectors = try #require(SenderFixtures.json(suite + ".json")["vectors"]?.elements)
        #expect(!vectors.isEmpty)
        for vector in vectors { try replay(vector) }
    }

    private func replay(_ vector: JSONValue) throws {
        let id = try #require(vector["id"]?.text)
        let expected = try #require(vector["expect"])
        let (answer, actions) = try outcome(of: vector)
        let status = try #require(expected["status"].flatMap { UInt16($0.senderNumber) })
        let targets = try (expected["reconcile"]?.elements ?? []).map { try target($0) }
        let isExact = answer.status == status && Set(actions) == Set(targets)
        if Self.deviations.contains(id) {
            #expect(vector["compat"]?.text == "edge" && answer.status < 500 && !isExact, "\(id)")
            if let hardened = expected["hardened"] {
                #expect(String(answer.status) == hardened["status"]?.senderNumber, "\(id)")
            }
            return
        }
        #expect(answer.status == status, "\(id)")
        // What `*` stands for is found later, among the objects of the cluster.
        if actions.contains(where: { $0.name == "*" }) {
            #expect(!targets.isEmpty, "\(id)")
        } else {
            #expect(Set(actions) == Set(targets), "\(id)")
        }
        if let body = expected["body"]?.text { #expect(answer.body == Array(body.utf8), "\(id)") }
    }

    /// As the server does it: rule, then keys and claims where a token is awaited, then the triggers of the masked record.
    private func outcome(of vector: JSONValue) throws -> (Answer, [TargetReference]) {
        let rules = try #require(try rules(of: vector))
        let request = try inbound(try #require(vector["request"]))
        var ruling = rules.rule(on: request, now: senderNow)
        if case .awaitsToken(let demand) = ruling.decision {
            ruling =
                claims(demand, vector).map { rules.rule(on: request, claims: $0, now: senderNow) }
                ?? rules.refuseToken(request)
        }
        guard ruling.senderAccepts else { return (ruling.answer, []) }
        let facts = DeliveryFacts(
            sequence: 1, receivedNanoseconds: senderNow, deliveryID: ruling.deliveryID ?? "")
        guard case .actions(let actions) = rules.triggers(of: senderMasked(request, ruling.credentials), facts) else {
            return (ruling.answer, [])
        }
        let targets = actions.compactMap { if case .reconcile(let target) = $0 { target } else { nil } }
        return (ruling.answer, targets)
    }

    private func claims(_ demand: IDTokenDemand, _ vector: JSONValue) -> JSONValue? {
        let issuers = vector["oidcIssuers"]?.elements ?? []
        let entry: JSONValue?
        switch demand.keys {
        case .discovery(let issuer): entry = issuers.first { $0["issuerURL"]?.text == issuer }
        case .fixed(let urls): entry = issuers.first { urls.contains($0["jwksURL"]?.text ?? "") }
        }
        guard let entry, let keys = entry["jwks"].flatMap(JWKS.init) else { return nil }
        var advertised: [String] = []
        if case .discovery(let issuer) = demand.keys {
            guard let document = entry["discovery"], let discovery = try? OIDCDiscovery(document, issuer: issuer) else {
                return nil
            }
            advertised = discovery.algorithms
        }
        return try? IDToken(demand.token).verify(keys: keys, demand: demand, advertised: advertised, now: senderNow)
    }

    private func rules(of vector: JSONValue) throws -> SenderRules? {
        let receiver = try #require(vector["receivers"]?.elements?.first)
        let spec = try #require(receiver["spec"])
        let namespace = receiver.at("metadata", "namespace")?.text ?? ""
        let type = try #require(SenderType.allCases.first { $0.name == spec["type"]?.text })
        let data = vector["secrets"]?.elements?.first { $0["name"]?.text == spec.at("secretRef", "name")?.text }?[
            "data"]
        let providers = (spec["oidcProviders"]?.elements ?? []).map { provider in
            OIDCProvider(
                issuerURL: provider["issuerURL"]?.text ?? "", audience: provider["audience"]?.text ?? ""
            ) { OIDCSpec.check(provider: provider, claims: $0, evaluate: TinyExpressions.evaluate) }
        }
        let actions = (spec["resources"]?.elements ?? []).map { resource in
            Action.reconcile(
                TargetReference(
                    apiVersion: resource["apiVersion"]?.text, kind: resource["kind"]?.text ?? "",
                    namespace: resource["namespace"]?.text ?? namespace, name: resource["name"]?.text ?? ""))
        }
        return SenderRules(
            sender: type, isFlux: true, secrets: [senderSecret(data?["token"]?.text ?? "")],
            events: (spec["events"]?.elements ?? []).compactMap(\.text),
            configuration: SenderConfiguration(
                email: data?["email"]?.text, audience: data?["audience"]?.text, providers: providers),
            actions: actions)
    }

    private func target(_ value: JSONValue) throws -> TargetReference {
        TargetReference(
            apiVersion: nil, kind: try #require(value["kind"]?.text),
            namespace: try #require(value["namespace"]?.text), name: try #require(value["name"]?.text))
    }

    private func inbound(_ value: JSONValue) throws -> InboundRequest {
        let fields = try (value["headers"]?.elements ?? []).map { field -> (String, String) in
            let pair = field.elements ?? []
            // The parser hands values over without surrounding blanks.
            return (try #require(pair.first?.text), trimmed(try #require(pair.last?.text)))
        }
        var body: [UInt8] = []
        if let text = value.at("body", "utf8")?.text { body = Array(text.utf8) }
        if let file = value.at("body", "file")?.text { body = try SenderFixtures.bytes(file) }
        if let text = value.at("body", "base64")?.text { body = try #require(SenderBase64.standard(text.utf8)) }
        return senderRequest(
            fields, body: body, method: value["method"]?.text ?? "", path: value["target"]?.text ?? "")
    }

    private func trimmed(_ text: String) -> String {
        var text = text[...]
        while text.first == " " { text = text.dropFirst() }
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }
}

extension JSONValue {
    var senderNumber: String { if case .number(let text) = self { text } else { "" } }
}

/// Credentials overwritten as the record has them.
func senderMasked(_ request: InboundRequest, _ places: [CredentialPlace]) -> InboundRequest {
    func masked(_ bytes: some Sequence<UInt8>, _ range: Range<Int>) -> [UInt8] {
        bytes.enumerated().map { range.contains($0.offset) ? UInt8(ascii: "*") : $0.element }
    }
    var request = request
    for place in places {
        switch place {
        case .field(let index):
            request.fields[index].value = String(repeating: "*", count: request.fields[index].value.utf8.count)
        case .fieldPart(let index, let range):
            let value = request.fields[index].value
            request.fields[index].value = String(decoding: masked(value.utf8, range), as: UTF8.self)
        case .path(let range): request.path = String(decoding: masked(request.path.utf8, range), as: UTF8.self)
        case .query(let range):
            request.query = request.query.map { String(decoding: masked($0.utf8, range), as: UTF8.self) }
        case .body(let range): request.body = masked(request.body, range)
        }
    }
    return request
}

/// The few expressions of the suite, written out: the language itself is tested elsewhere.
enum TinyExpressions {
    static func evaluate(_ expression: String, _ claims: JSONValue, _ variables: JSONValue) -> Result<
        JSONValue, ClaimsFailure
    > {
        func need(_ value: JSONValue?) -> Result<JSONValue, ClaimsFailure> {
            value.map { .success($0) } ?? .failure(ClaimsFailure("no such key"))
        }
        switch expression {
        case "claims.repository_owner": return need(claims["repository_owner"])
        case "claims.repository_owner == 'my-org'":
            return need(claims["repository_owner"]).map { .bool($0.text == "my-org") }
        case "vars.owner == 'my-org'": return need(variables["owner"]).map { .bool($0.text == "my-org") }
        case "[vars.owner + '/my-repo', vars.owner + '/repo-b']":
            let owner = variables["owner"]?.text ?? ""
            return .success([.string(owner + "/my-repo"), .string(owner + "/repo-b")])
        case "claims.repository in vars.allowedRepos":
            let allowed = variables["allowedRepos"]?.elements ?? []
            return need(claims["repository"]).map { .bool(allowed.contains($0)) }
        case "claims.ref == 'refs/heads/main' && claims.environment == 'production'":
            return .success(
                .bool(claims["ref"]?.text == "refs/heads/main" && claims["environment"]?.text == "production"))
        default: return .failure(ClaimsFailure("not an expression of these tests"))
        }
    }
}
