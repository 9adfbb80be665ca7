// HeadReader: one pass through a complete head that fills the field table. Finds no errors of syntax itself: what it
// does not recognise as plain and complete it leaves to `HeadSyntax`.

/// What one pass came to.
enum HeadReading {
    case complete(RequestHead)
    /// Something is odd or missing in the line that begins at `lineStart`; all lines before it are valid. `lineStart` is 0
    /// for the request line, else the start of field line `fieldCount`.
    case stopped(lineStart: Int, fieldCount: Int)
}

enum HeadReader<Scan: ByteScan> {
    /// Reads the head in `bytes[0 ..< end]`. Throws only what can be said of a complete head: a wrong Host, a wrong
    /// length, a method or target that this server does not take.
    @inline(__always)
    static func read(
        _ bytes: HeadBytes, to end: Int, into fields: UnsafeMutableBufferPointer<HeaderField>,
        requestLineBytesMax: Int, fieldCountMax: Int
    ) throws(HTTPParseError) -> HeadReading {
        var start = 0
        if bytes[0] == ASCII.carriageReturn {
            guard end >= 2, bytes[1] == ASCII.lineFeed else { return .stopped(lineStart: 0, fieldCount: 0) }
            start = 2
        }
        // The request line may end here or before.
        let lineEnd = min(end, start &+ requestLineBytesMax)
        var methodEnd = start
        while methodEnd < lineEnd, isTokenCharacter(bytes[methodEnd]) { methodEnd &+= 1 }
        guard methodEnd > start, methodEnd < lineEnd, bytes[methodEnd] == ASCII.space else {
            return .stopped(lineStart: 0, fieldCount: 0)
        }
        let targetStart = methodEnd &+ 1
        let targetEnd = Scan.skipTarget(bytes, from: targetStart, to: lineEnd)
        let versionEnd = targetEnd &+ 9
        guard targetEnd > targetStart, versionEnd <= start &+ requestLineBytesMax, versionEnd &+ 2 <= end,
            bytes[targetEnd] == ASCII.space, bytes[versionEnd] == ASCII.carriageReturn,
            bytes[versionEnd &+ 1] == ASCII.lineFeed
        else { return .stopped(lineStart: 0, fieldCount: 0) }
        let minorVersion: UInt8
        if bytes.equal(at: targetEnd &+ 1, "HTTP/1.1") {
            minorVersion = 1
        } else if bytes.equal(at: targetEnd &+ 1, "HTTP/1.0") {
            minorVersion = 0
        } else {
            return .stopped(lineStart: 0, fieldCount: 0)
        }

        var judge = HeadJudge()
        var index = versionEnd &+ 2
        var fieldCount = 0
        while true {
            let lineStart = index
            guard lineStart &+ 1 < end else { return .stopped(lineStart: lineStart, fieldCount: fieldCount) }
            if bytes[lineStart] == ASCII.carriageReturn {
                guard bytes[lineStart &+ 1] == ASCII.lineFeed else {
                    return .stopped(lineStart: lineStart, fieldCount: fieldCount)
                }
                break
            }
            var nameEnd = Scan.skipPlain(bytes, from: lineStart, to: end)
            // The other token characters, which are rare.
            while nameEnd < end, bytes[nameEnd] != ASCII.colon, isTokenCharacter(bytes[nameEnd]) { nameEnd &+= 1 }
            guard fieldCount < fieldCountMax, nameEnd > lineStart, nameEnd < end, bytes[nameEnd] == ASCII.colon else {
                return .stopped(lineStart: lineStart, fieldCount: fieldCount)
            }
            var valueStart = nameEnd &+ 1
            while valueStart < end, isBlank(bytes[valueStart]) { valueStart &+= 1 }
            var valueEnd = Scan.skipFieldValue(bytes, from: valueStart, to: end)
            guard valueEnd &+ 1 < end, bytes[valueEnd] == ASCII.carriageReturn,
                bytes[valueEnd &+ 1] == ASCII.lineFeed
            else { return .stopped(lineStart: lineStart, fieldCount: fieldCount) }
            index = valueEnd &+ 2
            while valueEnd > valueStart, isBlank(bytes[valueEnd &- 1]) { valueEnd &-= 1 }

            let known = KnownField.recognise(bytes, at: lineStart, count: nameEnd &- lineStart)
            let value = ByteRange(from: valueStart, to: valueEnd)
            judge.note(known, value, bytes)
            // fieldCount < fieldCountMax <= fields.count.
            unsafe fields[fieldCount] = HeaderField(
                name: ByteRange(from: lineStart, to: nameEnd), value: value, known: known)
            fieldCount &+= 1
        }

        var head = RequestHead(
            method: Method(bytes, from: start, to: methodEnd), minorVersion: minorVersion, keepsAlive: false,
            expectsContinue: false, hasQuery: false, methodRange: ByteRange(from: start, to: methodEnd),
            target: ByteRange(from: targetStart, to: targetEnd), path: .empty, query: .empty, host: .empty,
            framing: .none, fieldCount: fieldCount, startOffset: start, headBytes: index &+ 2)
        try judgeTarget(&head, bytes)
        try judge.finish(&head, bytes)
        return .complete(head)
    }

    /// Splits the request target (RFC 9112 section 3.2) into path, query and, in absolute form, host.
    @inline(__always)
    private static func judgeTarget(_ head: inout RequestHead, _ bytes: HeadBytes) throws(HTTPParseError) {
        if head.method == .connect || head.method == .trace { throw .unsupportedMethod }
        let start = Int(head.target.offset)
        let end = start &+ Int(head.target.count)
        var pathStart = start
        switch bytes[start] {
        case ASCII.slash: break
        case ASCII.asterisk:
            guard head.method == .options, head.target.count == 1 else { throw .invalidTarget }
        default:
            let authorityStart = try Authority.start(bytes, from: start, to: end)
            pathStart = authorityStart
            while pathStart < end, bytes[pathStart] != ASCII.slash, bytes[pathStart] != ASCII.questionMark {
                pathStart &+= 1
            }
            guard let hostEnd = Authority.hostEnd(bytes, from: authorityStart, to: pathStart) else {
                throw .invalidHost
            }
            head.host = ByteRange(from: authorityStart, to: hostEnd)
        }
        let pathEnd = Scan.find(ASCII.questionMark, bytes, from: pathStart, to: end)
        head.path = ByteRange(from: pathStart, to: pathEnd)
        if pathEnd < end {
            head.hasQuery = true
            head.query = ByteRange(from: pathEnd &+ 1, to: end)
        }
    }
}
