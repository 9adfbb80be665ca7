// Backoff: how long to wait after the n-th failure in a row. Exponential, with full jitter, so that many clients of a server
// that comes back do not come at once.

struct Backoff: Sendable {
    private let first: Duration
    private let max: Duration
    private var ceiling: Duration

    init(first: Duration, max: Duration) {
        self.first = first
        self.max = Swift.max(first, max)
        ceiling = first
    }

    /// True after `reset` and before the next failure.
    var isFresh: Bool { ceiling == first }

    /// The wait now: between nothing and the ceiling, which doubles, but at least `retryAfter`. `random` is in 0..<1.
    mutating func next(
        retryAfterNanoseconds: UInt64? = nil, random: Double = .random(in: 0..<1)
    ) -> Duration {
        let wait = ceiling * random
        ceiling = Swift.min(ceiling * 2, max)
        return Swift.max(wait, retryAfterNanoseconds.map { .nanoseconds(Int64(clamping: $0)) } ?? .zero)
    }

    mutating func reset() { ceiling = first }
}
