// What an event means to the catalog: nothing that a route depends on may pass for bookkeeping, and what was compiled before a
// run of bookkeeping is what a compilation from nothing gives after it.

import Delivery
import Foundation
import Testing

@testable import Catalog

private let receivers = ObjectCatalog.Collection(kind: "Receiver.notification.toolkit.fluxcd.io")
private let sources = ObjectCatalog.Collection(kind: "GitRepository.source.toolkit.fluxcd.io")
private let hooks = ObjectCatalog.Collection(kind: "Hook.grapnel.dev")
private let configs = ObjectCatalog.Collection(kind: "BuildConfig.build.openshift.io")
private let images = ObjectCatalog.Collection(kind: "Image.kpack.io")
private let secrets = ObjectCatalog.Collection(kind: "Secret")

private func object(_ collection: ObjectCatalog.Collection, _ value: JSONValue) throws -> CatalogObject {
    let kind = String(collection.kind.prefix { $0 != "." })
    let versions = [
        "Receiver": "notification.toolkit.fluxcd.io/v1", "GitRepository": "source.toolkit.fluxcd.io/v1",
        "Hook": "grapnel.dev/v1alpha1", "BuildConfig": "build.openshift.io/v1", "Image": "kpack.io/v1alpha2",
    ]
    return try #require(CatalogObject(value, apiVersion: versions[kind] ?? "v1", kind: kind))
}

