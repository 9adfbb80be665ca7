// EventPlace: how far a listener was told, as `id:` of an event and `Last-Event-ID` of a request say it.
//
//   4711      everything through the record 4711
//   4711.3    of the record 4711, which is one of outcomes, the first three
//
// Deliveries and outcomes are records of one sequence, so a place is exact: what follows it is what was not told.
// Source: HTML standard, "Server-sent events".

struct EventPlace: Sendable, Comparable {
    var sequence: UInt64
    /// Outcomes of that record that were told; nil: all.
    var entryCount: Int?

    init(_ sequence: UInt64, entryCount: Int? = nil) {
        self.sequence = sequence
        self.entryCount = entryCount
    }

    private static let bytesMax = 32

    /// nil: nothing that `text` gives.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.bytesMax, (1...2).contains(parts.count), let sequence = UInt64(parts[0]),
            sequence < 1 << 62
        else { return nil }
        self.init(sequence)
        if parts.count > 1 {
            guard let count = Int(parts[1]), (1...65_535).contains(count) else { return nil }
            entryCount = count
        }
        guard self.text == text else { return nil }
    }

    var text: String { entryCount.map { "\(sequence).\($0)" } ?? "\(sequence)" }

    /// The last record that was told whole.
    var wholeThrough: UInt64 { entryCount == nil ? sequence : sequence - min(1, sequence) }

    static func < (a: EventPlace, b: EventPlace) -> Bool {
        (a.sequence, a.entryCount ?? .max) < (b.sequence, b.entryCount ?? .max)
    }
}
