// Every vector of Fixtures/kubesphere (schema in README.md there), step by step, against all builders of the case.

import Foundation
import Testing

@testable import Delivery

struct KubeSphereVector: Sendable, CustomTestStringConvertible {
    let id: String
    let value: JSONValue
    var testDescription: String { id }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures/kubesphere")

    static let all: [KubeSphereVector] = ["general", "github"].flatMap { name -> [KubeSphereVector] in
        guard let data = try? Data(contentsOf: folder.appending(path: name + ".json")), let file = JSONValue(data)
        else { return [] }
        return (file["cases"]?.elements ?? []).map { KubeSphereVector(id: $0["id"]?.text ?? "?", value: $0) }
    }

    var settings: KubeSphereSettings {
        let config = value["config"]?["kubesphere"]
        let general = config?["general"]
        var settings = KubeSphereSettings()
        settings.requireSecret = config?["requireSecret"]?.boolean ?? settings.requireSecret
        settings.githubUnauthenticated = config?["githubUnauthenticated"]?.boolean ?? settings.githubUnauthenticated
        settings.ignorePing = general?["ignorePing"]?.boolean ?? settings.ignorePing
        settings.branchFilter = general?["branchFilter"]?.boolean ?? settings.branchFilter
        settings.overrides = general?["overrides"]?.boolean ?? settings.overrides
        return settings
    }

    var builders: [S2iBuilderFacts] {
        (value["objects"]?.elements ?? []).filter { $0["kind"]?.text == "S2iBuilder" }.map { object in
            let config = object["spec"]?["config"]
            return S2iBuilderFacts(
                namespace: object["metadata"]?["namespace"]?.text ?? "default",
                name: object["metadata"]?["name"]?.text ?? "",
                secretCode: config?["secretCode"]?.text.map { SecretBytes(Array($0.utf8)) },
                revisionID: config?["revisionId"]?.text ?? "",
                branchExpression: config?["branchExpression"]?.text ?? "",
                isBinaryURL: config?["isBinaryURL"]?.boolean ?? false)
        }
    }
}

/// All builders of a cluster behind the path family, as the server has them.
struct KubeSphereFront {
    let builders: [S2iBuilderFacts]
    var settings = KubeSphereSettings()

    struct Outcome {
        let ruling: Ruling
        let triggers: Triggers?
        let stored: InboundRequest
    }

    func send(_ request: InboundRequest, deliveryID: String = "") throws -> Outcome {
        let family = KubeSpherePathFamily()
        let path = family.routePath(of: request.path)
        let builder = builders.first { $0.routePath == path }
        let rules: any ReceiverRules =
            try builder.map { KubeSphereRules($0, settings: settings) } ?? #require(family.fallback.rules)
        let ruling = rules.rule(on: request, now: 0)
        let stored = request.stored(ruling.credentials)
        guard ruling.decision == .accepted else { return Outcome(ruling: ruling, triggers: nil, stored: stored) }
        let facts = DeliveryFacts(sequence: 41, receivedNanoseconds: 0, deliveryID: deliveryID)
        return Outcome(ruling: ruling, triggers: rules.triggers(of: stored, facts), stored: stored)
    }
}

@Suite("KubeSphere vectors")
struct KubeSphereVectorTests {
    @Test("all files are read") func count() {
        #expect(KubeSphereVector.all.count == 64)
    }

    @Test("every step answers and creates as expected", arguments: KubeSphereVector.all)
    func vector(_ vector: KubeSphereVector) throws {
        let front = KubeSphereFront(builders: vector.builders, settings: vector.settings)
        #expect(!front.builders.isEmpty)
        var seen: Set<String> = []
        for step in try #require(vector.value["steps"]?.elements) {
            let request = try Self.request(try #require(step["request"]))
            let expect = try #require(step["expect"])
            let outcome = try front.send(request)
            var status = outcome.ruling.answer.status
            var runs: [JSONValue] = []
            let key = outcome.ruling.deliveryID.map { "\(request.path) \($0)" }
            if outcome.ruling.decision == .accepted, let key, !seen.insert(key).inserted {
                status = (outcome.ruling.duplicateAnswer ?? outcome.ruling.answer).status
            } else if case .actions(let actions)? = outcome.triggers {
                runs = try actions.map { try Self.write($0) }
            }
            var allowed = Self.numbers(expect["status"])
            // A creation that fails is answered before it fails.
            if expect["outcome"]?.text == "error", outcome.ruling.decision == .accepted { allowed = [201] }
            #expect(allowed.contains(status), "\(vector.id): \(status)")
            try Self.compare(runs, try #require(expect["kube"]?.elements))
            for field in expect["headers_contain"]?.members ?? [] {
                let came = outcome.ruling.answer.fields.first { $0.name == field.name }?.value ?? ""
                for token in field.value.elements ?? [] { #expect(came.contains(token.text ?? "?")) }
            }
        }
    }

    static func request(_ value: JSONValue) throws -> InboundRequest {
        let target = try #require(value["target"]?.text).split(separator: "?", maxSplits: 1)
        let fields = try #require(value["headers"]?.elements).map {
            InboundRequest.Field(name: $0.elements?.first?.text ?? "", value: $0.elements?.last?.text ?? "")
        }
        return InboundRequest(
            method: try #require(value["method"]?.text), path: String(target[0]),
            query: target.count > 1 ? String(target[1]) : nil, fields: fields,
            body: Array((value["body"]?.text ?? "").utf8))
    }

    private static func numbers(_ value: JSONValue?) -> [UInt16] {
        (value?.elements ?? [value].compactMap { $0 }).compactMap {
            if case .number(let text) = $0 { UInt16(text) } else { nil }
        }
    }

    /// An action as the call that carries it out.
    private static func write(_ action: Action) throws -> JSONValue {
        guard case .s2iRun(let target, let run) = action else {
            Issue.record("not a run")
            return .null
        }
        #expect(target.kind == "S2iBuilder")
        return .object([
            .init(name: "verb", value: "create"),
            .init(
                name: "path",
                value: .string("/apis/devops.kubesphere.io/v1alpha1/namespaces/\(target.namespace)/s2iruns")),
            .init(name: "body", value: try #require(JSONValue(run))),
        ])
    }

    private static func compare(_ came: [JSONValue], _ expected: [JSONValue]) throws {
        #expect(came.count == expected.count)
        for (write, wanted) in zip(came, expected) {
            #expect(write["verb"] == wanted["verb"])
            #expect(write["path"] == wanted["path"])
            let body = try #require(write["body"])
            #expect(contains(body, try #require(wanted["body_contains"])), "\(body)")
            for pointer in wanted["body_absent"]?.elements ?? [] {
                var place: JSONValue? = body
                for name in (pointer.text ?? "").split(separator: "/") { place = place?[String(name)] }
                #expect(place == nil, "\(pointer)")
            }
        }
    }

    private static func contains(_ value: JSONValue, _ wanted: JSONValue) -> Bool {
        guard let members = wanted.members else { return value == wanted }
        return members.allSatisfy { member in value[member.name].map { contains($0, member.value) } ?? false }
    }
}
