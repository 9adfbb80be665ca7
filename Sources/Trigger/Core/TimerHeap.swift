// TimerHeap: what to look at when. A binary heap by time; an entry that is no longer true when its time comes is ignored
// by its owner, so nothing is ever removed from the middle.

struct TimerHeap: Sendable {
    enum Subject: Sendable, Equatable {
        case trigger(TriggerID)
        case breaker(index: Int, generation: UInt32)
        case queue(index: Int)
        case delivery(UInt64)
    }

    private var entries: [(at: UInt64, subject: Subject)] = []

    var earliest: UInt64? { entries.first?.at }

    mutating func insert(_ subject: Subject, at time: UInt64) {
        entries.append((time, subject))
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].at < entries[parent].at else { return }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest entry that is due at `now`.
    mutating func popDue(_ now: UInt64) -> Subject? {
        guard let top = entries.first, top.at <= now else { return nil }
        entries.swapAt(0, entries.count - 1)
        entries.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < entries.count && entries[child].at < entries[smallest].at { smallest = child }
            if smallest == parent { break }
            entries.swapAt(parent, smallest)
            parent = smallest
        }
        return top.subject
    }
}
