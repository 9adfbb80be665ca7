import Foundation
import Testing

@testable import Delivery

/// Seeded; the seed is printed with a failure and taken from GRAPNEL_SEED.
@Suite("Build Service: random requests")
struct BuildServiceRandomTests {
    typealias Sample = BuildServiceSample

    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    static let seed = ProcessInfo.processInfo.environment["GRAPNEL_SEED"].flatMap(UInt64.init) ?? 20_261_121

    /// Names and values that mean something to some decoder, and some that mean nothing to any.
    static let names = [
        "events", "id", "action", "target", "mediaType", "digest", "repository", "url", "tag", "request", "host",
        "artifactory", "webhook",
        "event", "data", "docker", "image", "repoKey", "relPath", "repoPath", "path", "name", "artifacts", "type",
        "version", "reference",
        "text", "attachments", "domain", "event_type", "repo_key", "sha256", "image_name", "push_data", "repo_name",
        "namespace",
        "callback_url", "x",
    ]
    static let texts = [
        "push", "pull", "docker.tagCreated", "docker/image", "docker", "pushed",
        "application/vnd.oci.image.manifest.v1+json", "stack/run",
        "jammy", "https://registry.example.com/v2/stack/run/manifests/jammy", "registry.example.com", Sample.digest, "",
        "/", ":", "@", "//",
        "null", "sha256:", "a/b/c/manifest.json", "/manifests/", "http://", "http:///", "[::1]", "e\u{301}", "\u{0}",
        "https://hub.docker.com/u/",
        "registry.example.com/stack/run", "docker-local", "\u{1f600}/\u{301}",
    ]

