// RequestBudget: how many requests a second we send to one API server. A token bucket that hands out start times:
// a caller takes a token at once or learns how long it must wait; waiting callers keep their order.

import Synchronization

/// The arithmetic, with the clock passed in.
struct TokenBucket: Sendable {
    private let nanosecondsPerToken: UInt64
    private let burst: UInt64
    /// The moment at which the bucket is full again. Only grows.
    private var fullAt: UInt64 = 0

    /// `perSecond` tokens a second, at most `burst` at once; both at least 1.
    init(perSecond: Double, burst: Int) {
        precondition(perSecond > 0 && burst >= 1, "a request budget needs a positive rate and burst")
        nanosecondsPerToken = max(1, UInt64(1e9 / perSecond))
        self.burst = UInt64(burst)
    }

    /// Takes one token; the caller may go on after the nanoseconds returned.
    mutating func take(at now: UInt64) -> UInt64 {
        let start = max(fullAt, now)
        fullAt = start + nanosecondsPerToken
        let capacity = burst * nanosecondsPerToken
        return fullAt - now <= capacity ? 0 : fullAt - now - capacity
    }
}

/// The bucket behind a lock; the waiting happens outside.
final class RequestBudget: Sendable {
    private let bucket: Mutex<TokenBucket>
    private let start = ContinuousClock.now

    init(perSecond: Double, burst: Int) {
        bucket = Mutex(TokenBucket(perSecond: perSecond, burst: burst))
    }

    /// Returns when a request may be sent; throws when the task is cancelled meanwhile.
    func wait() async throws {
        let elapsed = (ContinuousClock.now - start).components
        let now = UInt64(elapsed.seconds) * 1_000_000_000 + UInt64(elapsed.attoseconds / 1_000_000_000)
        let delay = bucket.withLock { $0.take(at: now) }
        if delay > 0 { try await Task.sleep(for: .nanoseconds(Int64(clamping: delay))) }
    }
}
