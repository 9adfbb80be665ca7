// The cases of Fixtures/build-service as values, and a replay of them without a server.

import Foundation
import Testing

@testable import Delivery

/// One case: settings, objects, and requests with what must come of them.
struct BuildServiceCase: CustomTestStringConvertible {
    struct Step {
        let request: InboundRequest
        let expected: JSONValue
    }

    let id: String
    let settings: BuildServiceSettings
    let objects: [KpackObject]
    let steps: [Step]
    /// Bounds on the number of writes, where the writes of the steps are not compared.
    let writesTotal: ClosedRange<Int>?

    var testDescription: String { id }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Fixtures/build-service")

    static func fixture(_ name: String) throws -> JSONValue {
        let bytes = [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
        return try #require(JSONValue(bytes), "\(name) is no JSON")
    }

    static func all(_ file: String) throws -> [BuildServiceCase] {
        try #require(fixture(file + ".json")["cases"]?.elements).map(BuildServiceCase.init)
    }

    init(_ value: JSONValue) throws {
        id = try #require(value["id"]?.text)
        settings = try Self.settings(value["config"])
        objects = try #require(value["objects"]?.elements).map(Self.object)
        steps = try #require(value["steps"]?.elements).map { step in
            Step(request: try Self.request(step["request"]), expected: try #require(step["expect"]))
        }
        let bounds = (value["tags"]?.elements ?? []).compactMap(\.text).first { $0.hasPrefix("kube_total:") }
        writesTotal = bounds.map { text in
            let numbers = text.drop { $0 != ":" }.dropFirst().split(separator: ".").compactMap { Int($0) }
            return numbers[0]...numbers[1]
        }
    }

    static func object(_ value: JSONValue) throws -> KpackObject {
        let metadata = try #require(value["metadata"])
        let object = KpackObject(
            apiVersion: value["apiVersion"]?.text ?? "", kind: value["kind"]?.text ?? "",
            namespace: metadata["namespace"]?.text ?? "default", name: metadata["name"]?.text ?? "",
            spec: value["spec"], status: value["status"])
        return try #require(object)
    }

    static func request(_ value: JSONValue?) throws -> InboundRequest {
        let target = try #require(value?["target"]?.text)
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return InboundRequest(
            method: try #require(value?["method"]?.text), path: String(parts[0]),
            query: parts.count > 1 ? String(parts[1]) : nil,
            fields: (value?["headers"]?.elements ?? []).map { pair in
                InboundRequest.Field(name: pair.elements?[0].text ?? "", value: pair.elements?[1].text ?? "")
            },
            body: Array((value?["body"]?.text ?? "").utf8))
    }

    private static func settings(_ config: JSONValue?) throws -> BuildServiceSettings {
        var settings = BuildServiceSettings()
        let written = config?["buildService"]
        settings.notification = try credentials(written?["auth"]?["notification"])
        settings.artifactory = try credentials(written?["auth"]?["artifactory"])
        settings.dockerHub = try credentials(written?["auth"]?["dockerHub"])
        for alias in written?["hostAliases"]?.members ?? [] { settings.hostAliases[alias.name] = alias.value.text }
        settings.forceBuild = written?["forceBuild"]?.boolean ?? false
        settings.dockerHubCallback = written?["dockerHub"]?["callback"]?.boolean ?? false
        settings.repositories = (written?["artifactory"]?["repositories"]?.elements ?? []).map {
            ArtifactoryRepository(
                repoKey: $0["repoKey"]?.text ?? "", prefixes: ($0["prefixes"]?.elements ?? []).compactMap(\.text))
        }
        return settings
    }

    private static func credentials(_ value: JSONValue?) throws -> [BuildServiceCredential] {
        guard let value else { return [] }
        let secret = { (name: String) in SecretBytes(Array((value[name]?.text ?? "").utf8)) }
        switch value["type"]?.text {
        case "bearer": return [.bearer(secret("token"))]
        case "basic": return [.basic(username: value["username"]?.text ?? "", password: secret("password"))]
        case "header": return [.header(name: value["name"]?.text ?? "", value: secret("value"))]
        case "urlToken": return [.urlToken(secret("token"))]
        case "jfrogSignature": return [.jfrogSignature(secret("secret"))]
        case "jfrogToken": return [.jfrogToken(secret("secret"))]
        default:
            Issue.record("unknown type")
            return []
        }
    }

    /// The rules that the request's path leads to.
    func rules(_ request: InboundRequest) throws -> BuildServiceRules {
        let path = BuildServicePathFamily().routePath(of: request.path) ?? request.path
        let endpoint = try #require(BuildServiceEndpoint.allCases.first { $0.path == path })
        return BuildServiceRules(endpoint, settings, ImageIndex(objects, hostAliases: settings.hostAliases))
    }
}

extension InboundRequest {
    /// As it is stored: credentials overwritten.
    func masked(_ places: [CredentialPlace]) -> InboundRequest {
        var request = self
        func stars(_ text: String, _ range: Range<Int>) -> String {
            var bytes = Array(text.utf8)
            for index in range { bytes[index] = UInt8(ascii: "*") }
            return String(decoding: bytes, as: UTF8.self)
        }
        for place in places {
            switch place {
            case .field(let index):
                request.fields[index].value = String(repeating: "*", count: fields[index].value.utf8.count)
            case .fieldPart(let index, let range):
                request.fields[index].value = stars(fields[index].value, range)
            case .path(let range): request.path = stars(request.path, range)
            case .query(let range): request.query = stars(request.query ?? "", range)
            case .body(let range): for index in range { request.body[index] = UInt8(ascii: "*") }
            }
        }
        return request
    }
}

/// The write at the API server that an action stands for: a merge patch of annotations.
struct KpackWrite {
    static let time = "2026-11-20T23:50:45Z"

    let path: String
    let body: JSONValue

    /// nil for actions that write nothing of kpack.
    init?(_ action: Action) {
        guard case .kpackRefresh(let target, let image, let force) = action, force == (target.kind == "Build") else {
            return nil
        }
        let namespace = target.namespace.isEmpty ? "" : "namespaces/\(target.namespace)/"
        path = "/apis/\(target.apiVersion ?? "")/\(namespace)\(target.kind.lowercased())s/\(target.name)"
        let annotations: JSONValue
        if force {
            let group = (target.apiVersion ?? "").prefix { $0 != "/" }
            annotations = .object([.init(name: "image.\(group)/additionalBuildNeeded", value: .string(Self.time))])
        } else {
            annotations = [
                "grapnel.dev/refresh-requested-at": .string(Self.time), "grapnel.dev/refresh-image": .string(image),
            ]
        }
        body = ["metadata": ["annotations": annotations]]
    }

    func fits(_ expected: JSONValue) -> Bool {
        expected["verb"]?.text == "patch" && expected["path"]?.text == path
            && (expected["content_type"]?.text).map { $0 == "application/merge-patch+json" } ?? true
            && Self.holds(body, expected["body_contains"] ?? .object([]))
            && (expected["body_absent"]?.elements ?? []).allSatisfy { pointer in
                body[String(pointer.text?.dropFirst() ?? "")] == nil
            }
    }

    static func holds(_ value: JSONValue, _ part: JSONValue) -> Bool {
        switch part {
        case .object(let members):
            members.allSatisfy { member in value[member.name].map { holds($0, member.value) } ?? false }
        case .string("$RFC3339"): value.text == time
        case .string("$NONEMPTY"): !(value.text ?? "").isEmpty
        default: value == part
        }
    }
}
