import Testing

@testable import Cluster

@Suite("Watched kinds")
struct WatchedKindTests {
    @Test("each kind of a group is listed once, and each says what it understands")
    func unique() {
        let names = WatchedKind.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(WatchedKind.all.allSatisfy { !$0.versions.isEmpty })
        #expect(!WatchedKind.all.contains(.secret), "Secrets are watched one by one")
    }
}
