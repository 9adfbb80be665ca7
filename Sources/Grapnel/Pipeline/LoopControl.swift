// LoopControl: how the rest of the server speaks to one loop. The loop looks at it at the start of a turn.

internal import CLinuxIO
internal import Delivery
internal import Synchronization

/// Shared between one loop and those who steer it.
final class LoopControl: Sendable {
    enum State: UInt8 {
        case running
        /// Still accepting, but every answer is the last of its connection: load balancers are finding out.
        case leaving
        /// The accept queue is taken, the listener closed, what has begun is finished.
        case draining
        case stopped
    }

    let index: Int
    let counters = LoopCounters()
    let refusals = RefusalTally()
    let routeTally = RouteTally()
    let wakeup: Int32
    private let state = Atomic<UInt8>(State.running.rawValue)
    private let tableGeneration = Atomic<UInt64>(0)
    private let nextTable: Mutex<RouteTable>
    private let helped = Mutex<[HelperResult]>([])
    /// True once the loop has ended.
    let hasEnded = Atomic<Bool>(false)

    init?(index: Int, table: RouteTable) {
        let descriptor = cl_eventfd()
        guard descriptor >= 0 else { return nil }
        wakeup = descriptor
        self.index = index
        nextTable = Mutex(table)
    }

    deinit { _ = cl_close(wakeup) }

    /// From any thread.
    func wake() { _ = cl_eventfd_signal(wakeup) }

    /// From any thread: effective at the loop's next turn, which it starts at once.
    func swap(_ table: RouteTable) {
        nextTable.withLock { $0 = table }
        tableGeneration.add(1, ordering: .releasing)
        wake()
    }

    /// From any thread.
    func enter(_ newState: State) {
        state.store(newState.rawValue, ordering: .releasing)
        wake()
    }

    var currentState: State { State(rawValue: state.load(ordering: .acquiring)) ?? .stopped }

    /// From any thread: what a helper found out.
    func post(_ result: HelperResult) {
        helped.withLock { $0.append(result) }
        wake()
    }

    /// The loop: everything posted since.
    func takeHelped() -> [HelperResult] {
        helped.withLock { results in
            defer { results = [] }
            return results
        }
    }

    var hasHelped: Bool { helped.withLock { !$0.isEmpty } }

    /// The loop: the newest table, if it is newer than `seen`.
    func newerTable(than seen: inout UInt64) -> RouteTable? {
        let now = tableGeneration.load(ordering: .acquiring)
        guard now != seen else { return nil }
        seen = now
        return nextTable.withLock { $0 }
    }

    var table: RouteTable { nextTable.withLock { $0 } }
}