private func json(_ text: String) throws -> JSONValue { try #require(JSONValue(Array(text.utf8)), "\(text)") }

private func receiver(
    metadata: String = "", spec: String = "", status: String = #"{"observedGeneration":1}"#, version: Int = 7
) throws -> CatalogObject {
    try object(
        receivers,
        json(
            """
            {"metadata":{"name":"webapp","namespace":"team-a","uid":"u","resourceVersion":"\(version)","generation":2\(metadata)},
             "spec":{"type":"github","secretRef":{"name":"token"},"resources":[{"kind":"GitRepository","name":"a"}]\(spec)},
             "status":\(status)}
            """))
}

/// Everything that the server takes from a compilation, as text; secrets by value.
private func image(of snapshot: CatalogSnapshot) -> String {
    let routes = snapshot.routes.map { "\($0) \($0.secrets.map(\.bytes))" }.joined(separator: "\n")
    let verdicts = snapshot.verdicts.map { "\($0.key) \($0.value)" }.sorted().joined(separator: "\n")
    let places = snapshot.secretPlaces.map { "\($0.key) \($0.value)" }.sorted().joined(separator: "\n")
    let match = ["a", "b", "c"].map { name in
        var event = Event(kind: "push", repository: name)
        event.repositoryURLs = ["https://git.example.com/\(name)"]
        event.ref = "refs/heads/main"
        return "\(snapshot.repositories.match(event, kinds: ["GitRepository", "BuildConfig"], namespaces: []))"
    }
    return [
        routes, verdicts, places, "\(snapshot.unserved)", "\(snapshot.problems)", "\(snapshot.counts)", "\(match)",
        "\(snapshot.images)",
    ].joined(separator: "\n--\n")
}

@Suite("Changes of a cluster's objects")
struct ObjectChangeTests {
    private func change(_ old: CatalogObject, _ new: CatalogObject) -> ObjectChange { new.following(old).change }

    @Test("what anybody may read is content, known or not")
    func content() throws {
        let old = try receiver()
        let others = [
            try receiver(spec: #","events":["push"]"#), try receiver(spec: #","suspend":true"#),
            try receiver(spec: #","fieldOfTomorrow":1"#),
            try receiver(metadata: #","deletionTimestamp":"2026-01-02T00:00:00Z""#),
            try receiver(metadata: #","labels":{"a":"b"}"#),
            try receiver(metadata: #","annotations":{"grapnel.dev/path-grace":"0s"}"#),
            try receiver(metadata: #","annotations":{"annotation.of.tomorrow":"1"}"#),
            try receiver(metadata: #","creationTimestamp":"2026-01-02T00:00:00Z""#),
        ]
        for new in others { #expect(change(old, new) == .content, "\(new.facts)") }
        #expect(change(try receiver(spec: #","x":["ab","c"]"#), try receiver(spec: #","x":["a","bc"]"#)) == .content)
        #expect(change(try receiver(spec: #","x":"1""#), try receiver(spec: #","x":1"#)) == .content)
        #expect(
            change(try receiver(spec: #","x":"\u00e9""#), try receiver(spec: #","x":"e\u0301""#)) == .content,
            "a path is compared byte for byte")
    }

    @Test("versions, managers, finalizers, requests to reconcile and a status without meaning are bookkeeping")
    func bookkeeping() throws {
        let old = try receiver()
        let others = [
            try receiver(version: 8), try receiver(metadata: #","finalizers":["finalizers.fluxcd.io"]"#),
            try receiver(metadata: #","managedFields":[{"manager":"x"}]"#),
            try receiver(metadata: #","annotations":{"reconcile.fluxcd.io/requestedAt":"t"}"#).following(
                try receiver(metadata: #","annotations":{}"#)
            ).object,
            try receiver(status: #"{"observedGeneration":2}"#),
        ]
        for new in others where new.facts.annotations.isEmpty {
            #expect(change(old, new) == .bookkeeping, "\(new.facts)")
        }
        let asked = #","annotations":{"reconcile.fluxcd.io/requestedAt":"t"}"#
        #expect(change(try receiver(metadata: #","annotations":{}"#), try receiver(metadata: asked)) == .bookkeeping)
        let new = try receiver(status: #"{"observedGeneration":2}"#, version: 9).following(old).object
        #expect(new.facts.resourceVersion == "9" && new.facts.status["observedGeneration"] == .number("2"))
    }

    @Test("a path or condition that another controller wrote is told apart")
    func given() throws {
        let old = try receiver(status: #"{"webhookPath":"/hook/a"}"#)
        #expect(change(old, try receiver(status: #"{"webhookPath":"/hook/b"}"#)) == .givenStatus)
        #expect(
            change(
                old, try receiver(status: #"{"webhookPath":"/hook/a","conditions":[{"type":"Ready","status":"True"}]}"#)
            )
                == .givenStatus)
        #expect(change(old, try receiver(status: #"{"webhookPath":"/hook/a","x":1}"#)) == .bookkeeping)
    }

    @Test("the status of a kpack object is content: the images it names are found by it")
    func kpack() throws {
        func image(_ latest: String) throws -> CatalogObject {
            try object(
                images,
                json(
                    #"{"metadata":{"name":"i","namespace":"team-a"},"spec":{"tag":"r.example.com/a"},"status":{"latestImage":"\#(latest)"}}"#
                ))
        }
        #expect(change(try image("r.example.com/a@sha256:1"), try image("r.example.com/a@sha256:2")) == .content)
    }

    @Test("a Receiver that becomes unreadable and stays so keeps its last good version through bookkeeping")
    func lastGood() throws {
        let catalog = ObjectCatalog(cluster: "local")
        catalog.replace(secrets, [try secret("token", "YWJjZGVmZ2hpams=")])
        catalog.replace(receivers, [try receiver()])
        #expect(catalog.apply(receivers, try receiver(spec: #","interval":"0""#)).object == .content)
        #expect(catalog.apply(receivers, try receiver(spec: #","interval":"0""#, version: 9)).object == .bookkeeping)
        let snapshot = CatalogSnapshot.compile([catalog.contribution()], options: CatalogOptions(directories: []))
        #expect(snapshot.routes.count == 1 && snapshot.hasErrors)
        #expect(catalog.apply(receivers, try receiver(version: 10)).object == .content)
    }

    @Test("the Secrets that are named are counted through every change")
    func references() throws {
        let catalog = ObjectCatalog(cluster: "local")
        let token = SecretName(namespace: "team-a", name: "token")
        #expect(catalog.apply(receivers, try receiver()).concernsReferences)
        #expect(!catalog.apply(receivers, try receiver(spec: #","events":["push"]"#)).concernsReferences)
        #expect(catalog.apply(hooks, try hook("h", "token", "/hooks/team-a/h")).concernsReferences)
        catalog.remove(receivers, namespace: "team-a", name: "webapp")
        #expect(catalog.secretReferences == [token])
        catalog.replace(hooks, [try hook("h", "other", "/hooks/team-a/h")])
        #expect(catalog.secretReferences == [SecretName(namespace: "team-a", name: "other")])
        catalog.removeAll(hooks)
        catalog.removeAll(hooks)
        #expect(catalog.secretReferences.isEmpty)
        let source = try object(
            sources, json(#"{"metadata":{"name":"a","namespace":"team-a"},"spec":{"url":"https://x/a"}}"#))
        #expect(!catalog.apply(sources, source).concernsReferences)
    }

    private func secret(_ name: String, _ base64: String) throws -> CatalogObject {
        try object(
            secrets, json(#"{"metadata":{"name":"\#(name)","namespace":"team-a"},"data":{"token":"\#(base64)"}}"#))
    }

    private func hook(_ name: String, _ token: String, _ path: String) throws -> CatalogObject {
        try object(
            hooks,
            json(
                #"{"metadata":{"name":"\#(name)","namespace":"team-a"},"spec":{"type":"github","path":"\#(path)","secretRefs":[{"name":"\#(token)"}],"actions":[]}}"#
            ))
    }

    /// Objects as an API server might hold them, changed at random.
    private struct World {
        var random: SplitMix
        var objects: [ObjectCatalog.Collection: [String: JSONValue]] = [:]
        var version = 1

        mutating func pick(_ texts: [String]) -> String { texts[Int.random(in: 0..<texts.count, using: &random)] }

        /// A new state of an object, or nil when it is deleted.
        mutating func step() throws -> (ObjectCatalog.Collection, String, JSONValue?) {
            let collection = [receivers, receivers, sources, hooks, configs, images, secrets][
                Int.random(in: 0..<7, using: &random)]
            let name = pick(["a", "b", "c"])
            version += 1
            if Int.random(in: 0..<12, using: &random) == 0 {
                objects[collection]?[name] = nil
                return (collection, name, nil)
            }
            var members = objects[collection, default: [:]][name]?.members ?? []
            let old = JSONValue.object(members)
            // Half of the events are what controllers write all day long.
            if members.isEmpty || Bool.random(using: &random) {
                members =
                    try json(
                        """
                        {"metadata":\(metadata(name)),\(body(collection, name))}
                        """
                    ).members ?? []
                if let status = old["status"] { members.append(.init(name: "status", value: status)) }
            } else {
                members.removeAll { $0.name == "status" || $0.name == "metadata" }
                var metadata = (old["metadata"]?.members ?? []).filter { $0.name != "resourceVersion" }
                metadata.append(.init(name: "resourceVersion", value: .string("\(version)")))
                if Bool.random(using: &random) {
                    metadata.removeAll { $0.name == "annotations" }
                    let asked = pick(["t1", "t2"])
                    metadata.append(
                        .init(name: "annotations", value: try json(#"{"reconcile.fluxcd.io/requestedAt":"\#(asked)"}"#))
                    )
                }
                let path = pick(["/hook/a", "/hook/b"])
                let status =
                    #"{"webhookPath":"\#(path)","latestImage":"r.example.com/\#(pick(["a", "b"]))@sha256:1","n":\#(version)}"#
                members.insert(.init(name: "metadata", value: .object(metadata)), at: 0)
                members.append(.init(name: "status", value: try json(status)))
            }
            objects[collection, default: [:]][name] = .object(members)
            return (collection, name, .object(members))
        }

        private mutating func metadata(_ name: String) -> String {
            let more = pick([
                "", "", "", #","deletionTimestamp":"2026-01-02T00:00:00Z""#,
                #","annotations":{"grapnel.dev/webhook-mode":"relay"}"#, #","labels":{"x":"y"}"#,
            ])
            return
                #"{"name":"\#(name)","namespace":"team-a","uid":"\#(name)","creationTimestamp":"\#(pick(["2026-01-01", "2025-01-01"]))T00:00:00Z","resourceVersion":"\#(version)"\#(more)}"#
        }

        private mutating func body(_ collection: ObjectCatalog.Collection, _ name: String) -> String {
            let url = "https://git.example.com/" + pick(["a", "b", "c"])
            switch collection {
            case receivers:
                let filter = pick([
                    "", "", #","resourceFilter":"req.ref == 'x'""#, #","resourceFilter":"1 +""#, #","interval":"0""#,
                ])
                return
                    #""spec":{"type":"\#(pick(["github", "generic"]))","secretRef":{"name":"\#(pick(["a", "b", "c"]))"},"resources":[{"kind":"GitRepository","name":"\#(pick(["a", "b"]))"}]\#(filter)}"#
            case sources: return #""spec":{"url":"\#(url)","ref":{"branch":"\#(pick(["main", "other"]))"}}"#
            case hooks:
                return
                    #""spec":{"type":"\#(pick(["github", "gihtub"]))","path":"/hooks/team-a/\#(pick(["a", "b"]))","secretRefs":[{"name":"\#(pick(["a", "b"]))"}],"actions":[]}"#
            case configs:
                return
                    #""spec":{"source":{"git":{"uri":"\#(url)"}},"triggers":[{"type":"GitHub","github":{"secretReference":{"name":"\#(pick(["a", "b"]))"}}}]}"#
            case images: return #""spec":{"tag":"r.example.com/\#(pick(["a", "b"]))"}"#
            default: return #""data":{"token":"\#(pick(["YWJjZGVmZ2hpams=", "", "eHl6eHl6eHl6"]))"}"#
            }
        }
    }

    @Test(
        "compiled only after changes of content, the catalog is what a compilation from nothing gives", arguments: 0..<4
    )
    func incremental(part: UInt64) throws {
        let seed = (ProcessInfo.processInfo.environment["GRAPNEL_SEED"].flatMap(UInt64.init) ?? 0x5eed) &+ part
        for status in CatalogOptions.ReceiverStatus.allCases {
            var options = CatalogOptions(directories: [])
            options.receiverStatus = status
            let filters = FilterCache()
            let kept = ObjectCatalog(cluster: "local")
            var world = World(random: SplitMix(state: seed))
            func compile(_ catalog: ObjectCatalog, _ filters: FilterCache) -> String {
                image(of: CatalogSnapshot.compile([catalog.contribution()], options: options, filters: filters))
            }
            var known = compile(kept, filters)
            var skipped = 0
            var fresh: [ObjectCatalog.Collection: [String: [CatalogObject]]] = [:]
            for step in 0..<150 {
                let (collection, name, value) = try world.step()
                var needsCompilation = true
                if let value {
                    let new = try object(collection, value)
                    let change = kept.apply(collection, new).object
                    needsCompilation = change == .content || (change == .givenStatus && status == .given)
                    fresh[collection, default: [:]][name, default: []].append(new)
                } else {
                    kept.remove(collection, namespace: "team-a", name: name)
                    fresh[collection]?[name] = nil
                }
                if needsCompilation { known = compile(kept, filters) } else { skipped += 1 }
                // From nothing: every version of what is there, so that last good ones are the same.
                let scratch = ObjectCatalog(cluster: "local")
                for (collection, objects) in fresh {
                    for object in objects.values.joined() { scratch.apply(collection, object) }
                }
                let wanted = compile(scratch, FilterCache())
                #expect(known == wanted, "seed \(seed), step \(step): \(collection.kind) \(name)")
                #expect(kept.secretReferences == scratch.secretReferences, "seed \(seed), step \(step)")
                if known != wanted { return }
            }
            #expect(skipped > 10, "seed \(seed): \(skipped) events were bookkeeping")
        }
    }

    @Test("objects in order are what a dictionary would hold")
    func sorted() throws {
        var random = SplitMix(state: 7)
        var list = SortedObjects()
        var wanted: [String: CatalogObject] = [:]
        for _ in 0..<2_000 {
            let name = "n\(Int.random(in: 0..<60, using: &random))"
            if Bool.random(using: &random) {
                let new = try secret(name, "YQ==")
                list.put(new)
                wanted[name] = new
            } else {
                #expect(list.remove("team-a", name) === wanted.removeValue(forKey: name))
            }
        }
        #expect(list.list.map(\.facts.name) == wanted.keys.sorted())
        for name in wanted.keys { #expect(list["team-a", name] === wanted[name]) }
        #expect(list["team-b", "n1"] == nil)
        let twice = SortedObjects([try secret("b", "YQ=="), try secret("a", "YQ=="), try secret("b", "Yg==")])
        #expect(twice.list.map(\.facts.name) == ["a", "b"])
    }
}
