// RequestLimits: how much of a request is read before it is refused.
//
// Defaults and ceilings are those of large trusted servers; what exceeds them is no webhook sender. Every limit is
// inclusive: exactly the limit passes, one more is refused.

/// Bounds on the head of a request and on the framing of a chunked body.
public struct RequestLimits: Sendable, Equatable {
    /// Bytes of the request line without its CRLF: 414 beyond.
    public var requestLineBytesMax = 8192
    /// All bytes of the head: a skipped leading CRLF, request line, fields and empty line: 431 beyond.
    public var headBytesMax = 32768
    /// Header fields: 431 beyond.
    public var fieldCountMax = 100
    /// Bytes of the trailer field lines with their CRLFs, without the empty line at the end: 431 beyond.
    public var trailerBytesMax = 8192
    /// Trailer fields: 431 beyond.
    public var trailerFieldsMax = 32
    /// Bytes of one chunk line (size and extensions) without its CRLF: 400 beyond.
    public var chunkLineBytesMax = 256
    /// Bytes of all chunk extensions of one request, from each `;` to before the CRLF: 400 beyond.
    public var chunkExtensionBytesMax = 4096
    /// Framing bytes (chunk lines, CRLFs) may be twice the data plus this: 400 beyond.
    public var chunkOverheadBytesMax = 16384

    public init() {}

    /// What no configuration may exceed. The parser never looks further than these, whatever it is given.
    public static let ceiling = {
        var limits = RequestLimits()
        limits.requestLineBytesMax = 65536
        limits.headBytesMax = headBytesCeiling
        limits.fieldCountMax = 1000
        limits.trailerBytesMax = 65536
        limits.trailerFieldsMax = 1000
        limits.chunkLineBytesMax = 4096
        limits.chunkExtensionBytesMax = 65536
        limits.chunkOverheadBytesMax = 262_144
        return limits
    }()

    /// `ceiling.headBytesMax`, for the parser itself.
    static let headBytesCeiling = 262_144

    /// A Content-Length or chunk size above this is refused with 413 whatever the body limit is, so that sums of sizes
    /// cannot overflow.
    public static let bodyBytesCeiling = 1 << 40

    /// Throws when a limit is too small to be of use or above its ceiling, naming the first such limit.
    public func validate() throws(RequestLimitsError) {
        let ceiling = Self.ceiling
        try Self.check("requestLineBytesMax", requestLineBytesMax, 64, ceiling.requestLineBytesMax)
        // A request line of the greatest length and a Host field must fit.
        try Self.check("headBytesMax", headBytesMax, requestLineBytesMax + 256, ceiling.headBytesMax)
        try Self.check("fieldCountMax", fieldCountMax, 1, ceiling.fieldCountMax)
        try Self.check("trailerBytesMax", trailerBytesMax, 0, ceiling.trailerBytesMax)
        try Self.check("trailerFieldsMax", trailerFieldsMax, 0, ceiling.trailerFieldsMax)
        try Self.check("chunkLineBytesMax", chunkLineBytesMax, 16, ceiling.chunkLineBytesMax)
        try Self.check("chunkExtensionBytesMax", chunkExtensionBytesMax, 0, ceiling.chunkExtensionBytesMax)
        try Self.check("chunkOverheadBytesMax", chunkOverheadBytesMax, 256, ceiling.chunkOverheadBytesMax)
    }

    private static func check(
        _ name: String, _ value: Int, _ minimum: Int, _ maximum: Int
    ) throws(RequestLimitsError) {
        guard value >= minimum, value <= maximum else {
            throw RequestLimitsError(limit: name, value: value, minimum: minimum, maximum: maximum)
        }
    }
}

/// A limit out of its range. `limit` is the member's name.
public struct RequestLimitsError: Error, Equatable, Sendable, CustomStringConvertible {
    public var limit: String
    public var value: Int
    public var minimum: Int
    public var maximum: Int

    public var description: String { "\(limit) is \(value), must be from \(minimum) to \(maximum)" }
}
