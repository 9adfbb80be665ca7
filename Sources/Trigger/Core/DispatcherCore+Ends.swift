// What ends while the journal is read: who read there that a delivery is owed knows by this that it is not any more.

extension DispatcherCore {
    /// From now on keeps which deliveries have an entry that becomes final. Those above `through` are of no interest: what comes while the
    /// journal is read lies there, so that this is no more than was held before, and what comes late.
    package mutating func watchEnds(through: UInt64) {
        ends = []
        endsWatchedThrough = through
    }

    /// Those that were kept; nothing is from now on.
    package mutating func takeEnds() -> Set<UInt64> {
        defer {
            ends = []
            endsWatchedThrough = 0
        }
        return ends
    }
}
