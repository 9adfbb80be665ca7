// OpenShiftVectors: the cases of Fixtures/openshift (schema.json there) as values.

import Foundation
import Testing

@testable import Delivery

struct OpenShiftVector: Sendable, CustomTestStringConvertible {
    let group: String
    let id: String
    let value: JSONValue

    var testDescription: String { "\(group)/\(id)" }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures/openshift")

    static let all: [OpenShiftVector] = [
        "github", "gitlab", "bitbucket", "generic", "routing", "secrets", "instantiate",
    ].flatMap { group -> [OpenShiftVector] in
        guard let data = try? Data(contentsOf: folder.appending(path: group + ".json")), let file = JSONValue(data)
        else { return [] }
        return (file["cases"]?.elements ?? []).map {
            OpenShiftVector(group: group, id: $0["id"]?.text ?? "?", value: $0)
        }
    }

    /// The option that an opt-in case is about.
    static let options: [String: OpenShiftOption] = [
        "gh-push-no-wildcard": .refPatterns, "gh-form-encoded": .formBodies, "gh-wrong-hmac": .verifySignature,
        "gl-wrong-token": .verifySignature, "gh-other-repository": .verifyRepository,
        "gn-foreign-payload": .providerHeaders, "gn-git-without-ref": .commitWithoutRef,
        "gn-docker-options": .gateDockerOptions, "se-trailing-newline": .trimNewline,
    ]

    var better: JSONValue? { value["better"] }
    var isOptIn: Bool { better?["optIn"]?.boolean == true }
    var caller: String? { value["given"]?["caller"]?.text }
    var tags: [String] { (value["tags"]?.elements ?? []).compactMap(\.text) }
    var unreadableSecrets: [String] { (value["given"]?["unreadableSecrets"]?.elements ?? []).compactMap(\.text) }

    /// The BuildConfigs, each with its Secrets resolved.
    func facts(profile: OpenShiftProfile?, options: Set<OpenShiftOption>) throws -> [BuildConfigFacts] {
        try #require(value["given"]?["buildConfigs"]?.elements).map { object in
            let namespace = object["metadata"]?["namespace"]?.text ?? "default"
            var triggers: [BuildConfigFacts.Trigger] = []
            for trigger in object["spec"]?["triggers"]?.elements ?? [] {
                guard let type = trigger["type"]?.text.flatMap(BuildHookType.init(triggerType:)),
                    let hook = trigger[type.rawValue]
                else { continue }
                triggers.append(
                    BuildConfigFacts.Trigger(
                        type: type, inlineSecret: hook["secret"]?.text.map { SecretBytes(Array($0.utf8)) },
                        referencedSecret: secret(hook["secretReference"]?["name"]?.text, namespace),
                        allowsEnv: hook["allowEnv"]?.boolean ?? false))
            }
            let git = object["spec"]?["source"]?["git"]
            return BuildConfigFacts(
                namespace: namespace, name: try #require(object["metadata"]?["name"]?.text), triggers: triggers,
                git: git.map { .init(uri: $0["uri"]?.text ?? "", ref: $0["ref"]?.text ?? "") }, profile: profile,
                options: options)
        }
    }

    private func secret(_ name: String?, _ namespace: String) -> BuildConfigFacts.ReferencedSecret {
        guard let name else { return .none }
        if unreadableSecrets.contains(name) { return .unreadable }
        for secret in value["given"]?["secrets"]?.elements ?? []
        where secret["metadata"]?["name"]?.text == name
            && secret["metadata"]?["namespace"]?.text ?? "default" == namespace
        {
            guard let text = secret["data"]?[BuildConfigFacts.secretKey]?.text, let data = Data(base64Encoded: text)
            else { return .missing }
            return .found(SecretBytes(Array(data)))
        }
        return .missing
    }

    func request() throws -> InboundRequest {
        let request = try #require(value["request"])
        let target = try #require(request["path"]?.text).split(separator: "?", maxSplits: 1)
        var body: [UInt8] = []
        if let source = request["body"] {
            if let file = source["file"]?.text {
                body = Array(try Data(contentsOf: Self.folder.appending(path: file)))
            } else if let text = source["text"]?.text {
                body = Array(text.utf8)
            } else if let text = source["base64"]?.text {
                body = Array(try #require(Data(base64Encoded: text)))
            } else if let json = source["json"] {
                body = json.serialized
            }
        }
        let fields = try #require(request["headers"]?.elements).map { pair in
            InboundRequest.Field(name: pair.elements?.first?.text ?? "", value: pair.elements?.last?.text ?? "")
        }
        return InboundRequest(
            method: try #require(request["method"]?.text), path: String(target[0]),
            query: target.count > 1 ? String(target[1]) : nil, fields: fields, body: body)
    }
}

/// All BuildConfigs of a cluster behind the path family, as the server has them.
struct OpenShiftFront {
    let configs: [BuildConfigFacts]
    let settings: OpenShiftSettings

    struct Outcome {
        let ruling: Ruling
        let triggers: Triggers?
        let stored: InboundRequest
    }

    func send(_ request: InboundRequest, deliveryID: String = "") -> Outcome {
        let family = OpenShiftPathFamily(settings: settings)
        let path = family.routePath(of: request.path)
        let config = configs.first { $0.routePath == path }
        let rules: any ReceiverRules =
            config.map { OpenShiftRules($0, settings: settings) } ?? family.fallback.rules ?? NoRules()
        let ruling = rules.rule(on: request, now: 0)
        let stored = request.stored(ruling.credentials)
        guard ruling.decision == .accepted else { return Outcome(ruling: ruling, triggers: nil, stored: stored) }
        let facts = DeliveryFacts(sequence: 41, receivedNanoseconds: 0, deliveryID: deliveryID)
        return Outcome(ruling: ruling, triggers: rules.triggers(of: stored, facts), stored: stored)
    }
}

private struct NoRules: ReceiverRules {
    func rule(on request: InboundRequest, now: UInt64) -> Ruling {
        Issue.record("the family has no rules")
        return Ruling(.refused(.receiverUnknown), answer: Answer(599))
    }
    func triggers(of request: InboundRequest, _ facts: DeliveryFacts) -> Triggers { .actions([]) }
}
