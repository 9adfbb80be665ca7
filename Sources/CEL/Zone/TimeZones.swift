// TimeZones: from a zone's name to its offset at an instant. The zone database is the system's; where there is none, or no such
// zone in it, an evaluation that asks for one fails. Files are read once and kept, behind a lock.

import Glibc
import Synchronization

enum TimeZones {
    private static let directory = "/usr/share/zoneinfo/"
    /// The largest zone of the database has about 3.6 KB.
    private static let fileBytesMax = 64 << 10
    /// There are some 600 names; filters of one server use a few.
    private static let keptMax = 64
    /// What reading a file weighs against a step of the evaluator.
    private static let loadCost = 1_000

    private static let kept = Mutex<[String: ZoneFile]>([:])

    /// Seconds east of UTC.
    static func offsetSeconds(
        of zone: String, at seconds: Int64, meter: inout CostMeter
    ) throws(CELEvaluationError) -> Int {
        if zone == "UTC" || zone == "" { return 0 }
        if zone.utf8.contains(UInt8(ascii: ":")) {
            var cursor = TimeCursor(zone)
            guard let offset = cursor.numericOffset(signIsOptional: true), cursor.isAtEnd else { throw unknown(zone) }
            return offset
        }
        if let file = kept.withLock({ $0[zone] }) { return file.offsetSeconds(at: seconds) }
        try meter.charge(loadCost)
        guard isName(zone), let bytes = read(directory + zone), let file = ZoneFile(bytes) else { throw unknown(zone) }
        kept.withLock { kept in
            if kept.count == keptMax { kept.removeAll() }
            kept[zone] = file
        }
        return file.offsetSeconds(at: seconds)
    }

    private static func unknown(_ zone: String) -> CELEvaluationError {
        CELEvaluationError("unknown time zone \(String(zone.prefix(64)))")
    }

    /// Whether a name stays within the database: letters, digits and `_+-/`, no empty part.
    private static func isName(_ zone: String) -> Bool {
        zone.utf8.count <= 64 && !zone.hasPrefix("/") && !zone.hasSuffix("/") && !zone.contains("//")
            && zone.unicodeScalars.allSatisfy { $0.isWordCharacter || $0 == "+" || $0 == "-" || $0 == "/" }
    }

    /// Nil when there is no such file, or it is none.
    private static func read(_ path: String) -> [UInt8]? {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        var bytes = Array(repeating: 0 as UInt8, count: fileBytesMax)
        // A zone fits into one read; what is longer is no zone. The buffer is the array's own, of its own length.
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress, $0.count) }
        guard count > 0, count < fileBytesMax else { return nil }
        bytes.removeLast(fileBytesMax - count)
        return bytes
    }
}
