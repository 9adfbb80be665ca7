// OwedState: what the writer knows of one owed delivery, for whoever reads it from the log again.

public struct OwedState: Sendable, Equatable {
    public let location: RecordLocation
    /// Its plan is in the log.
    public let isPlanned: Bool
    // Bit per plan index below 64, as in `OwedTable`.
    private let finals: UInt64

    init(_ entry: OwedTable.Entry) {
        location = entry.location
        isPlanned = entry.planCount != OwedTable.Entry.noPlan
        finals = entry.finals
    }

    /// Whether a final outcome of an entry of the plan counts. One may stand in the log that does not: of a delivery that was merged
    /// into one which is lost.
    public func isFinal(_ planIndex: UInt16) -> Bool { planIndex >= 64 || finals & (1 << UInt64(planIndex)) != 0 }
}
