// UnreadablePlace: a part of the log that the disk did not give, so that a reader can go on behind it and come back to it later.

/// What was asked for and could not be read, all of it for one cause. What the log holds besides can be read, as far as that is known.
public struct UnreadablePlace: Error, Sendable, Equatable {
    /// Where the bytes lie.
    public var segment: UInt64
    /// The deliveries that it concerns have sequences from here on ...
    public var from: UInt64
    /// ... through here; not all of these need to be concerned.
    public var through: UInt64
    public var cause: JournalError

    public init(segment: UInt64, from: UInt64, through: UInt64, cause: JournalError) {
        self.segment = segment
        self.from = from
        self.through = max(from, through)
        self.cause = cause
    }

    init(segment: UInt64, from: UInt64, through: UInt64, cause: DiskError) {
        self.init(segment: segment, from: from, through: through, cause: JournalError(cause))
    }
}
