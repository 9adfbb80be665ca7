// LoopClock: what loops and the journal's thread take for the time. The system's clocks; a simulation gives its own.

internal import CLinuxIO

/// Two clocks, in nanoseconds. Read from any thread.
struct LoopClock: Sendable {
    /// Never goes back. For deadlines and durations.
    var monotonic: @Sendable () -> UInt64 = { cl_now_monotonic() }
    /// Since 1970. For records.
    var realtime: @Sendable () -> UInt64 = { cl_now_realtime() }
}
