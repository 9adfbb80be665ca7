// TableKeeperTests: route tables do not gather, whoever else looks or does not.

import Delivery
import Testing

@testable import Grapnel

@Suite("Route tables that were replaced")
struct TableKeeperTests {
    private static func table(_ generation: UInt64) -> RouteTable {
        let identity = RouteIdentity(cluster: "local", kind: .hook, namespace: "team-a", name: "push")
        return RouteTable(
            [RouteDefinition(identity: identity, path: "/push", sender: .github, secrets: [])], bodyBytesMax: 1_000,
            generation: generation)
    }

    @Test("are let go once no loop uses them, though nobody asks for the counts")
    func letGo() {
        let tally = RouteTally()
        let counts = RouteCounts()
        counts.gather { tally.take() }
        var keeper = TableKeeper()
        for generation in 0..<100 {
            let table = Self.table(UInt64(generation))
            keeper.keep(table)
            let cells = tally.begin(table)
            cells.note(0, isIgnored: false, at: 5)
            counts.takeIn()
            _ = keeper.letGo()
            // The one in use, and the one of before where the test's own variable still names it.
            #expect(keeper.count <= 2)
        }
        #expect(counts.all().values.map(\.accepted) == [100], "no count goes with its table")
    }

    @Test("stay as long as somebody uses one")
    func inUse() {
        var keeper = TableKeeper()
        let used = Self.table(1)
        keeper.keep(used)
        keeper.keep(Self.table(2))
        let first = keeper.letGo()
        #expect(first)
        #expect(keeper.count == 1)
        let second = keeper.letGo()
        #expect(!second)
        #expect(keeper.count == 1)
        #expect(used.generation == 1)
    }
}
