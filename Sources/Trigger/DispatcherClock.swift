// DispatcherClock: nanoseconds since 1970 that never go back. The wall clock is read once; from then on the time of the
// boot clock is added, which goes on while the machine sleeps and does not follow when somebody sets the clock.

import Glibc

struct DispatcherClock: Sendable {
    private let offset: UInt64
    private let simulated: (@Sendable () -> UInt64)?

    /// `simulated`: stands for the system's clocks.
    init(simulated: (@Sendable () -> UInt64)? = nil) {
        offset = Self.read(CLOCK_REALTIME) &- Self.read(CLOCK_BOOTTIME)
        self.simulated = simulated
    }

    /// For the core: ages, backoff.
    var now: UInt64 { simulated?() ?? Self.read(CLOCK_BOOTTIME) &+ offset }

    /// The wall clock now, for what is written down.
    var wall: UInt64 { simulated?() ?? Self.wall }

    /// The moment on the monotonic clock that is `time` on this one; a past time is now.
    func monotonic(for time: UInt64) -> UInt64 {
        let now = now
        return Self.read(CLOCK_MONOTONIC) &+ (time > now ? time - now : 0)
    }

    /// The wall clock now, for differences to times of receipt.
    static var wall: UInt64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        let result = unsafe clock_gettime(clock, &time)
        precondition(result == 0, "the clocks of Linux can be read")
        return UInt64(max(0, time.tv_sec)) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
