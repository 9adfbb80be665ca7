// LoopSettings: what a loop needs of the server's settings, in the loop's own units.

internal import HTTP

/// Limits and deadlines of a loop. Times in milliseconds.
struct LoopSettings: Sendable {
    var requestLimits = RequestLimits()
    var bodyBytesMax = (25 << 20) + (64 << 10)
    var connectionsMax = 10_000
    var connectionsPerSourceMax = 512
    var idleMilliseconds: UInt64 = 30_000
    /// Instead of `idleMilliseconds` while more than 80 % of the connections are taken.
    var crowdedIdleMilliseconds: UInt64 = 5_000
    var headerMilliseconds: UInt64 = 10_000
    /// Without a byte of the body.
    var bodyQuietMilliseconds: UInt64 = 10_000
    /// Floor after the first quiet time.
    var bodyBytesPerSecondMin: UInt64 = 500
    var bodyTotalMilliseconds: UInt64 = 120_000
    var responseMilliseconds: UInt64 = 10_000
    var lingerMilliseconds: UInt64 = 1_000
    var lingerBytesMax = 256 << 10
    var memoryWaitMilliseconds: UInt64 = 2_000
    var requestsPerConnectionMax: UInt32 = 10_000
    var connectionMillisecondsMax: UInt64 = 3_600_000
    /// A connection that stays quiet this long while the server stops is closed.
    var drainQuietMilliseconds: UInt64 = 250
}
