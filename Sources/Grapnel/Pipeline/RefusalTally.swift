// RefusalTally: what one loop refused since somebody asked. Fixed size, so that a flood costs the loop neither memory nor a wait.

internal import Delivery
internal import Synchronization

/// Refused deliveries of one loop. Noted on its thread, taken by RefusalReporter.
final class RefusalTally: Sendable {
    /// A route's refusals for one cause.
    struct Entry {
        /// Kept as they are in the loop: names are looked up by whoever takes them.
        let table: RouteTable
        let route: Int
        let cause: VerifyCause
        var count: UInt64
    }

    /// Pairs of route and cause that are told apart between two takes; further ones are in the metrics alone.
    static let capacity = 64

    private let entries: Mutex<[Entry]>

    init() {
        var room: [Entry] = []
        room.reserveCapacity(Self.capacity)
        entries = Mutex(room)
    }

    /// The loop. Never waits: while the entries are being taken a refusal goes unnoted.
    func note(_ table: RouteTable, _ route: Int, _ cause: VerifyCause) {
        _ = entries.withLockIfAvailable { entries in
            for index in entries.indices
            where entries[index].route == route && entries[index].cause == cause && entries[index].table === table {
                entries[index].count += 1
                return
            }
            if entries.count < Self.capacity {
                entries.append(Entry(table: table, route: route, cause: cause, count: 1))
            }
        }
    }

    /// Everything noted since the last call. Any thread.
    func take() -> [Entry] {
        var room: [Entry] = []
        room.reserveCapacity(Self.capacity)
        return entries.withLock { entries in
            swap(&entries, &room)
            return room
        }
    }
}
