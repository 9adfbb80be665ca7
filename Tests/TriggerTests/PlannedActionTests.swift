import Delivery
import Testing

@testable import Trigger

@Suite("Planned action")
struct PlannedActionTests {
    static let samples: [PlannedAction] = [
        .reconcile(TargetReference(apiVersion: nil, kind: "GitRepository", namespace: "n", name: "x")),
        .reconcile(TargetReference(cluster: "", apiVersion: "", kind: "", namespace: "", name: "")),
        .reconcile(TargetReference(cluster: "east", apiVersion: "a/v1", kind: "Ä", namespace: "n-1", name: "x.y")),
        PlannedAction(post("https://user:pass@Example.com:8443/services/T0/B0/secret?token=abc#f")),
        PlannedAction(.exec(command: ["./rebuild.sh", "--password", "abc"], timeoutNanoseconds: 1)),
        PlannedAction(.exec(command: [], timeoutNanoseconds: 1)),
        .log,
        .openshiftBuild(
            TargetReference(apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "n", name: "x"),
            buildRequest: Array("{}".utf8)),
        .s2iRun(
            TargetReference(cluster: "e", apiVersion: nil, kind: "S2iBuilder", namespace: "n", name: "x"),
            run: Array("{\"a\":1}".utf8)),
        .kpackRefresh(
            TargetReference(apiVersion: "kpack.io/v1alpha2", kind: "ClusterStack", namespace: "", name: "x"),
            image: "registry.example.com/a:b", forceBuild: true),
        .openshiftRelay(
            TargetReference(apiVersion: "build.openshift.io/v1", kind: "BuildConfig", namespace: "n", name: "x"),
            type: "github"),
        .dockerHubCallback(after: nil, DockerHubCallback.Request(url: "https://hub.docker.com/u/a", body: [1, 2])),
        .dockerHubCallback(
            after: TargetReference(apiVersion: nil, kind: "K", namespace: "n", name: "x"),
            DockerHubCallback.Request(url: "https://hub.docker.com/u/a", body: [])),
    ]

    @Test("Every prefix, extension and wrong kind of an entry is refused or read, never a crash")
    func totalOnDamage() {
        for sample in Self.samples {
            let entry = sample.encoded
            for count in 0..<entry.target.count {
                let cut = PlannedAction(
                    EncodedPlanEntry(actionKind: entry.actionKind, target: Array(entry.target.prefix(count))))
                if case .reconcile = sample { #expect(cut == nil) }
                #expect(cut != sample)
            }
            for kind in UInt8.min...UInt8.max {
                _ = PlannedAction(EncodedPlanEntry(actionKind: kind, target: entry.target))
                if kind == 0 || kind > 9 {
                    #expect(PlannedAction(EncodedPlanEntry(actionKind: kind, target: entry.target)) == nil)
                }
            }
        }
        #expect(PlannedAction(EncodedPlanEntry(actionKind: 4, target: [0])) == nil)
        #expect(PlannedAction(EncodedPlanEntry(actionKind: 1, target: [0xff, 0xff, 0xff, 0x7f])) == nil)
    }

    @Test("Any bytes are read without a crash, and what is read is written as it was")
    func totalOnNoise() {
        for seed in testSeeds(5) {
            var random = SeededRandom(seed: seed)
            for _ in 0..<20_000 {
                let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    Bool.random(using: &random) ? UInt8(0) : UInt8.random(in: 0...255, using: &random)
                }
                let entry = EncodedPlanEntry(actionKind: UInt8.random(in: 0...10, using: &random), target: bytes)
                if let action = PlannedAction(entry) { #expect(action.encoded == entry, "seed \(seed)") }
            }
        }
    }

    @Test("What is written is read back", arguments: samples)
    func roundTrip(sample: PlannedAction) { #expect(PlannedAction(sample.encoded) == sample) }

    @Test("No credential of a URL or a command stands in an entry")
    func noCredentials() {
        for sample in Self.samples {
            let text = String(decoding: sample.encoded.target, as: UTF8.self)
            for secret in ["pass", "secret", "token", "abc"] { #expect(!text.contains(secret)) }
        }
        #expect(Self.samples[3].targetText == "https://example.com:8443")
    }

    @Test("An entry matches its own action only")
    func matching() {
        let planned = PlannedAction(post("http://a/1"))
        #expect(planned.matches(.http(url: "http://a/1", timeoutNanoseconds: 99, signingSecret: SecretBytes([1]))))
        #expect(!planned.matches(post("http://a/2")))
        #expect(!planned.matches(.log))
        let command = PlannedAction(.exec(command: ["a", "bc"], timeoutNanoseconds: 1))
        #expect(!command.matches(.exec(command: ["a", "b", "c"], timeoutNanoseconds: 1)))
    }
}
