import HTTP
import Testing

@Suite("Chunked bodies")
struct ChunkedDecoderTests {
    /// The same answer in one piece and in single bytes.
    private func outcome(
        _ text: String, limits: RequestLimits = RequestLimits(), bodyBytesMax: Int = 1 << 20
    ) -> BodyOutcome {
        let bytes = text.unicodeScalars.map { UInt8($0.value) }
        let whole = decodeChunked(bytes, limits: limits, bodyBytesMax: bodyBytesMax)
        #expect(
            decodeChunked(bytes, cuts: Array(0..<bytes.count), limits: limits, bodyBytesMax: bodyBytesMax) == whole)
        return whole
    }

    private func complete(_ body: String, rest: String = "") -> BodyOutcome {
        .complete(body: Array(body.utf8), rest: Array(rest.utf8))
    }

    @Test("Chunks are joined, and what follows the body stays")
    func joined() {
        #expect(outcome("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n") == complete("hello world"))
        #expect(outcome("0\r\n\r\n") == complete(""))
        #expect(outcome("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n") == complete("a", rest: "GET / HTTP/1.1\r\n"))
        #expect(outcome("A\r\n0123456789\r\n00\r\n\r\n") == complete("0123456789"))
        #expect(outcome("a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n") == complete("\r\n\r\n\r\n\r\n\r\n"))
        #expect(outcome("000000000000000a\r\n0123456789\r\n0000000000000000\r\n\r\n") == complete("0123456789"))
    }

    @Test(
        "A body that has not ended is no fault",
        arguments: ["", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\n\r"])
    func unfinished(text: String) {
        guard case .needMoreBytes = outcome(text) else {
            Issue.record("\(text.debugDescription) was taken for a body")
            return
        }
    }

    @Test("After its end the decoder takes nothing more")
    func afterEnd() throws {
        var decoder = ChunkedDecoder()
        var bytes = Array("0\r\n\r\n5\r\n".utf8)
        try bytes.withUnsafeMutableBytes { buffer in
            let source = UnsafeRawBufferPointer(buffer)
            let first = try decoder.decode(from: source, into: buffer.baseAddress!, capacity: 10)
            #expect(first == ChunkProgress(consumed: 5, produced: 0, isComplete: true))
            let rest = UnsafeRawBufferPointer(rebasing: source[5...])
            let second = try decoder.decode(from: rest, into: buffer.baseAddress!, capacity: 10)
            #expect(second == ChunkProgress(consumed: 0, produced: 0, isComplete: true))
            #expect(decoder.isComplete)
        }
    }

    @Test("Grammatical extensions and trailers are checked and dropped")
    func extensionsAndTrailers() {
        for line in ["1;a", "1;a=b", "1;a;b", "1;a=b;c=\"d\"", "1;a=\"\"", "1;a=\"x;y \\\" \\\\ \t\u{e4}\"", "1;!#$=~"]
        {
            #expect(outcome("\(line)\r\nx\r\n0\r\n\r\n") == complete("x"), "\(line)")
            #expect(outcome("1\r\nx\r\n0\(line.dropFirst())\r\n\r\n") == complete("x"), "\(line)")
        }
        #expect(outcome("0\r\nX-Hub-Signature-256: sha256=00\r\nB:\t c \r\n\r\nrest") == complete("", rest: "rest"))
    }

    @Test(
        "A chunk size is 1 to 16 hex digits and nothing else",
        arguments: [
            ("\r\n", HTTPParseError.invalidChunkSize), (";a\r\n", .invalidChunkSize), (" 5\r\n", .invalidChunkSize),
            ("5 \r\n", .invalidChunkSize), ("5\t\r\n", .invalidChunkSize), ("0x5\r\n", .invalidChunkSize),
            ("+5\r\n", .invalidChunkSize), ("-5\r\n", .invalidChunkSize), ("-0\r\n", .invalidChunkSize),
            ("5_0\r\n", .invalidChunkSize), ("g\r\n", .invalidChunkSize), ("5,5\r\n", .invalidChunkSize),
            ("5\0\r\n", .invalidChunkSize), ("\u{b5}\r\n", .invalidChunkSize), ("5\u{a0}\r\n", .invalidChunkSize),
            ("00000000000000000\r\n", .chunkSizeTooLong), ("00000000000000005\r\n", .chunkSizeTooLong),
            ("10000000000000000\r\n", .chunkSizeTooLong), ("fffffffffffffffff\r\n", .chunkSizeTooLong),
            ("ffffffffffffffff\r\n", .bodyTooLarge), ("10000000001\r\n", .bodyTooLarge),
            ("1000000000000000;a\r\n", .bodyTooLarge),
            ("8000000000000000\r\n", .bodyTooLarge), ("7fffffffffffffff\r\n", .bodyTooLarge),
            ("5\n", .bareLineFeed), ("\n", .bareLineFeed), ("5\r5", .bareCarriageReturn),
            ("5\r\r\n", .bareCarriageReturn),
        ])
    func sizes(text: String, error: HTTPParseError) {
        #expect(outcome(text).error == error)
        #expect(outcome("3\r\nabc\r\n" + text).error == error)
    }

    @Test(
        "An extension that is none is refused: a line feed, a blank, a missing name or value",
        arguments: [
            ("5;\r\n", HTTPParseError.invalidChunkExtension), ("5;a=\r\n", .invalidChunkExtension),
            ("5; a\r\n", .invalidChunkExtension), ("5;a =b\r\n", .invalidChunkExtension),
            ("5;a= b\r\n", .invalidChunkExtension), ("5;a=b \r\n", .invalidChunkExtension),
            ("5;a;\r\n", .invalidChunkExtension), ("5;=b\r\n", .invalidChunkExtension),
            ("5;a=b=c\r\n", .invalidChunkExtension), ("5;a=\"b\r\n", .invalidChunkExtension),
            ("5;a=\"b\"c\r\n", .invalidChunkExtension), ("5;a=\"b\\\r\n", .invalidChunkExtension),
            ("5;a=\"b\0\"\r\n", .invalidChunkExtension), ("5;a\0\r\n", .invalidChunkExtension),
            ("5;a\n", .bareLineFeed), ("5;\n", .bareLineFeed), ("5;a=\"\n\"\r\n", .bareLineFeed),
            ("5;a=\"\\\n\"\r\n", .bareLineFeed), ("5;a\r5", .bareCarriageReturn), ("5;a\rX", .bareCarriageReturn),
        ])
    func extensions(text: String, error: HTTPParseError) {
        #expect(outcome(text).error == error)
    }

    @Test(
        "Data is followed by CRLF",
        arguments: [
            ("5\r\nhello5\r\n", HTTPParseError.missingChunkEnd), ("5\r\nhello\n", .bareLineFeed),
            ("5\r\nhello\rx", .bareCarriageReturn), ("5\r\nhello 0\r\n\r\n", .missingChunkEnd),
            ("5\r\nhello;a\r\n", .missingChunkEnd),
        ])
    func dataEnd(text: String, error: HTTPParseError) {
        #expect(outcome(text).error == error)
    }

    @Test(
        "Trailers obey the rules of header fields, and the empty line must come",
        arguments: [
            ("0\r\n\n", HTTPParseError.bareLineFeed), ("0\r\n\rX", .bareCarriageReturn),
            ("0\r\nA: b\n\r\n", .bareLineFeed), ("0\r\nA: b\r\r\n", .bareCarriageReturn),
            ("0\r\nA : b\r\n\r\n", .blankBeforeColon), ("0\r\nA\r\n\r\n", .missingColon),
            ("0\r\n: b\r\n", .emptyFieldName),
            ("0\r\n A: b\r\n", .blankBeforeFirstField), ("0\r\nA: b\r\n c\r\n", .obsoleteLineFolding),
            ("0\r\nA: \0\r\n", .invalidFieldValue), ("0\r\nA(: b\r\n", .invalidFieldName),
            ("0\r\nGET / HTTP/1.1\r\n", .blankBeforeColon),
        ])
    func trailers(text: String, error: HTTPParseError) {
        #expect(outcome(text).error == error)
    }

    @Test("A chunk larger than the room that is left is 413 as soon as its size is read")
    func bodyLimit() {
        #expect(outcome("5\r\nhello\r\n0\r\n\r\n", bodyBytesMax: 5) == complete("hello"))
        #expect(outcome("5\r", bodyBytesMax: 4).error == .bodyTooLarge)
        #expect(outcome("5;a", bodyBytesMax: 4).error == .bodyTooLarge)
        #expect(outcome("3\r\nabc\r\n3\r", bodyBytesMax: 5).error == .bodyTooLarge)
        #expect(outcome("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", bodyBytesMax: 5) == complete("abcde"))
        #expect(outcome("1\r", bodyBytesMax: 0).error == .bodyTooLarge)
        #expect(outcome("0\r\n\r\n", bodyBytesMax: 0) == complete(""))
        #expect(HTTPParseError.bodyTooLarge.status == 413)
    }

    @Test("No capacity lets a chunk exceed the ceiling of sizes")
    func sizeCeiling() {
        #expect(outcome("10000000000\r\nx", bodyBytesMax: Int.max).error == nil)
        #expect(outcome("10000000001\r\nx", bodyBytesMax: Int.max).error == .bodyTooLarge)
        #expect(outcome("ffffffffffffffff\r\nx", bodyBytesMax: Int.max).error == .bodyTooLarge)
    }

    @Test("A capacity that shrinks between calls is kept all the same")
    func shrinkingCapacity() throws {
        var decoder = ChunkedDecoder()
        var bytes = Array("5\r\nhello".utf8)
        bytes.withUnsafeMutableBytes { buffer in
            let line = UnsafeRawBufferPointer(rebasing: buffer[..<3])
            let data = UnsafeRawBufferPointer(rebasing: buffer[3...])
            #expect(throws: Never.self) { try decoder.decode(from: line, into: buffer.baseAddress!, capacity: 5) }
            #expect(throws: HTTPParseError.bodyTooLarge) {
                try decoder.decode(from: data, into: buffer.baseAddress!, capacity: 4)
            }
        }
    }

    @Test("A chunk line of 256 bytes passes, one more is 400")
    func chunkLine() {
        let limits = RequestLimits()
        #expect(
            outcome("1;" + String(repeating: "a", count: 254) + "\r\nx\r\n0\r\n\r\n", limits: limits) == complete("x"))
        #expect(outcome("1;" + String(repeating: "a", count: 255), limits: limits).error == .chunkLineTooLong)
        #expect(outcome("0;" + String(repeating: "a", count: 255), limits: limits).error == .chunkLineTooLong)
        #expect(HTTPParseError.chunkLineTooLong.status == 400)
    }

    @Test("Extensions of 4096 bytes in all pass, one more is 400")
    func extensionBytes() {
        // Big enough data that the overhead is no matter; each line carries 128 bytes of extension.
        let data = String(repeating: "d", count: 256)
        let chunk = "100;" + String(repeating: "a", count: 127) + "\r\n" + data + "\r\n"
        let full = String(repeating: chunk, count: 32)
        #expect(outcome(full + "0\r\n\r\n") == complete(String(repeating: data, count: 32)))
        #expect(outcome(full + "0;").error == .chunkExtensionsTooLong)
        #expect(outcome(full + "100;").error == .chunkExtensionsTooLong)
        #expect(HTTPParseError.chunkExtensionsTooLong.status == 400)
    }

    @Test("Framing may be twice the data and 16 KiB, no more")
    func overhead() {
        // Five bytes of framing for one of data: the surplus of three for each reaches 16384 in the 5462nd chunk.
        let chunk = "1\r\nx\r\n"
        let passing = String(repeating: chunk, count: 5460) + "0\r\n\r\n"
        #expect(outcome(passing) == complete(String(repeating: "x", count: 5460)))
        #expect(outcome(String(repeating: chunk, count: 5465)).error == .chunkOverheadTooLarge)
        // To the byte: with a limit of 256, and 2 * 1 for the data, byte 259 of the framing is one too many.
        let limits = RequestLimits {
            $0.chunkOverheadBytesMax = 256
            $0.chunkLineBytesMax = 4096
        }
        let begin = "1\r\nx\r\n0;"
        let room = 256 + 2 - 7
        #expect(outcome(begin + String(repeating: "a", count: room), limits: limits).error == nil)
        #expect(
            outcome(begin + String(repeating: "a", count: room + 1), limits: limits).error == .chunkOverheadTooLarge)
        #expect(HTTPParseError.chunkOverheadTooLarge.status == 400)
    }

    @Test("Trailers of 8192 bytes and of 32 fields pass, one more is 431")
    func trailerLimits() {
        let line = "A: " + String(repeating: "v", count: 8192 - 5)
        #expect(outcome("0\r\n\(line)\r\n\r\n") == complete(""))
        #expect(outcome("0\r\n\(line)v\r\n\r\n").error == .trailerTooLarge)
        #expect(outcome("0\r\n\(line)\r\nB: c\r\n\r\n").error == .trailerTooLarge)
        let fields = String(repeating: "A: b\r\n", count: 32)
        #expect(outcome("0\r\n\(fields)\r\n") == complete(""))
        #expect(outcome("0\r\n\(fields)B").error == .tooManyTrailerFields)
        #expect(HTTPParseError.trailerTooLarge.status == 431)
        #expect(HTTPParseError.tooManyTrailerFields.status == 431)
    }

    @Test("However the bytes are cut, the body or the error is the same")
    func cutsDoNotMatter() {
        let seed = SeededRandom.seed(for: "chunked cutsDoNotMatter")
        var random = SeededRandom(seed: seed)
        let spice: [UInt8] = Array("0123456789abcdefABCDEF;=\"\\ \t\r\n:".utf8) + [0, 127, 128, 255]
        var completed = 0
        var refused = Set<HTTPParseError>()
        for round in 0..<4000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                let data = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                let ext = ["", "", ";a", ";a=b", ";a=\"b\\\"\""].randomElement(using: &random)!
                bytes += Array("\(String(data.count, radix: 16))\(ext)\r\n".utf8) + data + [13, 10]
            }
            bytes += Array(["0\r\n\r\n", "0;x\r\n\r\n", "0\r\nA: b\r\n\r\n"].randomElement(using: &random)!.utf8)
            bytes += Array("next".utf8)
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = spice.randomElement(using: &random)!
            }
            let bodyBytesMax = Bool.random(using: &random) ? 1 << 20 : Int.random(in: 0...100, using: &random)
            let whole = decodeChunked(bytes, bodyBytesMax: bodyBytesMax)
            if case .complete = whole { completed += 1 }
            if let error = whole.error { refused.insert(error) }
            let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
            for other in [
                decodeChunked(bytes, cuts: Array(0..<bytes.count), bodyBytesMax: bodyBytesMax),
                decodeChunked(bytes, cuts: cuts, bodyBytesMax: bodyBytesMax),
            ] where other != whole {
                Issue.record("round \(round) of seed \(seed): \(bytes) gives \(whole) and \(other)")
                return
            }
        }
        #expect(completed > 500)
        #expect(refused.count >= 6)
    }
}
