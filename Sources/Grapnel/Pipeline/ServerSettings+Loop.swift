// What the settings mean for a loop and for the journal.

internal import EventLoop
internal import Journal

extension ServerSettings {
    /// The limits of one of `loopCount` loops. Connections are spread evenly by the kernel, so each loop may have twice its part.
    func loopSettings(loopCount: Int) -> LoopSettings {
        let millisecond: UInt64 = 1_000_000
        var loop = LoopSettings()
        loop.requestLimits = requestLimits
        loop.bodyBytesMax = bodyBytesMax
        loop.connectionsMax = loopCount == 1 ? connectionsMax : min(connectionsMax, 2 * connectionsMax / loopCount)
        loop.connectionsPerSourceMax = connectionsPerSourceMax
        loop.idleMilliseconds = idleTimeoutNanoseconds / millisecond
        loop.crowdedIdleMilliseconds = busyIdleTimeoutNanoseconds / millisecond
        loop.headerMilliseconds = headerTimeoutNanoseconds / millisecond
        loop.bodyQuietMilliseconds = bodyStallTimeoutNanoseconds / millisecond
        loop.bodyBytesPerSecondMin = UInt64(bodyBytesPerSecondMin)
        loop.bodyTotalMilliseconds = bodyTimeoutNanoseconds / millisecond
        loop.responseMilliseconds = responseTimeoutNanoseconds / millisecond
        loop.lingerMilliseconds = lingerTimeoutNanoseconds / millisecond
        loop.lingerBytesMax = lingerBytesMax
        loop.memoryWaitMilliseconds = bodyMemoryWaitNanoseconds / millisecond
        loop.requestsPerConnectionMax = UInt32(requestsPerConnectionMax)
        loop.connectionMillisecondsMax = connectionAgeNanosecondsMax / millisecond
        return loop
    }

    /// The bounds of TLS connections of one loop.
    var tlsLimits: TLSLimits {
        var limits = TLSLimits()
        limits.handshakeMilliseconds = tlsHandshakeTimeoutNanoseconds / 1_000_000
        limits.lingerMilliseconds = lingerTimeoutNanoseconds / 1_000_000
        limits.lingerBytesMax = lingerBytesMax
        return limits
    }
}

extension Journal.Durability {
    init(_ setting: ServerSettings.Durability) {
        switch setting {
        case .sync: self = .sync
        case .async: self = .async
        case .none: self = .none
        }
    }
}
