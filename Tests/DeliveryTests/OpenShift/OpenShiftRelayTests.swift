// Relay: under which trigger's secret a delivery goes on, and what its record may say about that.

import Testing

@testable import Delivery

@Suite("OpenShift relay")
struct OpenShiftRelayTests {
    typealias Rules = OpenShiftRulesTests

    private func send(
        _ config: BuildConfigFacts, _ tail: String, _ fields: [(String, String)] = [Rules.json], body: String = "",
        mode: OpenShiftMode = .relay
    ) -> OpenShiftFront.Outcome {
        OpenShiftFront(configs: [config], settings: OpenShiftSettings(mode: mode)).send(
            Rules.request(tail, fields, body: body))
    }

    /// What the relay would call: type and secret as text.
    private func relayed(_ outcome: OpenShiftFront.Outcome, _ config: BuildConfigFacts) -> String? {
        guard case .actions(let actions)? = outcome.triggers, case .openshiftRelay(_, let hook)? = actions.first,
            let (type, secret) = OpenShiftRules(config, settings: OpenShiftSettings(mode: .relay)).relay(hook)
        else { return nil }
        return "\(String(decoding: secret.bytes, as: UTF8.self))/\(type)"
    }

    private let envBody = #"{"env":[{"name":"A","value":"b"}]}"#

    @Test("env without allowEnv is relayed all the same, under the secret of its own trigger: the API server drops it")
    func env() {
        let config = Rules.config([Rules.trigger(.generic, "may", env: true), Rules.trigger(.generic, "not")])
        let refused = send(config, "not/generic", body: envBody)
        #expect(refused.ruling.decision == .accepted && relayed(refused, config) == "not/generic")
        let allowed = send(config, "may/generic", body: envBody)
        #expect(relayed(allowed, config) == "may/generic")
        // And the other way round.
        let turned = Rules.config([Rules.trigger(.generic, "not"), Rules.trigger(.generic, "may", env: true)])
        #expect(relayed(send(turned, "not/generic", body: envBody), turned) == "not/generic")
        #expect(relayed(send(turned, "may/generic", body: envBody), turned) == "may/generic")
    }

    @Test(
        "each of many triggers of a type is relayed under its own secret, inline or referenced",
        arguments: BuildHookType.allCases)
    func each(type: BuildHookType) {
        let other: BuildHookType = type == .github ? .gitlab : .github
        var triggers = [Rules.trigger(other, "other")]
        for number in 0..<StoredHook.triggersMax {
            let secret = SecretBytes(Array("secret-\(number)".utf8))
            triggers.append(
                number % 2 == 0
                    ? .init(type: type, inlineSecret: secret) : .init(type: type, referencedSecret: .found(secret)))
        }
        let config = Rules.config(triggers)
        let fields: [(String, String)]
        let body: String
        switch type {
        case .github: (fields, body) = (Rules.github, Rules.push)
        case .gitlab:
            (fields, body) = ([Rules.json, ("X-Gitlab-Event", "Push Hook")], #"{"ref":"main","commits":[{"id":"1"}]}"#)
        case .bitbucket:
            (fields, body) = (
                [Rules.json, ("X-Event-Key", "repo:refs_changed")],
                #"{"changes":[{"ref":{"displayId":"main"},"toHash":"1"}]}"#
            )
        case .generic: (fields, body) = ([Rules.json], envBody)
        }
        for number in 0..<StoredHook.triggersMax {
            let outcome = send(config, "secret-\(number)/\(type.rawValue)", fields, body: body)
            #expect(relayed(outcome, config) == "secret-\(number)/\(type.rawValue)", "\(number)")
            #expect(!outcome.stored.everything.contains("secret-"))
        }
    }

    @Test("the path of the first trigger stays readable; a mark is letters of the type and nothing else")
    func stored() {
        let config = Rules.config([Rules.trigger(.github, "one"), Rules.trigger(.github, "two")])
        let first = send(config, "one/github", Rules.github, body: Rules.push)
        #expect(first.stored.path == Rules.path + "***/github")
        let second = send(config, "two/github", Rules.github, body: Rules.push)
        #expect(second.stored.path == Rules.path + "***/*ithub")
    }

    @Test("a trigger that is gone, or whose secret is, has no right to build any more")
    func gone() {
        let before = Rules.config([Rules.trigger(.generic, "one", env: true), Rules.trigger(.generic, "two")])
        let outcome = send(before, "two/generic", body: envBody)
        #expect(relayed(outcome, Rules.config([Rules.trigger(.generic, "one", env: true)])) == nil)
        #expect(
            relayed(outcome, Rules.config([Rules.trigger(.generic, "one", env: true), .init(type: .generic)])) == nil)
        // A rotated secret is the trigger's present one.
        let rotated = Rules.config([Rules.trigger(.generic, "one", env: true), Rules.trigger(.generic, "new")])
        #expect(relayed(outcome, rotated) == "new/generic")
    }

