// MemoryBudget: how many bytes of bodies all loops together may hold. Reserved before a body is read.

internal import Synchronization

/// A shared count of bytes. Safe from any thread.
final class MemoryBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// False when the bytes are not to be had now. A body larger than the whole budget is taken when nothing else is held, so
    /// that it can be served at all.
    func reserve(_ count: Int) -> Bool {
        var now = used.load(ordering: .relaxed)
        while now == 0 || now + count <= limit {
            let (exchanged, original) = used.weakCompareExchange(
                expected: now, desired: now + count, ordering: .relaxed)
            if exchanged { return true }
            now = original
        }
        return false
    }

    func giveBack(_ count: Int) {
        guard count > 0 else { return }
        used.wrappingSubtract(count, ordering: .relaxed)
    }

    var usedBytes: Int { used.load(ordering: .relaxed) }
}
