// ZoneFile: one zone of the database, in the TZif format (RFC 9636).
//
//   header   "TZif", version, 15 bytes, six counts of 4 bytes: UT flags, standard flags, leap seconds, transitions, types,
//            characters
//   block    transition times (4 bytes in version 1, else 8), type of each, types (offset 4, isDST 1, name 1), characters,
//            leap seconds, flags
//   From version 2 on the block comes twice, the second time with a header of its own and long times, and behind it stands a rule
//   for the time after the last transition, between newlines.

struct ZoneFile: Sendable {
    // As many times as offsets; times ascend.
    private var times: [Int64] = []
    private var offsets: [Int] = []
    /// Before the first transition.
    private var firstOffset = 0
    /// Behind the last transition.
    private var rule: ZoneRule?

    /// Nil when the bytes are no zone.
    init?(_ bytes: [UInt8]) {
        guard let first = Header(bytes, at: 0) else { return nil }
        if first.version == 0 {
            guard readBlock(bytes, first, timeBytes: 4) != nil else { return nil }
            return
        }
        guard let second = Header(bytes, at: first.end(timeBytes: 4)), let end = readBlock(bytes, second, timeBytes: 8)
        else { return nil }
        let footer = bytes[end...].dropFirst().prefix { $0 != 0x0a }
        rule = ZoneRule(String(decoding: footer, as: UTF8.self))
    }

    /// Seconds east of UTC.
    func offsetSeconds(at seconds: Int64) -> Int {
        guard let last = times.last else { return rule?.offsetSeconds(at: seconds) ?? firstOffset }
        if seconds >= last, let rule { return rule.offsetSeconds(at: seconds) }
        // The last transition at or before the instant.
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? firstOffset : offsets[low - 1]
    }

    private struct Header {
        let version: UInt8
        let start: Int
        let counts: [Int]

        init?(_ bytes: [UInt8], at start: Int) {
            guard start >= 0, start + 44 <= bytes.count, bytes[start..<start + 4].elementsEqual("TZif".utf8) else {
                return nil
            }
            version = bytes[start + 4]
            self.start = start
            let counts = (0..<6).map { ZoneFile.number(bytes, at: start + 20 + $0 * 4, byteCount: 4) }
            // No count is larger than the file, so that nothing below overflows.
            guard counts.allSatisfy({ (0...Int64(bytes.count)).contains($0) }) else { return nil }
            self.counts = counts.map { Int($0) }
        }

        var transitionCount: Int { counts[3] }
        var typeCount: Int { counts[4] }

        func end(timeBytes: Int) -> Int {
            let transitions = transitionCount * (timeBytes + 1)
            return start + 44 + transitions + typeCount * 6 + counts[5] + counts[2] * (timeBytes + 4) + counts[1]
                + counts[0]
        }
    }

    /// Where the block ends, or nil when it is not one.
    private mutating func readBlock(_ bytes: [UInt8], _ header: Header, timeBytes: Int) -> Int? {
        let end = header.end(timeBytes: timeBytes)
        guard end <= bytes.count, header.typeCount > 0 else { return nil }
        let start = header.start + 44
        let indexes = start + header.transitionCount * timeBytes
        let types = indexes + header.transitionCount
        func offset(ofType type: Int) -> Int { Int(Self.number(bytes, at: types + type * 6, byteCount: 4)) }
        for transition in 0..<header.transitionCount {
            let type = Int(bytes[indexes + transition])
            guard type < header.typeCount else { return nil }
            times.append(Self.number(bytes, at: start + transition * timeBytes, byteCount: timeBytes))
            offsets.append(offset(ofType: type))
        }
        firstOffset = offset(ofType: 0)
        return end
    }

    /// Big-endian, in two's complement.
    private static func number(_ bytes: [UInt8], at offset: Int, byteCount: Int) -> Int64 {
        var number: Int64 = bytes[offset] >= 0x80 ? -1 : 0
        for byte in bytes[offset..<offset + byteCount] { number = number << 8 | Int64(byte) }
        return number
    }
}
