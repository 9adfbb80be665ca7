// RouteTally: how many deliveries of each route one loop took, in cells made with the route table: counting allocates nothing and waits
// for nobody.
//
// The loop alone adds; whoever looks takes what was added since the last look. With a new table come new cells; the old ones are taken
// once more and let go, and their table with them: the rebuilder looks with each new table, so that they do not gather.

internal import Delivery
internal import Synchronization

final class RouteTally: Sendable {
    struct Counted: Sendable, Equatable {
        var accepted: UInt64 = 0
        var ignored: UInt64 = 0
        /// Of both: answered 503, because the journal did not take them.
        var unavailable: UInt64 = 0
        var lastReceived: UInt64 = 0
    }

    /// The cells of one table.
    @safe
    final class Cells: @unchecked Sendable {
        // Protocol behind @unchecked Sendable: the cells are atomics, made in init and given back in deinit; the rest never changes.
        let table: RouteTable
        private let count: Int
        private let cells: UnsafeMutablePointer<Atomic<UInt64>>
        private static let width = 4

        init(_ table: RouteTable) {
            self.table = table
            count = table.definitions.count
            unsafe cells = .allocate(capacity: max(1, count * Self.width))
            for index in 0..<count * Self.width { unsafe (cells + index).initialize(to: Atomic(0)) }
        }

        deinit {
            unsafe cells.deinitialize(count: count * Self.width)
            unsafe cells.deallocate()
        }

        /// The loop.
        func note(_ route: Int, isIgnored: Bool, at nanoseconds: UInt64) {
            guard route >= 0, route < count else { return }
            let first = route * Self.width
            unsafe cells[first + (isIgnored ? 1 : 0)].add(1, ordering: .relaxed)
            unsafe cells[first + 2].store(nanoseconds, ordering: .relaxed)
        }

        /// The loop, for one that was noted.
        func noteUnavailable(_ route: Int) {
            guard route >= 0, route < count else { return }
            unsafe cells[route * Self.width + 3].add(1, ordering: .relaxed)
        }

        /// What was added since the last call, and by which routes.
        func take() -> [(RouteIdentity, Counted)] {
            var taken: [(RouteIdentity, Counted)] = []
            for route in 0..<count {
                let first = route * Self.width
                let last = unsafe cells[first + 2].load(ordering: .relaxed)
                guard last != 0 else { continue }
                let counted = Counted(
                    accepted: unsafe cells[first].exchange(0, ordering: .relaxed),
                    ignored: unsafe cells[first + 1].exchange(0, ordering: .relaxed),
                    unavailable: unsafe cells[first + 3].exchange(0, ordering: .relaxed), lastReceived: last)
                taken.append((table.definitions[route].identity, counted))
            }
            return taken
        }
    }

    private let sets = Mutex<[Cells]>([])

    /// The loop, with a new table.
    func begin(_ table: RouteTable) -> Cells {
        let cells = Cells(table)
        sets.withLock { $0.append(cells) }
        return cells
    }

    /// Any thread.
    func take() -> [(RouteIdentity, Counted)] {
        sets.withLock { sets in
            let taken = sets.flatMap { $0.take() }
            // The last is in use; nothing is added to the others any more.
            if sets.count > 1 { sets.removeFirst(sets.count - 1) }
            return taken
        }
    }
}
