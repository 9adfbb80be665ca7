// Whom a merged delivery was left to: the one it was merged into may have been merged further.

internal import CLinuxIO
internal import Journal

extension DeliveryIndex {
    /// Deliveries that are followed; a longer chain ends there.
    private static let mergedMax = 10_000

    /// The last delivery of the chain that `delivery` was merged into, which stands for all of them; nil: it was not merged, or what it was
    /// merged into is gone. Stops at `deadline` with the one that was reached.
    func last(mergedFrom delivery: IndexedDelivery, deadline: UInt64) throws(JournalError) -> IndexedDelivery? {
        var last: IndexedDelivery?
        var next = delivery
        for _ in 0..<Self.mergedMax {
            // Sequences only grow along a chain.
            guard next.state == .merged, next.progress.mergedInto > next.sequence, cl_now_monotonic() < deadline,
                case .found(let found, _) = try find(next.progress.mergedInto, deadline: deadline)
            else { return last }
            last = found
            next = found
        }
        return last
    }
}
