// FormatVersions: which versions of the format on disk a binary knows, and what it does with a data directory of each.
//
//   reads    version N, the newest, and N−1
//   writes   the version that the data directory is in, until `grapnel journal upgrade` says otherwise; N into a new one
//   refuses  everything else, before a byte is touched: the error names both versions and what to do
//
// So the binary before this one can always take the directory back. The version stands in the identity of each segment, and the
// directory is in the highest that any of its segments has: there is no file of its own to lose. Segments of N−1 and N
// stand side by side after an upgrade, until retention has let the older ones go.
//
// A new flag or type of record needs a new version only if a reader that does not know it would do something wrong. Flags so
// far were made so that such a reader does what is still right (see `RecordFlags`). A type that is not known is a hole to its
// reader, and holes below the durable mark are reported as damage: a new type needs a new version.

/// The versions that a binary reads. `oldest <= newest`.
public struct FormatVersions: Sendable, Equatable {
    public var oldest: UInt32
    public var newest: UInt32

    public init(oldest: UInt32, newest: UInt32) {
        precondition(oldest >= 1 && oldest <= newest)
        self.oldest = oldest
        self.newest = newest
    }

    /// Of this binary. Its format is the first.
    public static let current = FormatVersions(oldest: JournalFormat.version, newest: JournalFormat.version)

    public func contains(_ version: UInt32) -> Bool { version >= oldest && version <= newest }

    /// `1`, or `1 and 2`.
    public var text: String { oldest == newest ? "\(newest)" : "\(oldest) and \(newest)" }
}
