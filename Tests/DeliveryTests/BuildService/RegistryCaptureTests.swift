import Foundation
import Testing

@testable import Delivery

@Suite("Build Service: requests of a real registry")
struct RegistryCaptureTests {
    static let files = [
        "basic-auth-ignore-filter", "duplicate-content-type", "endpoint-down", "push-success", "server-500-then-202",
        "timeout-redelivery", "unauthorized-401",
    ]

    struct Capture {
        let request: InboundRequest
        let body: JSONValue
    }

    static func captures(_ name: String) throws -> [Capture] {
        let document = try BuildServiceCase.fixture("captured-docker-registry-\(name).json")
        return try #require(document["requests"]?.elements).compactMap { recorded in
            let text = recorded["body_text"]?.text ?? ""
            guard recorded["method"]?.text == "POST", !text.isEmpty else { return nil }
            let request = InboundRequest(
                method: "POST", path: try #require(recorded["path"]?.text),
                fields: (recorded["headers"]?.elements ?? []).map {
                    InboundRequest.Field(name: $0.elements?[0].text ?? "", value: $0.elements?[1].text ?? "")
                },
                body: Array(text.utf8))
            return Capture(request: request, body: try #require(JSONValue(Array(text.utf8))))
        }
    }

    /// Takes both kinds of credentials that the recorded registries were configured with, and none.
    static func rules(reading images: [String]) -> BuildServiceRules {
        let objects = images.enumerated().map { index, image in
            KpackObject(
                apiVersion: "kpack.io/v1alpha2", kind: "ClusterBuildpack", namespace: "", name: "b\(index)",
                spec: ["image": .string(image)], status: nil)!
        }
        let settings = BuildServiceSettings(
            notification: [
                .bearer(SecretBytes(Array("fixture-token-123".utf8))),
                .basic(username: "hookuser", password: SecretBytes(Array("hookpass".utf8))), .unauthenticated,
            ], allowUnauthenticated: true)
        return BuildServiceRules(.notification, settings, ImageIndex(objects))
    }

    @Test("every recorded request is proven, decoded and answered 2xx", arguments: files)
    func decoded(_ file: String) throws {
        let captures = try Self.captures(file)
        #expect(!captures.isEmpty)
        for capture in captures {
            let ruling = Self.rules(reading: []).rule(on: capture.request, now: 0)
            #expect(ruling.answer.status == 200)
            #expect(ruling.deliveryID == capture.body["events"]?.elements?.first?["id"]?.text)
            #expect(ruling.eventName == capture.body["events"]?.elements?.first?["action"]?.text)
        }
    }

    @Test("a recorded push of a manifest by tag refreshes what reads that tag, and nothing else does", arguments: files)
    func refreshed(_ file: String) throws {
        for capture in try Self.captures(file) {
            let event = try #require(capture.body["events"]?.elements?.first)
            let target = try #require(event["target"])
            let repository = target["repository"]?.text ?? ""
            // Deletes have no URL.
            let url = target["url"]?.text.flatMap { URL(string: $0) }
            let authority = (url?.host ?? "registry.example.com") + (url?.port.map { ":\($0)" } ?? "")
            let isPush = event["action"]?.text == "push" && target["tag"] != nil
            let image = "\(authority)/\(repository):\(target["tag"]?.text ?? "latest")"
            let ruling = Self.rules(reading: [image, authority + "/other:1"]).rule(on: capture.request, now: 0)
            #expect(ruling.answer.status == (isPush ? 202 : 200))
            let triggers = Self.rules(reading: [image, authority + "/other:1"]).triggers(
                of: capture.request.masked(ruling.credentials),
                DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: ""))
            if isPush {
                let reference = TargetReference(
                    apiVersion: "kpack.io/v1alpha2", kind: "ClusterBuildpack", namespace: "", name: "b0")
                let normalised = try #require(ImageReference(image)).description
                #expect(triggers == .actions([.kpackRefresh(reference, image: normalised, forceBuild: false)]))
            } else {
                #expect(triggers == .ignored(.eventIrrelevant))
            }
        }
    }

    @Test("the fixtures hold pushes by tag and requests that were sent again with the same id")
    func contents() throws {
        let all = try Self.files.flatMap { try Self.captures($0) }
        let pushes = all.filter {
            $0.body["events"]?.elements?.first?["target"]?["tag"] != nil
                && $0.body["events"]?.elements?.first?["action"]?.text == "push"
        }
        #expect(pushes.count >= 3)
        let again = try Self.captures("timeout-redelivery").map {
            Self.rules(reading: []).rule(on: $0.request, now: 0).deliveryID
        }
        #expect(again.count >= 2 && again[0] == again[1])
    }

    @Test("the credentials a registry sends do not reach the disk", arguments: files)
    func masked(_ file: String) throws {
        for capture in try Self.captures(file) {
            let ruling = Self.rules(reading: []).rule(on: capture.request, now: 0)
            let stored = capture.request.masked(ruling.credentials)
            for field in stored.fields {
                #expect(!field.value.contains("fixture-token-123") && !field.value.contains("aG9va3VzZXI6aG9va3Bhc3M="))
            }
        }
    }
}
