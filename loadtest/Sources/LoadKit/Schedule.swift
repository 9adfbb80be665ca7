// Schedule: when deliveries arrive in an open loop.
//
// Times are fixed before anything is sent and do not depend on how fast the server answers: a server that stalls is
// charged with the wait of all that arrived meanwhile ("coordinated omission" otherwise).

/// How deliveries follow each other.
public enum Arrivals: String, Sendable, CaseIterable {
    /// One every 1/rate seconds.
    case fixed
    /// Independent of each other, 1/rate seconds apart on average (a Poisson process).
    case poisson
}

/// The times of arrival, one after the other.
public struct Schedule: Sendable {
    private let gap: Double
    private let arrivals: Arrivals
    private var generator: SplitMix64
    private let start: UInt64
    private var index: UInt64 = 0
    private var elapsed: Double = 0

    /// - Parameter rate: deliveries per second, above 0.
    public init(rate: Double, arrivals: Arrivals, start: UInt64, seed: UInt64) {
        precondition(rate > 0, "an open loop needs a rate")
        gap = 1e9 / rate
        self.arrivals = arrivals
        self.start = start
        generator = SplitMix64(seed)
    }

    /// The time of the next arrival, in nanoseconds of the clock that `start` is of.
    public mutating func next() -> UInt64 {
        switch arrivals {
        case .fixed:
            // From the index, so that rounding does not add up.
            defer { index += 1 }
            return start + UInt64(Double(index) * gap)
        case .poisson:
            elapsed += -logarithm(1 - generator.unit()) * gap
            return start + UInt64(elapsed)
        }
    }
}

/// A small generator of random numbers with a seed (Steele, Lea, Flood: SplitMix64).
public struct SplitMix64: Sendable {
    private var state: UInt64
    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// A number in 0 ..< 1.
    public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
