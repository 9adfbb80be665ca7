// SimulatedTime: the one clock of a simulated pipeline. It moves only when the simulation says so.

@testable import Grapnel

final class SimulatedTime: Sendable {
    /// 2026-01-01, in nanoseconds since 1970.
    private static let start: UInt64 = 1_767_225_600_000_000_000
    private let value = Locked(start)

    /// Nanoseconds since 1970.
    var now: UInt64 { value.withLock { $0 } }
    /// Nanoseconds of a clock that began a minute before the simulation.
    var monotonic: UInt64 { now - Self.start + 60_000_000_000 }

    func advance(_ nanoseconds: UInt64) { value.withLock { $0 += nanoseconds } }
    func advance(milliseconds: Int) { advance(UInt64(milliseconds) * 1_000_000) }

    var clock: LoopClock { LoopClock(monotonic: { self.monotonic }, realtime: { self.now }) }
}
