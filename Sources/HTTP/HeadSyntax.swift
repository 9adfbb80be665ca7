// HeadSyntax: the grammar of a head, byte by byte, resumable after any byte (RFC 9112 sections 2.2, 3, 5).
//
// This is the parser's judge: every syntax error and every limit is found here and only here, at the first byte that
// shows it. `HeadReader` is the fast way through a complete and valid head; as soon as anything is odd or missing it
// hands over to this machine at the start of the line. So the answer cannot depend on how the bytes were cut.
//
//   start -> [leadingLineFeed] -> method -> target -> version -> versionEnd -> requestLineFeed -> fields -> done

struct HeadSyntax {
    enum Phase: UInt8 {
        case start, leadingLineFeed, methodStart, method, targetStart, target, version, versionEnd, requestLineFeed
        case fields
    }

    /// Bytes judged so far: the next one to look at.
    private(set) var offset: UInt32 = 0
    private var fields = FieldSyntax()
    private var phase = Phase.start
    /// Bytes of a skipped leading CRLF: 0 or 2.
    private var startOffset: UInt8 = 0
    /// Bytes of `HTTP/1.1` seen.
    private var versionBytes: UInt8 = 0

    init() {}

    /// At the start of field line `fieldCount` (or of the empty line), all before `offset` being judged already.
    init(atFieldLine offset: Int, fieldCount: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        fields.count = UInt16(truncatingIfNeeded: fieldCount)
        phase = .fields
    }

    /// Judges the bytes up to `end`. Returns whether the head is complete.
    mutating func advance(
        _ bytes: HeadBytes, to end: Int, requestLineBytesMax: Int, fieldCountMax: Int
    ) throws(HTTPParseError) -> Bool {
        var index = Int(offset)
        while index < end {
            let byte = bytes[index]
            if phase == .fields {
                try fields.step(byte, countMax: fieldCountMax, tooMany: .tooManyFields)
                index &+= 1
                if fields.phase == .done {
                    offset = UInt32(truncatingIfNeeded: index)
                    return true
                }
                continue
            }
            let isTooLong = index &- Int(startOffset) >= requestLineBytesMax
            try stepRequestLine(byte, at: index, isTooLong: isTooLong, bytes)
            index &+= 1
        }
        offset = UInt32(truncatingIfNeeded: index)
        return false
    }

    /// Takes one byte of the request line. `isTooLong`: the line already has as many bytes as it may have.
    private mutating func stepRequestLine(
        _ byte: UInt8, at index: Int, isTooLong: Bool, _ bytes: HeadBytes
    ) throws(HTTPParseError) {
        if isTooLong, phase != .requestLineFeed, phase != .versionEnd || byte != ASCII.carriageReturn {
            throw .requestLineTooLong
        }
        switch phase {
        case .start:
            if byte == ASCII.carriageReturn { phase = .leadingLineFeed } else { try beginMethod(byte) }
        case .leadingLineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            startOffset = 2
            phase = .methodStart
        case .methodStart:
            if byte == ASCII.carriageReturn { throw .repeatedEmptyLine }
            try beginMethod(byte)
        case .method:
            if isTokenCharacter(byte) { return }
            switch byte {
            case ASCII.space: phase = .targetStart
            case ASCII.lineFeed: throw .bareLineFeed
            case ASCII.carriageReturn: throw .malformedRequestLine
            default: throw .invalidMethod
            }
        case .targetStart, .target:
            if isTargetCharacter(byte) {
                phase = .target
                return
            }
            switch byte {
            case ASCII.space:
                if phase == .targetStart { throw .malformedRequestLine }
                phase = .version
            case ASCII.lineFeed: throw .bareLineFeed
            case ASCII.carriageReturn: throw .malformedRequestLine
            default: throw .invalidTarget
            }
        case .version:
            try stepVersion(byte)
        case .versionEnd:
            if byte == ASCII.lineFeed { throw .bareLineFeed }
            if byte != ASCII.carriageReturn { throw .invalidVersion }
            // `HTTP/` DIGIT `.` DIGIT stands before this byte.
            if bytes[index &- 3] != 0x31 || bytes[index &- 1] > 0x31 { throw .unsupportedVersion }
            phase = .requestLineFeed
        case .requestLineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            phase = .fields
        case .fields:
            preconditionFailure("the request line has ended")
        }
    }

    private mutating func beginMethod(_ byte: UInt8) throws(HTTPParseError) {
        if isTokenCharacter(byte) {
            phase = .method
            return
        }
        switch byte {
        case ASCII.lineFeed: throw .bareLineFeed
        case ASCII.space: throw .malformedRequestLine
        default: throw .invalidMethod
        }
    }

    private mutating func stepVersion(_ byte: UInt8) throws(HTTPParseError) {
        let fits =
            switch versionBytes {
            case 0: byte == 0x48  // H
            case 1, 2: byte == 0x54  // T
            case 3: byte == 0x50  // P
            case 4: byte == ASCII.slash
            case 6: byte == ASCII.dot
            default: isDigit(byte)
            }
        if !fits { throw byte == ASCII.lineFeed ? .bareLineFeed : .invalidVersion }
        versionBytes &+= 1
        if versionBytes == 8 { phase = .versionEnd }
    }
}
