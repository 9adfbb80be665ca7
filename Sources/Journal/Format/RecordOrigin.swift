// RecordOrigin: where a delivery was received, when another journal has taken it over.
//
// A server that adopts what another owed records each delivery under a sequence of its own. The record says, by the flag
// `adopted`, which journal received it and under which sequence, so that adopting the same journal again adds nothing. The
// name of a journal is a hash under its dedupe key: it lives as long as the data directory, whatever becomes of its
// segments, and says nothing of the key. An adopted delivery that is adopted again keeps its first origin.
//
// The delivery id of an adopted record is not deduplicated: its window is 0, and the place of the hash holds the journal, and the
// reference that the record had there (a duplicate's, a redelivery's).
// A reader that does not know the flag reads a delivery without deduplication.

/// A journal and a sequence in it.
public struct RecordOrigin: Hashable, Sendable, CustomStringConvertible {
    /// Never 0.
    public var journal: UInt64
    public var sequence: UInt64

    public init(journal: UInt64, sequence: UInt64) {
        self.journal = journal
        self.sequence = sequence
    }

    /// Of an adopted delivery; nil for every other record.
    public init?(_ header: RecordHeader) {
        guard header.type == .delivery, header.flags.contains(.adopted), header.dedupeHash.low != 0 else { return nil }
        self.init(journal: header.dedupeHash.low, sequence: header.reference)
    }

    /// Of an adopted delivery; nil for every other record.
    public init?(of record: StoredRecord) { self.init(record.header) }

    /// `00c0ffee00c0ffee#17`.
    public var description: String {
        let digits = String(journal, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits + "#\(sequence)"
    }
}

extension DedupeKey {
    /// The name of the journal whose key this is. Never 0.
    public var journalName: UInt64 {
        let hash = unsafe Array("the journal of this key".utf8).withUnsafeBytes { bytes in unsafe self.hash(bytes) }
        return hash.low == 0 ? 1 : hash.low
    }
}
