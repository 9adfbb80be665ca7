import HTTP
import Testing

@Suite("Limits of a head")
struct HeadParserLimitTests {
    /// The same answer in one piece, in single bytes and by scalar scans.
    private func outcome(_ text: String, _ limits: RequestLimits) -> HeadOutcome {
        let bytes = Array(text.utf8)
        let whole = parseHead(bytes, limits: limits)
        #expect(parseHeadByteByByte(bytes, limits: limits) == whole)
        #expect(parseHead(bytes, limits: limits, scanning: .scalar) == whole)
        return whole
    }

    private func requestLine(of count: Int) -> String {
        "GET /" + String(repeating: "a", count: count - 14) + " HTTP/1.1"
    }

    @Test("A request line of the limit passes, one byte more is 414", arguments: ["", "\r\n"])
    func requestLineBytes(lead: String) {
        let limits = RequestLimits { $0.requestLineBytesMax = 100 }
        let rest = "\r\nHost: a\r\n\r\n"
        #expect(outcome(lead + requestLine(of: 100) + rest, limits).head != nil)
        #expect(outcome(lead + requestLine(of: 101) + rest, limits).error == .requestLineTooLong)
        #expect(HTTPParseError.requestLineTooLong.status == 414)
    }

    @Test("The default request line is 8192 bytes, the default head 32768")
    func defaults() {
        let limits = RequestLimits()
        let rest = "\r\nHost: a\r\n\r\n"
        #expect(outcome(requestLine(of: 8192) + rest, limits).head != nil)
        #expect(outcome(requestLine(of: 8193) + rest, limits).error == .requestLineTooLong)
        let begin = "GET / HTTP/1.1\r\nHost: a\r\nX: "
        let value = String(repeating: "v", count: 32768 - begin.utf8.count - 4)
        #expect(outcome(begin + value + "\r\n\r\n", limits).head?.headBytes == 32768)
        #expect(outcome(begin + value + "v\r\n\r\n", limits).error == .headTooLarge)
    }

    @Test("Wherever the request line grows too long, it is 414 at the first byte too many")
    func requestLineTooLongAnywhere() {
        let line = Array("OPTIONS /hook HTTP/1.1".utf8)
        for limit in 1..<line.count {
            let limits = RequestLimits { $0.requestLineBytesMax = limit }
            #expect(parseHead(Array(line[..<limit]), limits: limits) == .needMoreBytes)
            #expect(parseHead(Array(line[...limit]), limits: limits) == .refused(.requestLineTooLong))
            #expect(parseHeadByteByByte(line, limits: limits) == .refused(.requestLineTooLong))
        }
    }

    @Test("A head of the limit passes, one byte more is 431, seen as soon as the limit is full")
    func headBytes() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX-Y: 0123456789\r\n\r\n"
        let count = text.utf8.count
        #expect(outcome(text, RequestLimits { $0.headBytesMax = count }).head?.headBytes == count)
        let smaller = RequestLimits { $0.headBytesMax = count - 1 }
        #expect(outcome(text, smaller).error == .headTooLarge)
        #expect(parseHead(Array(text.utf8.dropLast()), limits: smaller).error == .headTooLarge)
        #expect(parseHead(Array(text.utf8.dropLast(2)), limits: smaller) == .needMoreBytes)
        #expect(HTTPParseError.headTooLarge.status == 431)
    }

    @Test("A leading empty line counts for the head")
    func leadingEmptyLineCounts() {
        let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        let count = text.utf8.count
        #expect(outcome(text, RequestLimits { $0.headBytesMax = count }).head?.headBytes == count)
        #expect(outcome(text, RequestLimits { $0.headBytesMax = count - 1 }).error == .headTooLarge)
    }

    @Test("No configuration makes the parser look beyond the ceiling")
    func ceiling() {
        let limits = RequestLimits { $0.headBytesMax = Int.max }
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "v", count: 300_000)
        #expect(parseHead(text, limits: limits).error == .headTooLarge)
    }

    @Test("The limit of fields passes, one more is 431, seen at its first byte")
    func fieldCount() {
        func text(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\n" + (1..<count).map { "X\($0): y\r\n" }.joined() + "\r\n"
        }
        #expect(outcome(text(100), RequestLimits()).head?.fields.count == 100)
        #expect(outcome(text(101), RequestLimits()).error == .tooManyFields)
        #expect(outcome(text(1000), RequestLimits()).error == .tooManyFields)
        let limits = RequestLimits { $0.fieldCountMax = 3 }
        #expect(outcome(text(3), limits).head?.fields.count == 3)
        #expect(outcome(text(4), limits).error == .tooManyFields)
        let begin = Array(text(3).utf8.dropLast(2))
        #expect(parseHead(begin, limits: limits) == .needMoreBytes)
        #expect(parseHead(begin + [UInt8(ascii: "X")], limits: limits) == .refused(.tooManyFields))
        #expect(HTTPParseError.tooManyFields.status == 431)
    }

    @Test("A table smaller than the limit is never overrun")
    func smallTable() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n"
        #expect(parseHead(Array(text.utf8), tableSize: 2).head?.fields.count == 2)
        #expect(parseHead(Array(text.utf8), tableSize: 1).error == .tooManyFields)
        #expect(parseHead(Array(text.utf8), tableSize: 0).error == .tooManyFields)
    }

    @Test("Default limits are valid, and so are the ceilings")
    func validDefaults() throws {
        try RequestLimits().validate()
        try RequestLimits.ceiling.validate()
    }

    @Test("A limit out of its range is named")
    func invalidLimits() {
        let paths: [(WritableKeyPath<RequestLimits, Int>, String)] = [
            (\.requestLineBytesMax, "requestLineBytesMax"), (\.headBytesMax, "headBytesMax"),
            (\.fieldCountMax, "fieldCountMax"), (\.trailerBytesMax, "trailerBytesMax"),
            (\.trailerFieldsMax, "trailerFieldsMax"), (\.chunkLineBytesMax, "chunkLineBytesMax"),
            (\.chunkExtensionBytesMax, "chunkExtensionBytesMax"), (\.chunkOverheadBytesMax, "chunkOverheadBytesMax"),
        ]
        for (path, name) in paths {
            for value in [-1, RequestLimits.ceiling[keyPath: path] + 1] {
                var limits = RequestLimits()
                limits[keyPath: path] = value
                let error = #expect(throws: RequestLimitsError.self) { try limits.validate() }
                #expect(error?.limit == name)
                #expect(error?.value == value)
            }
        }
        // A head must have room for a request line of the greatest length.
        let error = #expect(throws: RequestLimitsError.self) {
            try RequestLimits { $0.headBytesMax = 8192 }.validate()
        }
        #expect(error?.limit == "headBytesMax")
    }
}