    @Test("a secret that an earlier trigger has too would reach that one: it is not used")
    func shared() {
        let config = Rules.config([
            Rules.trigger(.generic, "same", env: true),
            .init(
                type: .generic, inlineSecret: SecretBytes(Array("same".utf8)),
                referencedSecret: .found(SecretBytes(Array("own".utf8)))),
        ])
        #expect(relayed(send(config, "own/generic", body: envBody), config) == "own/generic")
        #expect(relayed(send(config, "same/generic", body: envBody), config) == "same/generic")
        let doubled = Rules.config([Rules.trigger(.generic, "own", env: true), Rules.trigger(.generic, "own")])
        #expect(OpenShiftRules(doubled).relay("generic#1") == nil)
    }

    @Test("what is accepted for a relay and then built here does not get its env back")
    func modeChanges() throws {
        let config = Rules.config([Rules.trigger(.generic, "not"), Rules.trigger(.generic, "may", env: true)])
        let stored = send(config, "not/generic", body: envBody).stored
        let rules = OpenShiftRules(config, settings: OpenShiftSettings(mode: .instantiate))
        let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: "")
        guard case .actions(let actions) = rules.triggers(of: stored, facts),
            case .openshiftBuild(_, let request)? = actions.first
        else {
            Issue.record("no build")
            return
        }
        #expect(try #require(JSONValue(request))["env"] == nil)
    }

    @Test(
        "texts of plans that are none lead nowhere",
        arguments: [
            "", "github#", "github#-1", "github#32", "github#x", "#1", "gitea", "github#1#1",
            "generic#99999999999999999999",
        ])
    func wrongTexts(text: String) {
        let config = Rules.config([Rules.trigger(.github, "one"), Rules.trigger(.github, "two")])
        #expect(OpenShiftRules(config).relay(text) == nil)
    }

    @Test("an escaped type can be relayed for the first trigger only: its record could not name another")
    func escapedType() {
        let config = Rules.config([Rules.trigger(.generic, "one"), Rules.trigger(.generic, "two")])
        #expect(relayed(send(config, "one/%67eneric", body: "{}"), config) == "one/generic")
        #expect(send(config, "two/%67eneric", body: "{}").ruling.answer.status == 401)
        #expect(send(config, "two/%67eneric", body: "{}", mode: .instantiate).ruling.answer.status == 200)
    }

    @Test("marks come back as they were made") func marks() {
        for type in BuildHookType.allCases {
            for trigger in 0..<StoredHook.triggersMax {
                for dropsEnv in [false, true] {
                    let hook = StoredHook(type: type, trigger: trigger, dropsEnv: dropsEnv)
                    var bytes = Array(type.rawValue.utf8)
                    for range in hook.masked(0) { for index in range { bytes[index] = UInt8(ascii: "*") } }
                    #expect(StoredHook(bytes) == hook)
                }
            }
        }
        for text in ["", "*******", "******", "gitea", "githuX", "git*ub", "*********", "generic/"] {
            #expect(StoredHook(Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test("the server's window applies to profile grapnel; profile upstream knows no duplicates at all")
    func window() {
        let request = Rules.request("one/github", Rules.github, body: Rules.push)
        func window(_ profile: OpenShiftProfile, _ seconds: UInt32?) -> UInt32? {
            OpenShiftRules(
                Rules.config([Rules.trigger(.github, "one")], profile: profile),
                settings: OpenShiftSettings(dedupeWindowSeconds: seconds)
            ).rule(on: request, now: 0).dedupeWindowSeconds
        }
        #expect(window(.grapnel, nil) == 60 && window(.grapnel, 3_600) == 3_600 && window(.grapnel, 0) == 0)
        #expect(window(.upstream, nil) == 0 && window(.upstream, 3_600) == 0)
    }
}
