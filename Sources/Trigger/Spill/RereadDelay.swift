// RereadDelay: when to look again at what the disk did not give.

/// Longer after each failure: a process that is out of descriptors, or a disk that stumbles, recovers soon; a sector that is bad for good
/// costs one look a minute.
public enum RereadDelay {
    private static let first: UInt64 = 1_000_000_000
    private static let longest: UInt64 = 60_000_000_000

    /// How long to wait after so many failures before the last one, in nanoseconds: a second at first, a minute at most.
    public static func nanoseconds(_ failures: Int) -> UInt64 {
        min(first << UInt64(min(max(failures, 0), 6)), longest)
    }
}
