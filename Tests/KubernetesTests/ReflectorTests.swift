import Foundation
import Logging
import Synchronization
import Testing

@testable import Kubernetes

@Suite("Reflector")
struct ReflectorTests {
    static func settings(_ change: (inout ReflectorSettings) -> Void = { _ in }) -> ReflectorSettings {
        var settings = ReflectorSettings()
        settings.backoffFirst = .milliseconds(10)
        settings.backoffMax = .milliseconds(80)
        settings.unservedInterval = .milliseconds(30)
        settings.vanishedAfter = .zero
        // However long a busy machine takes for one that says nothing, it is no success.
        settings.shortWatch = .seconds(600)
        change(&settings)
        return settings
    }

    /// That what `count` tells grows by waits and not in a tight loop: waits of 40 ms on average, at first less. A busy machine makes
    /// fewer of them, never more.
    func expectWaits(_ count: () -> Int) async throws {
        let (before, started) = (count(), ContinuousClock.now)
        try await Task.sleep(for: .milliseconds(800))
        let more = count() - before
        let passed = (ContinuousClock.now - started) / .milliseconds(1)
        #expect(Double(more) < 20 + passed / 16, "\(more) in \(passed) ms")
    }

    /// Runs a reflector on `collection` while `body` looks at what it tells.
    func reflect(
        _ collection: FakeCollection, scope: WatchScope = WatchScope(), settings: ReflectorSettings = Self.settings(),
        client change: (inout KubernetesClient.Settings) -> Void = { _ in },
        handle: (@Sendable (ReflectorUpdate<String>) async -> Void)? = nil,
        _ body: (Told) async throws -> Void
    ) async throws {
        let client = try collection.client(change)
        let told = Told()
        let reflector = Reflector(
            client: client, group: "g", kind: "A", scope: scope, decoder: NameDecoder(), settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { update in
            told.add(update)
            await handle?(update)
        }
        let task = Task { await reflector.run() }
        try await body(told)
        task.cancel()
        await task.value
        await client.shutdown()
        collection.stop()
    }

    // MARK: - Bad cases

    @Test("A 410 in the middle of the pages begins the list anew; no half list is ever told")
    func expiredPage() async throws {
        let collection = FakeCollection(
            list: { number, query in
                switch number {
                case 0: page(["old"], version: 1, next: "t1")
                case 1: refusal(410, "Expired")
                case 2: page(["a", "b"], version: 5, next: "t2")
                default: page(["c"], version: 5)
                }
            }, watch: { _, _ in watching() })
        try await reflect(collection) { told in
            #expect(await told.wait(1) == ["replaced a,b,c"])
            await eventually { collection.watches.count == 1 }
            #expect(collection.lists.map { $0["continue"] ?? "" } == ["", "t1", "", "t2"])
            #expect(collection.lists.allSatisfy { $0["limit"] == "500" })
            #expect(collection.watches.first?["resourceVersion"] == "5")
        }
    }

    @Test("A page that continues with itself, and more objects than the bound, are errors and no endless lists")
    func endlessPages() async throws {
        let same = FakeCollection(list: { _, _ in page(["a"], version: 1, next: "t") }, watch: { _, _ in .cut })
        try await reflect(same) { told in
            #expect(await told.wait(1).first?.contains("continues with itself") == true)
        }
        let many = FakeCollection(
            list: { number, _ in page(["a", "b"], version: 1, next: "t\(number)") }, watch: { _, _ in .cut })
        try await reflect(many, settings: Self.settings { $0.objectsMax = 9 }) { told in
            #expect(await told.wait(1).first?.contains("more than 9 objects") == true)
        }
    }

    @Test("A watch that is cut in the middle of a line is resumed from the last whole event, without trouble told")
    func cutLine() async throws {
        let collection = FakeCollection(
            list: { _, _ in page([], version: 1) },
            watch: { number, _ in
                switch number {
                case 0:
                    .stream { connection in
                        connection.begin()
                        connection.chunk(
                            event("ADDED", "a", version: 2) + String(event("ADDED", "lost", version: 3).prefix(20)))
                        return false
                    }
                case 1:
                    .stream { connection in
                        connection.begin()
                        connection.chunk(String(event("ADDED", "lost", version: 3).prefix(20)))
                        connection.end()
                        return true
                    }
                default: watching(event("ADDED", "b", version: 3))
                }
            })
        try await reflect(collection) { told in
            #expect(await told.wait(3) == ["replaced ", "applied a", "applied b"])
            #expect(collection.watches.map { $0["resourceVersion"] } == ["1", "2", "2"])
            #expect(collection.lists.count == 1)
        }
    }

    @Test("Watches that break one after the other without an event lead to a list, and waits grow")
    func alwaysCut() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { _, _ in
                .stream { connection in
                    connection.begin()
                    return false
                }
            })
        try await reflect(collection) { told in
            let texts = await told.wait(4)
            #expect(texts[0] == "replaced a")
            #expect(texts[1].hasPrefix("failing watch as.g"))
            #expect(texts[2...3] == ["recovered", "replaced a"])
            try await expectWaits { collection.watches.count }
        }
    }

    @Test(
        "A line that cannot be decoded: told, listed again, with growing waits",
        arguments: ["garbage\n", "{}\n", #"{"type":"NEW","object":{}}"# + "\n", "\u{0}\u{1}\n", "[[[[[[\n"])
    func garbage(line: String) async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { _, _ in watching(event("ADDED", "b", version: 2), line) })
        try await reflect(collection) { told in
            let texts = await told.wait(5)
            #expect(texts[0...1] == ["replaced a", "applied b"])
            #expect(texts[2].contains("cannot be decoded"))
            #expect(texts[3...4] == ["recovered", "replaced a"])
            try await expectWaits { collection.lists.count }
        }
    }

    @Test("A line beyond the bound is treated like one that cannot be decoded, and is not kept")
    func longLine() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { number, _ in
                guard number == 0 else { return watching() }
                return .stream { connection in
                    connection.begin()
                    for _ in 0..<1000 where !connection.chunk(String(repeating: "x", count: 1000)) { return false }
                    return false
                }
            })
        try await reflect(collection, client: { $0.watchLineBytesMax = 5000 }) { told in
            let texts = await told.wait(4)
            #expect(texts[1].contains("more than 5000 bytes"))
            #expect(texts[2...] == ["recovered", "replaced a"])
        }
    }

    @Test("A list that is no list: told once with its text, tried again")
    func badList() async throws {
        let collection = FakeCollection(
            list: { number, _ in
                number < 3 ? .bytes(answer("200 OK", "secret nonsense")) : page(["a"], version: 1)
            }, watch: { _, _ in watching() })
        try await reflect(collection) { told in
            let texts = await told.wait(3)
            #expect(texts[0].contains("a list that cannot be decoded"))
            #expect(!texts[0].contains("secret"))
            #expect(texts[1...] == ["recovered", "replaced a"])
        }
    }

    @Test("A silent watch is taken for dead after its time and the margin, and resumed on another connection")
    func silence() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 7) },
            watch: { number, _ in number == 0 ? watching() : watching(event("ADDED", "b", version: 8)) })
        let settings = Self.settings {
            $0.watchSeconds = 0...0
            $0.silenceMargin = .seconds(1)
        }
        let started = ContinuousClock.now
        try await reflect(collection, settings: settings) { told in
            #expect(await told.wait(2) == ["replaced a", "applied b"])
            #expect(ContinuousClock.now - started > .seconds(1))
            #expect(collection.watches.prefix(2).map { $0["resourceVersion"] } == ["7", "7"])
            #expect(collection.lists.count == 1)
        }
    }

    @Test("An owner that is slow with an event is not the server's silence")
    func slowOwner() async throws {
        let collection = FakeCollection(
            list: { _, _ in page([], version: 1) },
            watch: { _, _ in
                watching(event("ADDED", "a", version: 2), event("ADDED", "b", version: 3))
            })
        let settings = Self.settings {
            $0.watchSeconds = 0...0
            $0.silenceMargin = .seconds(3)
        }
        // A watch that is taken for dead is cancelled, and with it what the owner does with its event.
        let ended = Mutex([Bool]())
        try await reflect(
            collection, settings: settings,
            handle: { update in
                guard case .applied("a") = update else { return }
                try? await Task.sleep(for: .seconds(7))
                ended.withLock { $0.append(Task.isCancelled) }
            }
        ) { told in
            #expect(await told.wait(3) == ["replaced ", "applied a", "applied b"])
            #expect(ended.withLock { $0 } == [false])
        }
    }

    @Test("429 with Retry-After is waited for; 500s are tried again; trouble is told once for each text")
    func refused() async throws {
        let times = Mutex([ContinuousClock.Instant]())
        let collection = FakeCollection(
            list: { number, _ in
                times.withLock { $0.append(.now) }
                switch number {
                case 0: return refusal(429, "TooManyRequests", fields: ["Retry-After: 1"])
                case 1, 2, 3: return refusal(500, "InternalError")
                default: return page(["a"], version: 1)
                }
            },
            watch: { number, _ in
                number == 0 ? refusal(429, "TooManyRequests", fields: ["Retry-After: 1"]) : watching()
            })
        try await reflect(collection) { told in
            let texts = await told.wait(6)
            #expect(texts[0].contains("429"))
            #expect(texts[1].contains("500"))
            #expect(texts[2...3] == ["recovered", "replaced a"])
            #expect(texts[4].contains("watch as.g: 429"))
            #expect(texts[5] == "recovered")
            let at = times.withLock { $0 }
            try #require(at.count > 1)
            #expect(at[1] - at[0] >= .seconds(1))
            // A watch that is refused for a while needs no new list.
            #expect(collection.lists.count == 5)
            #expect(collection.watches.count == 2)
        }
    }

    @Test("403 names the missing rule and is tried again", arguments: [401, 403])
    func forbidden(code: Int) async throws {
        let collection = FakeCollection(
            list: { number, _ in number < 4 ? refusal(code, "X") : page(["a"], version: 1) },
            watch: { _, _ in watching() })
        try await reflect(collection) { told in
            let texts = await told.wait(3)
            if code == 403 {
                #expect(texts[0].contains(#"{apiGroups: ["g"], resources: ["as"], verbs: ["list"]} in a ClusterRole"#))
            } else {
                #expect(texts[0].contains("401"))
            }
            #expect(texts[1...] == ["recovered", "replaced a"])
        }
    }

    @Test(
        "A kind that is absent is told once and found when it appears; when it goes, that is told and it is looked for again"
    )
    func absentKind() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { _, _ in
                .stream { connection in
                    connection.begin()
                    connection.wait(0.1)
                    connection.end()
                    return true
                }
            })
        collection.isServed = false
        try await reflect(collection) { told in
            _ = await told.wait(1)
            try await Task.sleep(for: .milliseconds(200))
            #expect(told.all == ["unserved"])
            collection.isServed = true
            #expect(await told.wait(2) == ["unserved", "replaced a"])
            collection.isServed = false
            #expect(await told.wait(3).last == "unserved")
            try await Task.sleep(for: .milliseconds(200))
            #expect(told.all.count == 3)
            collection.isServed = true
            #expect(await told.wait(4).last == "replaced a")
        }
    }

    @Test("A kind that was served and answers 404 for a moment, as when the API server starts, is not told as gone")
    func restartingServer() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { _, _ in
                .stream { connection in
                    connection.begin()
                    connection.wait(0.1)
                    connection.end()
                    return true
                }
            })
        try await reflect(collection, settings: Self.settings { $0.vanishedAfter = .seconds(600) }) { told in
            _ = await told.wait(1)
            collection.isServed = false
            #expect(await told.wait(2).last?.contains("does not serve this kind") == true)
            try await Task.sleep(for: .milliseconds(200))
            collection.isServed = true
            #expect(await told.wait(4).suffix(2) == ["recovered", "replaced a"])
            #expect(!told.all.contains("unserved"))
        }
    }

    // MARK: - 410 and errors within a watch

    @Test("410 on a watch and an ERROR event with 410 lead to a list at once", arguments: [0, 1, 2])
    func expiredWatch(kind: Int) async throws {
        let error = #"{"type":"ERROR","object":\#(status(kind == 2 ? 0 : 410, "Expired"))}"# + "\n"
        let collection = FakeCollection(
            list: { number, _ in page(number == 0 ? ["a", "b"] : ["a"], version: 1 + number) },
            watch: { number, _ in
                if number > 0 { return watching() }
                return kind == 0 ? refusal(410, "Gone") : watching(error)
            })
        try await reflect(collection) { told in
            #expect(await told.wait(2) == ["replaced a,b", "replaced a"])
            await eventually { collection.watches.count == 2 }
            #expect(collection.watches.last?["resourceVersion"] == "2")
        }
    }

    @Test("A server that answers every watch with 410 is not listed in a tight loop")
    func alwaysExpired() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in refusal(410, "Gone") })
        try await reflect(collection) { told in
            _ = await told.wait(1)
            #expect(await eventually { collection.lists.count > 1 })
            try await expectWaits { collection.lists.count }
        }
    }

    @Test("Another ERROR event is told and leads to a list after a wait")
    func errorEvent() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { number, _ in
                number == 0
                    ? watching(#"{"type":"ERROR","object":\#(status(500, "InternalError"))}"# + "\n") : watching()
            })
        try await reflect(collection) { told in
            let texts = await told.wait(4)
            #expect(texts[1].contains("watch as.g: 500 InternalError"))
            #expect(texts[2...] == ["recovered", "replaced a"])
        }
    }

    // MARK: - The good way

    @Test(
        "Events in order; bookmarks move the version; the same version is not told twice; an ended watch is resumed at once"
    )
    func events() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 10) },
            watch: { number, _ in
                switch number {
                case 0:
                    .stream { connection in
                        connection.begin()
                        connection.chunk(event("ADDED", "same-as-list", version: 10))
                        let text = event("ADDED", "b", version: 11) + event("MODIFIED", "b", version: 12)
                        connection.chunk(String(text.prefix(40)))
                        connection.wait(0.02)
                        connection.chunk(String(text.dropFirst(40)) + "\n")
                        connection.chunk(event("MODIFIED", "again", version: 12) + event("DELETED", "a", version: 13))
                        connection.chunk(event("BOOKMARK", "", version: 20))
                        connection.end()
                        return true
                    }
                case 1: watching(event("ADDED", "again", version: 20), event("ADDED", "c", version: 21))
                default: watching()
                }
            })
        try await reflect(collection) { told in
            #expect(
                await told.wait(5) == ["replaced a", "applied b", "applied b", "deleted a", "applied c"])
            #expect(collection.watches.map { $0["resourceVersion"] } == ["10", "20"])
            for watch in collection.watches {
                #expect(watch["allowWatchBookmarks"] == "true")
                #expect((300...600).contains(Int(watch["timeoutSeconds"] ?? "") ?? 0))
            }
            #expect(collection.lists.count == 1)
        }
    }

    @Test("Watches that end at once without an event are not begun again in a tight loop")
    func shortWatches() async throws {
        let collection = FakeCollection(
            list: { _, _ in page(["a"], version: 1) },
            watch: { _, _ in
                .stream { connection in
                    connection.begin()
                    connection.end()
                    return true
                }
            })
        try await reflect(collection) { told in
            _ = await told.wait(1)
            #expect(await eventually { collection.watches.count > 2 })
            try await expectWaits { collection.watches.count }
            #expect(told.all == ["replaced a"])
        }
    }

    @Test("Scope and preferred versions are asked for")
    func scope() async throws {
        let collection = FakeCollection(list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in watching() })
        let scope = WatchScope(
            namespace: "n", fieldSelector: "metadata.name=a", labelSelector: "x in (y,z)", isMetadataOnly: true)
        try await reflect(collection, scope: scope) { told in
            _ = await told.wait(1)
            await eventually { collection.watches.count == 1 }
            for query in collection.lists + collection.watches {
                #expect(query["fieldSelector"] == "metadata.name=a")
                #expect(query["labelSelector"] == "x in (y,z)")
            }
            let lines = collection.requests.filter { $0.line.contains("/namespaces/n/as") }
            try #require(lines.count == 2)
            #expect(lines[0].field("Accept")?.contains("as=PartialObjectMetadataList") == true)
            #expect(lines[1].field("Accept")?.contains("as=PartialObjectMetadata;") == true)
        }
        let second = FakeCollection(list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in watching() })
        try await reflect(second, settings: Self.settings { $0.versions = ["v9", "v2"] }) { told in
            _ = await told.wait(1)
            #expect(second.requests.contains { $0.line.contains("/apis/g/v2/as") })
        }
        let third = FakeCollection(list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in watching() })
        try await reflect(third, settings: Self.settings { $0.versions = ["v9"] }) { told in
            _ = await told.wait(1)
            #expect(third.requests.contains { $0.line.contains("/apis/g/v1/as") })
        }
    }

    /// Alone it takes some milliseconds; beside other tests on a busy machine more, but never the ten minutes that it waits for.
    @Test(
        "Cancelled at once in every state",
        arguments: ["discovery", "list", "backoff", "watch head", "watch", "unserved"])
    func cancelled(state: String) async throws {
        let silence = RawAnswer.stream { connection in
            connection.wait(600)
            return false
        }
        let collection: FakeCollection
        switch state {
        case "list": collection = FakeCollection(list: { _, _ in silence }, watch: { _, _ in silence })
        case "backoff":
            collection = FakeCollection(
                list: { _, _ in refusal(429, "X", fields: ["Retry-After: 600"]) }, watch: { _, _ in silence })
        case "watch head":
            collection = FakeCollection(list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in silence })
        default:
            collection = FakeCollection(list: { _, _ in page(["a"], version: 1) }, watch: { _, _ in watching() })
        }
        if state == "unserved" { collection.isServed = false }
        let silent = RawServer { _, _ in silence }
        let told = Told()
        let client =
            state == "discovery"
            ? try KubernetesClient(
                Kubeconfig(server: silent.url), settings: .patient, logger: Logger(label: "test"))
            : try collection.client()
        let reflector = Reflector(
            client: client, group: "g", kind: "A", decoder: NameDecoder(),
            settings: Self.settings { $0.unservedInterval = .seconds(1200) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { told.add($0) }
        let task = Task { await reflector.run() }
        let isReached = await eventually {
            switch state {
            case "discovery": !silent.requests.isEmpty
            case "list": !collection.lists.isEmpty
            case "backoff": told.all.contains { $0.hasPrefix("failing") }
            case "unserved": told.all == ["unserved"]
            default: !collection.watches.isEmpty
            }
        }
        #expect(isReached, "\(told.all)")
        try await Task.sleep(for: .milliseconds(200))
        let started = ContinuousClock.now
        task.cancel()
        await task.value
        #expect(ContinuousClock.now - started < .seconds(200))
        await client.shutdown()
        collection.stop()
        silent.stop()
    }
}
