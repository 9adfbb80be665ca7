// JournalInspection: what `grapnel journal inspect` and `verify` say of the journal of a stopped server.
//
// Reads with the code that a start reads with (`LogScanner`, `LogRecovery`), changes nothing, takes no lock, and goes on
// where something is damaged. Says what a record is and whose, never what is in it: no body, no header value, no
// reason text's control characters. What came with a request is printed escaped.

/// Words for the codes that the journal only keeps.
public struct InspectionNames {
    public var receiverKind: (UInt8) -> String
    public var senderType: (UInt8) -> String
    public var ignoredReason: (UInt8) -> String
    public var actionKind: (UInt8) -> String

    public init(
        receiverKind: @escaping (UInt8) -> String = { "kind-\($0)" },
        senderType: @escaping (UInt8) -> String = { "sender-\($0)" },
        ignoredReason: @escaping (UInt8) -> String = { "reason-\($0)" },
        actionKind: @escaping (UInt8) -> String = { "action-\($0)" }
    ) {
        self.receiverKind = receiverKind
        self.senderType = senderType
        self.ignoredReason = ignoredReason
        self.actionKind = actionKind
    }
}

public struct InspectionSummary: Sendable, Equatable {
    public var segments = 0
    public var records = 0
    public var deliveries = 0
    public var owed = 0
    public var damage = 0
    /// Sequences that are gone.
    public var missing: UInt64 = 0
    public var tornBytes = 0
    /// Segments written by a Grapnel that this one does not know; nothing of them was read.
    public var unknownVersions = 0

    public var isSound: Bool { damage == 0 && unknownVersions == 0 }
}

public enum JournalInspection {
    /// Every segment and every record, one line each, then damage and totals.
    public static func inspect(
        disk: any Disk, checksum: Checksum, names: InspectionNames = InspectionNames(), emit: (String) -> Void
    ) throws(JournalError) -> InspectionSummary {
        try run(disk, unsafe Checksummer(checksum), names, showsRecords: true, emit)
    }

    /// Reads everything and says only what is wrong, then totals.
    public static func verify(
        disk: any Disk, checksum: Checksum, emit: (String) -> Void
    ) throws(JournalError) -> InspectionSummary {
        try run(disk, unsafe Checksummer(checksum), InspectionNames(), showsRecords: false, emit)
    }

    private static func run(
        _ disk: any Disk, _ checksum: Checksummer, _ names: InspectionNames, showsRecords: Bool,
        _ emit: (String) -> Void
    ) throws(JournalError) -> InspectionSummary {
        do throws(DiskError) {
            try disk.open(.readOnly)
        } catch {
            throw JournalError(error)
        }
        defer { disk.close() }
        let scanner = try LogScanner(disk: disk, checksum: checksum)
        var recovery = LogRecovery(checksum: checksum, dedupeEntriesMax: 1)
        var summary = InspectionSummary()
        for index in scanner.files.indices {
            scanner.judge(index) { verdict, reader in
                let lines = RecordLines(names: names, reader: reader, segment: verdict.number)
                if showsRecords {
                    emit(lines.segment(verdict))
                    for record in verdict.records { emit(lines.record(record)) }
                    for record in verdict.voidRecords { emit(lines.voidRecord(record)) }
                    if verdict.tornBytes > 0 {
                        emit("  torn tail of \(verdict.tornBytes) bytes at \(verdict.validLength): not acknowledged")
                    }
                }
                if case .unknownVersion(let version) = verdict.headerState {
                    emit(
                        JournalError.unknownVersion(segment: verdict.number, version: version, known: .current).message)
                    summary.unknownVersions += 1
                } else {
                    for damage in verdict.damage { emit(lines.damage(damage)) }
                    summary.damage += verdict.damage.count
                }
                summary.missing += verdict.damage.reduce(0) { $0 + UInt64($1.missing?.count ?? 0) }
                summary.deliveries += verdict.records.count { $0.header.type == .delivery && !$0.header.isCopied }
                recovery.take(verdict, reader)
            }
        }
        for file in scanner.kept {
            let damageBefore = recovery.report.damage.count
            scanner.scan(file) { scan, reader in
                let lines = RecordLines(names: names, reader: reader, segment: file.number)
                if showsRecords {
                    emit("\(file.name) \(file.byteCount) bytes, kept for what is owed in it")
                    for record in scan.records where record.header.type == .delivery { emit(lines.record(record)) }
                }
                recovery.takeKept(file, scan, reader)
                for damage in recovery.report.damage[damageBefore...] { emit(lines.damage(damage)) }
            }
            let damage = recovery.report.damage[damageBefore...]
            summary.damage += damage.count
            summary.missing += damage.reduce(0) { $0 + UInt64($1.missing?.count ?? 0) }
        }
        var owed = OwedTable()
        var namespaces = NamespaceTable()
        recovery.finish(owed: &owed, namespaces: &namespaces)
        summary.segments = recovery.report.segmentCount
        summary.records = recovery.report.recordCount
        summary.tornBytes = recovery.report.tornBytes
        summary.owed = owed.count
        emit(total(summary))
        return summary
    }

    private static func total(_ summary: InspectionSummary) -> String {
        var line =
            "\(summary.segments) segments, \(summary.records) records, \(summary.deliveries) deliveries, "
            + "\(summary.owed) owed, \(summary.damage) damaged"
        if summary.missing > 0 { line += ", \(summary.missing) records lost" }
        if summary.tornBytes > 0 { line += ", \(summary.tornBytes) bytes torn" }
        return line
    }
}
