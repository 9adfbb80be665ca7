import Catalog
import Delivery
import Foundation
import Testing

@testable import Cluster

private let webapp = RouteIdentity(kind: .receiver, namespace: "team-a", name: "webapp")
private let start = 1_000_000

private func secret(_ text: String) -> SecretBytes { SecretBytes(Array(text.utf8)) }

private func path(_ token: String) -> String {
    WebhookPath.flux(token: Array(token.utf8), name: "webapp", namespace: "team-a")
}

private func receivers(_ annotations: [String: String] = [:], isBeingDeleted: Bool = false) -> [RouteIdentity:
    ObjectFacts]
{
    var facts = ObjectFacts(apiVersion: "v1", kind: "Receiver", namespace: "team-a", name: "webapp")
    facts.annotations = annotations
    facts.isBeingDeleted = isBeingDeleted
    return [webapp: facts]
}

@Suite("Rotation of a token")
struct TokenRotationTests {
    private func temporaryFile() -> String { NSTemporaryDirectory() + "rotation-" + UUID().uuidString }

    @Test("the old path with the old token lives for the grace, also when the Secret was away in between")
    func grace() throws {
        let rotation = try TokenRotation(graceSeconds: 3_600, file: nil)
        #expect(rotation.observe([webapp: secret("one")], receivers: receivers(), now: start).alive.isEmpty)
        #expect(rotation.observe([:], receivers: receivers(), now: start + 1).alive.isEmpty)
        let change = rotation.observe([webapp: secret("two")], receivers: receivers(), now: start + 2)
        let old = RetiredPath(identity: webapp, path: path("one"), secret: secret("one"), expiresAt: start + 3_602)
        #expect(change.alive == [old] && change.begun == [old] && rotation.nextExpiry == start + 3_602)
        let same = rotation.observe([webapp: secret("two")], receivers: receivers(), now: start + 3_601)
        #expect(same.alive == [old] && same.begun.isEmpty)
        let late = rotation.observe([webapp: secret("two")], receivers: receivers(), now: start + 3_602)
        #expect(late.alive.isEmpty && late.ended == [old])
    }

    @Test("two rotations leave two paths; going back to the first token ends its grace")
    func twice() throws {
        let rotation = try TokenRotation(graceSeconds: 3_600, file: nil)
        for token in ["one", "two", "three"] {
            _ = rotation.observe([webapp: secret(token)], receivers: receivers(), now: start)
        }
        #expect(
            rotation.observe([webapp: secret("three")], receivers: receivers(), now: start).alive.map(\.path)
                == [path("one"), path("two")])
        #expect(
            rotation.observe([webapp: secret("one")], receivers: receivers(), now: start).alive.map(\.path)
                == [path("two"), path("three")])
    }

    @Test("a grace of 0, for all or by the annotation, ends it at once: the answer to a leak")
    func leak() throws {
        let none = try TokenRotation(graceSeconds: 0, file: nil)
        _ = none.observe([webapp: secret("one")], receivers: receivers(), now: start)
        #expect(none.observe([webapp: secret("two")], receivers: receivers(), now: start).alive.isEmpty)
        let rotation = try TokenRotation(graceSeconds: 3_600, file: nil)
        _ = rotation.observe([webapp: secret("one")], receivers: receivers(), now: start)
        #expect(rotation.observe([webapp: secret("two")], receivers: receivers(), now: start).alive.count == 1)
        let leak = receivers(["grapnel.dev/path-grace": "0s"])
        #expect(rotation.observe([webapp: secret("two")], receivers: leak, now: start + 1).alive.isEmpty)
        let longer = receivers(["grapnel.dev/path-grace": "2h"])
        #expect(
            rotation.observe([webapp: secret("three")], receivers: longer, now: start + 2).alive.map(\.expiresAt)
                == [start + 7_202])
    }

    @Test("a Receiver that is deleted takes its old paths with it")
    func deleted() throws {
        for gone in [receivers(isBeingDeleted: true), [:]] {
            let rotation = try TokenRotation(graceSeconds: 3_600, file: nil)
            _ = rotation.observe([webapp: secret("one")], receivers: receivers(), now: start)
            _ = rotation.observe([webapp: secret("two")], receivers: receivers(), now: start)
            #expect(rotation.observe([:], receivers: gone, now: start).alive.isEmpty)
        }
    }

    @Test("what is alive outlives a restart, in a file for the owner only; a damaged line harms no other")
    func restart() throws {
        let file = temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: file) }
        let rotation = try TokenRotation(graceSeconds: 3_600, file: file)
        for token in ["one", "two", "three"] {
            #expect(rotation.observe([webapp: secret(token)], receivers: receivers(), now: start).trouble == nil)
        }
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let again = try TokenRotation(graceSeconds: 3_600, file: file)
        #expect(
            again.observe([webapp: secret("three")], receivers: receivers(), now: start).alive.map(\.secret)
                == [secret("one"), secret("two")])
        var text = try String(contentsOfFile: file, encoding: .utf8)
        text = "{\"half\n" + text
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        #expect(
            try TokenRotation(graceSeconds: 1, file: file)
                .observe([webapp: secret("three")], receivers: receivers(), now: start).alive.count == 2)
    }
}
