import Catalog
import Testing

@testable import Cluster

@Suite("Lists of a cluster")
struct CollectionReportTests {
    private let second: UInt64 = 1_000_000_000
    private let hooks = ObjectCatalog.Collection(kind: "Hook.grapnel.dev")
    private let builds = ObjectCatalog.Collection(kind: "BuildConfig.build.openshift.io")

    @Test("nothing is in step before each list came once; a kind that is absent is no hindrance")
    func synced() {
        let report = CollectionReport()
        #expect(!report.isSynced)
        report.begin(hooks, now: 0)
        report.begin(builds, now: 0)
        report.note(hooks, .synced)
        #expect(!report.isSynced && report.lines == ["BuildConfig.build.openshift.io: not listed yet"])
        report.note(builds, .absent)
        #expect(report.isSynced && report.lines.isEmpty)
    }

    @Test("a list that is refused from the start is left out after a while, though it is told only once")
    func denied() {
        let report = CollectionReport()
        report.begin(hooks, now: 0)
        report.fail(hooks, "403", isForbidden: true, now: second)
        #expect(report.settleDenied(now: 9 * second).isEmpty && !report.isSynced)
        #expect(report.settleDenied(now: 10 * second) == [hooks: "403"])
        #expect(report.isSynced && report.lines == ["Hook.grapnel.dev: left out: 403"])
        #expect(report.settleDenied(now: 20 * second).isEmpty)
        report.note(hooks, .synced)
        #expect(report.isSynced && report.lines.isEmpty)
    }

    @Test("other trouble at the start is waited for, however long")
    func waits() {
        let report = CollectionReport()
        report.begin(hooks, now: 0)
        report.fail(hooks, "500", isForbidden: false, now: second)
        #expect(report.settleDenied(now: 1_000 * second).isEmpty && !report.isSynced)
    }

    @Test("what was listed once stays known, whatever the trouble: it is out of step until it recovers")
    func behind() {
        let report = CollectionReport()
        report.begin(hooks, now: 0)
        report.note(hooks, .synced)
        for reason in ["403 one", "403 two"] {
            report.fail(hooks, reason, isForbidden: true, now: 100 * second)
            #expect(report.settleDenied(now: 1_000 * second).isEmpty)
            #expect(report.isSynced && report.lines == ["Hook.grapnel.dev: out of step: \(reason)"])
        }
        report.recover(hooks)
        #expect(report.lines.isEmpty && report.counts.synced == 1)
    }
}
