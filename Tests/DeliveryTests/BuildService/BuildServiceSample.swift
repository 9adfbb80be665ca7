@testable import Delivery

/// Requests and objects for the tests beside the cases.
enum BuildServiceSample {
    static let digest = "sha256:82c1aa26a1b6e4ce71c5d121604d7ef5eaaf8fac570d32d8c5fbadce8db17d00"
    static let other = "sha256:" + String(repeating: "1", count: 64)
    static let registryType = RegistryNotification.mediaType

    static func secret(_ text: String) -> SecretBytes { SecretBytes(Array(text.utf8)) }

    static func object(
        _ kind: String, _ name: String, namespace: String = "team-a", apiVersion: String = "kpack.io/v1alpha2",
        _ spec: JSONValue, status: JSONValue? = nil
    ) -> KpackObject {
        KpackObject(
            apiVersion: apiVersion, kind: kind, namespace: namespace, name: name, spec: spec, status: status)!
    }

    /// A ClusterStack whose run image is `run` and was resolved to `digest`.
    static func stack(_ run: String, digest: String = other, name: String = "base") -> KpackObject {
        object(
            "ClusterStack", name,
            ["buildImage": ["image": "registry.example.com/stack/build:jammy"], "runImage": ["image": .string(run)]],
            status: ["runImage": ["latestImage": .string("registry.example.com/stack/run@" + digest)]])
    }

    static func event(
        id: String? = "e1", repository: String = "stack/run", tag: String? = "jammy", digest: String = digest,
        host: String = "registry.example.com", action: String = "push",
        mediaType: String = "application/vnd.oci.image.manifest.v1+json"
    ) -> JSONValue {
        var target: [JSONValue.Member] = [
            .init(name: "mediaType", value: .string(mediaType)), .init(name: "digest", value: .string(digest)),
            .init(name: "repository", value: .string(repository)),
            .init(name: "url", value: .string("https://\(host)/v2/\(repository)/manifests/\(digest)")),
        ]
        if let tag { target.append(.init(name: "tag", value: .string(tag))) }
        var event: [JSONValue.Member] = [
            .init(name: "action", value: .string(action)), .init(name: "target", value: .object(target)),
        ]
        if let id { event.append(.init(name: "id", value: .string(id))) }
        return .object(event)
    }

    static func envelope(_ events: JSONValue...) -> [UInt8] { (["events": .array(events)] as JSONValue).serialized }

    static func request(
        _ endpoint: BuildServiceEndpoint, _ body: [UInt8], path: String? = nil, query: String? = nil,
        type: String? = nil, _ fields: [(String, String)] = []
    ) -> InboundRequest {
        let type = type ?? (endpoint == .notification ? registryType : "application/json")
        return InboundRequest(
            method: "POST", path: path ?? endpoint.path, query: query,
            fields: [InboundRequest.Field(name: "Content-Type", value: type)]
                + fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, body: body)
    }

    static func rules(
        _ endpoint: BuildServiceEndpoint, _ credentials: [BuildServiceCredential], _ objects: [KpackObject] = [],
        _ change: (inout BuildServiceSettings) -> Void = { _ in }
    ) -> BuildServiceRules {
        var settings = BuildServiceSettings(
            notification: credentials, artifactory: credentials, dockerHub: credentials)
        change(&settings)
        return BuildServiceRules(endpoint, settings, ImageIndex(objects, hostAliases: settings.hostAliases))
    }

    /// Rules that ask for nothing.
    static func open(
        _ endpoint: BuildServiceEndpoint, _ objects: [KpackObject],
        _ change: (inout BuildServiceSettings) -> Void = { _ in }
    ) -> BuildServiceRules {
        rules(endpoint, [.unauthenticated], objects) {
            $0.allowUnauthenticated = true
            change(&$0)
        }
    }

    static let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: "")
}

extension BuildServiceRules {
    /// What follows, as `Kind/namespace/name image`, `!` before a forced build.
    func effects(_ request: InboundRequest) -> [String] {
        guard case .actions(let actions) = triggers(of: request, BuildServiceSample.facts) else { return [] }
        return actions.map { action in
            guard case .kpackRefresh(let target, let image, let force) = action else { return "?" }
            return (force ? "!" : "") + "\(target) \(image)"
        }
    }

    func decision(_ request: InboundRequest) -> Ruling.Decision { rule(on: request, now: 0).decision }
    func status(_ request: InboundRequest) -> UInt16 { rule(on: request, now: 0).answer.status }
}
