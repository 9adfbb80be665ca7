import Delivery
import Foundation
import Synchronization
import Testing

@testable import Catalog

/// Counts callbacks, and waits for one more.
private final class Calls: Sendable {
    private let count = Atomic<Int>(0)

    func note() { count.wrappingAdd(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }

    /// Whether a callback comes after `change` within `seconds`; the limit ends a hang.
    @discardableResult
    func follow(_ change: () throws -> Void, within seconds: Double = 180) rethrows -> Bool {
        let before = value
        try change()
        let deadline = Date().addingTimeInterval(seconds)
        while value == before, Date() < deadline { usleep(2_000) }
        return value > before
    }

    /// Whether no callback comes after `change`. On a busy machine one that is due for something else may come meanwhile, but not
    /// each time.
    func ignore(_ change: () throws -> Void, within seconds: Double) rethrows -> Bool {
        for _ in 0..<20 where try !follow(change, within: seconds) { return true }
        return false
    }

    /// Lets callbacks that are under way end: none for 200 ms.
    func settle() {
        var last = -1
        while last != value {
            last = value
            usleep(200_000)
        }
    }
}

@Suite struct ManifestWatcherTests {
    @Test("writing, replacing, removing and creating below is seen; files with a dot are not")
    func changes() throws {
        let directory = try TemporaryDirectory()
        try directory.write("m/a.yaml", "a: 1")
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory("m")]) { calls.note() }
        defer { watcher.stop() }
        #expect(!watcher.isPolling)
        #expect(calls.follow { try! Data("a: 2".utf8).write(to: URL(fileURLWithPath: directory("m/a.yaml"))) })
        calls.settle()
        #expect(try calls.follow { try directory.write("m/a.yaml", "a: 3") })
        calls.settle()
        #expect(try calls.follow { try directory.write("m/deep/er/b.yaml", "b: 1") })
        calls.settle()
        #expect(calls.follow { try! Data("b: 2".utf8).write(to: URL(fileURLWithPath: directory("m/deep/er/b.yaml"))) })
        calls.settle()
        #expect(try calls.follow { try directory.remove("m/deep") })
        calls.settle()
        #expect(calls.ignore({ try! Data().write(to: URL(fileURLWithPath: directory("m/.a.yaml.swp"))) }, within: 0.3))
    }

    @Test("a root that appears later, is moved away and comes again is followed")
    func root() throws {
        let directory = try TemporaryDirectory()
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory("x/y/m")]) { calls.note() }
        defer { watcher.stop() }
        #expect(try calls.follow { try directory.write("x/y/m/a.yaml", "a: 1") })
        calls.settle()
        #expect(calls.follow { rename(directory("x/y"), directory("x/z")) })
        calls.settle()
        #expect(calls.follow { rename(directory("x/z"), directory("x/y")) })
        calls.settle()
        #expect(try calls.follow { try directory.write("x/y/m/b.yaml", "b: 1") })
    }

    @Test("a root that is a link to another directory now is seen, and what files link to as well")
    func links() throws {
        let directory = try TemporaryDirectory()
        try directory.write("v1/a.yaml", "a: 1")
        try directory.write("v2/a.yaml", "a: 2")
        try directory.write("elsewhere/c.yaml", "c: 1")
        try directory.link("v2/c.yaml", to: directory("elsewhere/c.yaml"))
        try directory.link("m", to: "v1")
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory("m")]) { calls.note() }
        defer { watcher.stop() }
        try directory.link("next", to: "v2")
        #expect(calls.follow { rename(directory("next"), directory("m")) })
        calls.settle()
        #expect(try calls.follow { try directory.write("v2/a.yaml", "a: 3") })
        calls.settle()
        #expect(try calls.follow { try directory.write("elsewhere/c.yaml", "c: 2") })
    }

    @Test("a switch of a volume's versions is one change")
    func configMap() throws {
        let directory = try TemporaryDirectory()
        try directory.write("m/..1/a.yaml", "a: 1")
        try directory.link("m/..data", to: "..1")
        try directory.link("m/a.yaml", to: "..data/a.yaml")
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory("m")]) { calls.note() }
        defer { watcher.stop() }
        // Events are gathered until 50 ms pass without one. A switch that is held up for longer on its way is two changes.
        for version in 2..<100 {
            let before = calls.value
            var spent = Duration.zero
            let isSeen = try calls.follow {
                let started = ContinuousClock.now
                try directory.write("m/..\(version)/a.yaml", "a: \(version)")
                try directory.link("m/..data_tmp", to: "..\(version)")
                rename(directory("m/..data_tmp"), directory("m/..data"))
                try directory.remove("m/..\(version - 1)")
                spent = .now - started
            }
            #expect(isSeen)
            calls.settle()
            guard spent < .milliseconds(40) else { continue }
            #expect(calls.value == before + 1)
            return
        }
        Issue.record("no switch was quick enough")
    }

    @Test("many writes at once are few callbacks, and the last one sees the last write")
    func debounced() throws {
        let directory = try TemporaryDirectory()
        try directory.write("h.yaml", Sample.hook("h0"))
        let catalog = ManifestCatalog(options: CatalogOptions(directories: [directory.path]))
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory.path]) {
            catalog.load()
            calls.note()
        }
        defer { watcher.stop() }
        let started = Date()
        for index in 1...200 { try directory.write("h.yaml", Sample.hook("h\(index)")) }
        let deadline = Date().addingTimeInterval(180)
        while catalog.snapshot.routes.first?.identity.name != "h200", Date() < deadline { usleep(2_000) }
        #expect(catalog.snapshot.routes.map(\.identity.name) == ["h200"])
        calls.settle()
        // Each one waited for 50 ms of quiet.
        #expect(calls.value <= Int(Date().timeIntervalSince(started) / 0.05) + 1)
    }

    @Test("where inotify is not to be had, comparing finds the change")
    func polling() throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "a: 1")
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory.path], method: .polling) { calls.note() }
        defer { watcher.stop() }
        #expect(watcher.isPolling)
        #expect(try calls.follow { try directory.write("a.yaml", "a: 2") })
        #expect(calls.ignore({}, within: 2.5))
    }

    @Test("a trigger calls back without a change; after stop nothing does, and stopping twice is fine")
    func trigger() throws {
        let directory = try TemporaryDirectory()
        let calls = Calls()
        let watcher = ManifestWatcher(directories: [directory.path]) { calls.note() }
        #expect(calls.follow { watcher.trigger() })
        watcher.stop()
        watcher.stop()
        watcher.trigger()
        #expect(try !calls.follow({ try directory.write("a.yaml", "a: 1") }, within: 0.3))
    }

    @Test("the directories above a root are named with the step that leads on")
    func ancestors() {
        let found = WatchLoop.ancestors("/a/./b/c").map { "\($0.directory) \($0.name)" }
        #expect(found == ["/ a", "/a b", "/a/b c"])
        #expect(WatchLoop.ancestors("m").last?.name == "m")
    }
}
