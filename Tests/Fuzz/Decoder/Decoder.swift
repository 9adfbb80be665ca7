// Decoder: what is under test, by the name that `variants` has for it.

import Delivery

enum Decoder {
    /// A sender's decoder, and its rules as a Flux Receiver and as a Hook where it has rules.
    case sender(SenderType, [any ReceiverRules])
    case receiver(any ReceiverRules, path: String)
    /// The reader of whole JSON values.
    case json

    static let secret = "secret-of-the-route-0123456789"

    init?(_ name: String) {
        if let type = SenderType.allCases.first(where: { $0.name == name }) {
            let rules = [false, true].compactMap {
                SenderRules(sender: type, isFlux: $0, secrets: [Self.secretBytes], events: []) as (any ReceiverRules)?
            }
            self = .sender(type, rules)
            return
        }
        let words = name.split(separator: "-", maxSplits: 1).map(String.init)
        switch (words[0], words.last ?? "") {
        case ("json", _): self = .json
        case ("openshift", let type):
            guard let type = BuildHookType(rawValue: type) else { return nil }
            self = Self.openShift(type)
        case ("kubesphere", let family) where ["general", "github"].contains(family):
            let facts = S2iBuilderFacts(namespace: "a", name: "b", branchExpression: "^(main|rel-[0-9]+)$")
            self = .receiver(
                KubeSphereRules(facts, settings: KubeSphereSettings(branchFilter: true, overrides: true)),
                path: "/s2itrigger/v1alpha1/\(family)/namespaces/a/s2ibuilders/b")
        case ("artifactory", _): self = Self.buildService(.artifactory)
        case ("notification", _): self = Self.buildService(.notification)
        case ("docker", "hub"): self = Self.buildService(.dockerHub)
        default: return nil
        }
    }

    var path: String {
        switch self {
        case .receiver(_, let path): path
        case .sender, .json: "/hooks/a/b"
        }
    }

    private static let secretBytes = SecretBytes(Array(secret.utf8))

    private static func openShift(_ type: BuildHookType) -> Decoder {
        let facts = BuildConfigFacts(
            namespace: "a", name: "b",
            triggers: [BuildConfigFacts.Trigger(type: type, inlineSecret: secretBytes, allowsEnv: true)],
            git: .init(uri: "https://h/o/r", ref: "main"), profile: .grapnel,
            options: Set(OpenShiftOption.allCases.filter { $0 != .verifySignature }))
        return .receiver(
            OpenShiftRules(facts),
            path: "/apis/build.openshift.io/v1/namespaces/a/buildconfigs/b/webhooks/\(secret)/\(type.rawValue)")
    }

    private static func buildService(_ endpoint: BuildServiceEndpoint) -> Decoder {
        let settings = BuildServiceSettings(
            notification: [.unauthenticated], artifactory: [.unauthenticated], dockerHub: [.unauthenticated],
            allowUnauthenticated: true)
        return .receiver(BuildServiceRules(endpoint, settings, ImageIndex([])), path: endpoint.path)
    }
}
