// Settings that say something and settings that must be heard: warnings of the file, hosts, windows.

import ArgumentParser
import Catalog
import Delivery
import Testing

@testable import Grapnel

private func load(_ file: String, flags: [(String, [String])] = []) throws(CommandFailure) -> SettingsLoader.Loaded {
    try SettingsLoader(
        flags: [(name: "manifests", values: ["m"])] + flags.map { (name: $0.0, values: $0.1) }, environment: [:],
        file: ("/etc/grapnel/grapnel.yaml", Array(file.utf8))
    ).load()
}

@Suite("Settings: what is heard")
struct SettingsEffectTests {
    @Test("a secret in the settings file is warned of with its line, and never shown")
    func inlineSecret() throws {
        let loaded = try load(
            "buildService:\n  auth:\n    notification: {type: bearer, token: hunter2hunter2hunter2x}\n")
        #expect(loaded.warnings.count == 1, "\(loaded.warnings)")
        #expect(
            loaded.warnings.first?.hasPrefix("/etc/grapnel/grapnel.yaml:3: buildService.auth.notification.token")
                == true)
        #expect(loaded.warnings.first?.contains("hunter2") == false)
    }

    @Test("an admin token that is not there, and an open listener without one, are warned of")
    func adminToken() throws {
        let missing = try load("adminTokenFile: no-such-token\n")
        #expect(missing.warnings.contains { $0.contains("--admin-token-file") }, "\(missing.warnings)")
        let open = try load("adminListen: 0.0.0.0:9293\n")
        #expect(open.warnings.contains { $0.contains("--admin-token-file") }, "\(open.warnings)")
        #expect(try load("maxBody: 1MiB\n").warnings.allSatisfy { !$0.contains("--admin") })
    }

    @Test("an entry of outbound.allow that is none is an error with its line: the list would be shorter than it looks")
    func wrongHosts() throws {
        do {
            _ = try load("outbound:\n  allow:\n  - ci.example.org\n  - http://evil.example/x\n")
            Issue.record("taken")
        } catch {
            #expect(error.messages.count == 1, "\(error.messages)")
            #expect(error.messages[0].contains(":4: error: outbound.allow[1] must be a host name"))
        }
    }

    @Test("hosts and the window for duplicates reach the catalog")
    func effect() throws {
        let settings = try load("outbound: {allow: [ci.example.org]}\ndedupeWindowSeconds: 7\n").settings
        let options = settings.catalogOptions
        #expect(options.outboundAllow.refusal(host: "evil.example", isOfTenant: false) != nil)
        #expect(options.outboundAllow.refusal(host: "ci.example.org", isOfTenant: false) == nil)
        #expect(options.openShift.dedupeWindowSeconds == 7 && options.buildService.dedupeWindowSeconds == 7)
        #expect(try load("maxBody: 1MiB\n").settings.catalogOptions.openShift.dedupeWindowSeconds == nil)
    }
}

@Suite("Signing as Standard Webhooks")
struct StandardWebhooksSendTests {
    private func accepts(_ text: String) throws -> Bool {
        let secret = SecretBytes(Array(text.utf8))
        let body = Array("{}".utf8)
        let delivery = SignedDelivery(
            sender: .standardWebhooks, body: body, secret: secret, event: nil, deliveryID: "msg_1")
        let request = InboundRequest(
            method: "POST", path: "/hooks/a/b", fields: delivery.fields.map { .init(name: $0.name, value: $0.value) },
            body: body)
        let sent = try #require(delivery.fields.first { $0.name == "webhook-timestamp" }.flatMap { UInt64($0.value) })
        let rules = try #require(SenderRules(sender: .standardWebhooks, isFlux: false, secrets: [secret]))
        return rules.rule(on: request, now: sent * 1_000_000_000).decision == .accepted
    }

    @Test("what is sent is what verification accepts, with the prefix and without, with a line break behind it")
    func derived() throws {
        for text in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\r\n",
        ] { #expect(try accepts(text), "\(text.count)") }
        #expect(try !accepts("not-base64-at-all!"))
    }
}
