// Fuzzes every receiver's rules: the first line of the input is path and query, the second a header value, the rest the body. Whatever
// they are, a ruling comes out, its status is one, what it masks lies within the request, and what it accepts has triggers.

import Delivery
import FuzzDriver

@main
enum FuzzRules {
    static func main() {
        runFuzzer { data, count in
            FuzzRules.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    private static let secret = SecretBytes(Array("secret-of-the-route-0123456789".utf8))

    private static let all: [any ReceiverRules] = {
        var rules: [any ReceiverRules] = []
        for sender in SenderType.allCases {
            for isFlux in [false, true] {
                if let made = SenderRules(sender: sender, isFlux: isFlux, secrets: [secret], events: []) {
                    rules.append(made)
                }
            }
        }
        for profile in OpenShiftProfile.allCases {
            let triggers = BuildHookType.allCases.map {
                BuildConfigFacts.Trigger(type: $0, inlineSecret: secret, allowsEnv: true)
            }
            rules.append(
                OpenShiftRules(
                    BuildConfigFacts(
                        namespace: "a", name: "b", triggers: triggers, git: .init(uri: "https://h/o/r", ref: "main"),
                        profile: profile, options: Set(OpenShiftOption.allCases.filter { $0 != .verifySignature }))))
        }
        rules.append(
            KubeSphereRules(
                S2iBuilderFacts(namespace: "a", name: "b", branchExpression: "^(main|rel-[0-9]+)$"),
                settings: KubeSphereSettings(branchFilter: true, overrides: true)))
        let settings = BuildServiceSettings(
            notification: [.unauthenticated], artifactory: [.unauthenticated], dockerHub: [.unauthenticated],
            allowUnauthenticated: true)
        for endpoint in BuildServiceEndpoint.allCases {
            rules.append(BuildServiceRules(endpoint, settings, ImageIndex([])))
        }
        return rules
    }()

    static func test(_ bytes: UnsafeRawBufferPointer) {
        let parts = bytes.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false)
        let line = String(decoding: parts[0], as: UTF8.self)
        let value = parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : ""
        let body = parts.count > 2 ? Array(parts[2]) : Array(bytes)
        let mark = line.firstIndex(of: "?")
        let paths = [
            String(line[..<(mark ?? line.endIndex)]),
            "/apis/build.openshift.io/v1/namespaces/a/buildconfigs/b/webhooks/secret-of-the-route-0123456789/github",
            "/apis/build.openshift.io/v1/namespaces/a/buildconfigs/b/webhooks/secret-of-the-route-0123456789/generic",
            "/s2itrigger/v1alpha1/github/namespaces/a/s2ibuilders/b",
        ]
        let types = ["application/json", "application/x-www-form-urlencoded", "application/yaml"]
        for path in paths {
            for type in types {
                let request = InboundRequest(
                    method: "POST", path: path, query: mark.map { String(line[line.index(after: $0)...]) },
                    fields: [
                        .init(name: "content-type", value: type), .init(name: "x-github-event", value: "push"),
                        .init(name: "authorization", value: value), .init(name: "x-hub-signature-256", value: value),
                        .init(name: "webhook-signature", value: value), .init(name: "x-event-key", value: "repo:push"),
                        .init(name: "x-gitlab-event", value: "Push Hook"),
                    ], body: body)
                for rules in all { test(rules, request) }
            }
        }
    }

    private static func test(_ rules: any ReceiverRules, _ request: InboundRequest) {
        let ruling = rules.rule(on: request, now: 1_800_000_000_000_000_000)
        check((200...599).contains(ruling.answer.status), "status \(ruling.answer.status)")
        for place in ruling.credentials {
            switch place {
            case .field(let index): check(request.fields.indices.contains(index), "a field that is not there")
            case .fieldPart(let index, let range):
                check(request.fields[index].value.utf8.count >= range.upperBound, "beyond a field's value")
            case .path(let range): check(request.path.utf8.count >= range.upperBound, "beyond the path")
            case .query(let range): check((request.query ?? "").utf8.count >= range.upperBound, "beyond the query")
            case .body(let range): check(request.body.count >= range.upperBound, "beyond the body")
            }
        }
        let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: ruling.deliveryID ?? "")
        _ = rules.triggers(of: request, facts)
    }
}