    static func value(_ random: inout Generator, depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth > 5 ? 6 : 12), using: &random) {
        case 0: .null
        case 1: .bool(Bool.random(using: &random))
        case 2: .number(["0", "-1", "1e999", "22.04"].randomElement(using: &random) ?? "0")
        case 3...5: .string(texts.randomElement(using: &random) ?? "")
        case 6...7:
            .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(&random, depth: depth + 1) })
        default:
            .object(
                (0..<Int.random(in: 0..<8, using: &random)).map { _ in
                    JSONValue.Member(
                        name: names.randomElement(using: &random) ?? "", value: value(&random, depth: depth + 1))
                })
        }
    }

    static func objects() -> [KpackObject] {
        [
            Sample.stack("registry.example.com/stack/run:jammy"),
            Sample.object("Buildpack", "a", ["image": "stack/run"]),
            Sample.object("Buildpack", "b", ["image": "docker-local.example.com/stack/run:jammy"]),
        ]
    }

    /// Whatever an authenticated sender sends, the answer is one of the few; an envelope under the registry's type is always 2xx.
    func judge(_ rules: BuildServiceRules, _ request: InboundRequest, _ note: Comment) {
        let ruling = rules.rule(on: request, now: 0)
        let allowed: Set<UInt16> =
            rules.endpoint == .notification
            ? [200, 202] : rules.endpoint == .artifactory ? [200, 202, 400, 422] : [200, 202, 400]
        #expect(allowed.contains(ruling.answer.status), note)
        let triggers = rules.triggers(of: request.masked(ruling.credentials), Sample.facts)
        if ruling.decision == .accepted {
            guard case .actions(let actions) = triggers else {
                Issue.record(note)
                return
            }
            #expect(!actions.isEmpty, note)
        } else {
            #expect(triggers != .actions([]), note)
        }
        _ = try? DockerHubCallback.request(for: request.body, state: .success, description: "")
    }

    @Test(
        "odd values in known places never trap, and a JSON object is never more than ignored",
        arguments: BuildServiceEndpoint.allCases)
    func shapes(_ endpoint: BuildServiceEndpoint) {
        var random = Generator(state: Self.seed)
        let rules = Sample.open(endpoint, Self.objects()) { $0.forceBuild = true }
        for round in 0..<2_000 {
            var body = Self.value(&random, depth: 0)
            // Mostly in a shape that leads the decoders on.
            switch (endpoint, round % 4) {
            case (.notification, 1...): body = ["events": .array([Self.value(&random, depth: 1), body])]
            case (.artifactory, 1): body = ["artifactory": ["webhook": ["event": "docker.tagCreated", "data": body]]]
            case (.artifactory, 2): body = ["domain": "docker", "event_type": "pushed", "data": body]
            case (.artifactory, 3): body = ["artifacts": [body, ["type": "docker/image", "reference": body]]]
            case (.dockerHub, 1...): body = ["repository": body, "push_data": Self.value(&random, depth: 1)]
            default: break
            }
            judge(rules, Sample.request(endpoint, body.serialized), "seed \(Self.seed), round \(round)")
        }
    }

    @Test(
        "recorded and documented bodies with bytes changed, cut or doubled never trap",
        arguments: BuildServiceEndpoint.allCases)
    func mutations(_ endpoint: BuildServiceEndpoint) throws {
        var random = Generator(state: Self.seed)
        let file =
            [BuildServiceEndpoint.notification: "notification", .artifactory: "artifactory", .dockerHub: "dockerhub"][
                endpoint] ?? ""
        let bodies = try BuildServiceCase.all(file).flatMap { $0.steps.map(\.request.body) }.filter { !$0.isEmpty }
        let rules = Sample.open(endpoint, Self.objects())
        for round in 0..<1_500 {
            var body = bodies.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) where !body.isEmpty {
                let place = Int.random(in: 0..<body.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: body[place] = UInt8.random(in: 0...255, using: &random)
                case 1: body.removeSubrange(place...)
                case 2: body.insert(contentsOf: body[place...].prefix(40), at: place)
                default: body[place] = Array("\"{}[],:0\\/".utf8).randomElement(using: &random) ?? 0
                }
            }
            judge(rules, Sample.request(endpoint, body), "seed \(Self.seed), round \(round)")
        }
    }

    @Test("random heads never prove anything and never trap")
    func heads() {
        var random = Generator(state: Self.seed)
        let credentials: [BuildServiceCredential] = [
            .bearer(Sample.secret("bearer-secret")), .basic(username: "u", password: Sample.secret("basic-secret")),
            .header(name: "x-key", value: Sample.secret("header-secret")), .urlToken(Sample.secret("url-secret")),
            .jfrogSignature(Sample.secret("signature-secret")), .jfrogToken(Sample.secret("plain-secret")),
        ]
        let alphabet = Array("Bbearer Basic=:%2F&token/\u{e9}\u{301}\u{0}AZaz09+/=*")
        let text = { (random: inout Generator) in
            String(
                (0..<Int.random(in: 0..<40, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
        }
        let names = ["authorization", "x-key", "x-jfrog-event-auth", "content-type", "cookie"]
        for round in 0..<2_000 {
            for endpoint in BuildServiceEndpoint.allCases {
                var request = Sample.request(
                    endpoint, [], path: endpoint.path + "/" + text(&random),
                    query: Bool.random(using: &random) ? text(&random) : "token=" + text(&random))
                for _ in 0..<3 {
                    let start = ["", "Bearer ", "Basic "].randomElement(using: &random) ?? ""
                    request.fields.append(
                        .init(name: names.randomElement(using: &random) ?? "", value: start + text(&random)))
                }
                let ruling = Sample.rules(endpoint, credentials).rule(on: request, now: 0)
                #expect(ruling.answer == Answer(401), "seed \(Self.seed), round \(round)")
                // Where nothing is asked for, the same heads must be masked within their bounds.
                let open = Sample.open(endpoint, []).rule(on: request, now: 0)
                let stored = request.masked(open.credentials)
                #expect(stored.path.utf8.count == request.path.utf8.count)
                #expect(stored.query?.utf8.count == request.query?.utf8.count)
                _ = BuildServicePathFamily().routePath(of: request.path)
            }
        }
    }

    @Test("texts that are nearly references never trap, and what parses parses again to itself")
    func references() {
        var random = Generator(state: Self.seed)
        let alphabet = Array("ab.:/@-_[]0\u{301}\u{e9}A")
        for _ in 0..<20_000 {
            let text = String(
                (0..<Int.random(in: 0..<24, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
            guard let reference = ImageReference(text) else { continue }
            #expect(ImageReference(reference.description) == reference, "seed \(Self.seed): \(text)")
        }
    }

    @Test("an envelope of many events costs linear time")
    func manyEvents() {
        let objects = (0..<2_000).map {
            Sample.object("Buildpack", "b\($0)", ["image": "registry.example.com/stack/run:jammy"])
        }
        let rules = Sample.open(.notification, objects)
        let events = (0..<5_000).map { number in
            Sample.event(
                id: "\(number)", digest: "sha256:" + String(repeating: "0", count: 59) + String(10_000 + number))
        }
        let body = (["events": .array(events)] as JSONValue).serialized
        // Each event for each object would take minutes.
        let time = ProcessorTime()
        #expect(rules.effects(Sample.request(.notification, body)).count == 2_000)
        time.expectAtMost(20)
    }
}
