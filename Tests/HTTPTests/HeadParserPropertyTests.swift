import HTTP
import Testing

/// Heads, whole and damaged, made from a seed.
private struct HeadGenerator {
    var random: SeededRandom

    private static let names = [
        "Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "X-Hub-Signature-256",
        "X-GitHub-Event", "X-A", "x_y", "A-Rather-Long-Name-That-Exceeds-One-Vector-Of-Sixteen", "!#$", "",
    ]
    private static let values = [
        "a", "example.com:80", "[::1]", "0", "12", "12,12", "chunked", "gzip", "close", "keep-alive, close",
        "100-continue", "\tx y\t", "", String(repeating: "v", count: 100), "\u{e4}\u{f6}",
    ]
    private static let lines = [
        "GET / HTTP/1.1", "POST /hook/0123456789abcdef0123456789abcdef?x=y HTTP/1.1", "OPTIONS * HTTP/1.1",
        "POST http://b.example/x HTTP/1.1", "GET / HTTP/1.0", "GET / HTTP/2.0", "TRACE / HTTP/1.1",
        "M-SEARCH * HTTP/1.1",
        "POST hook HTTP/1.1",
    ]
    /// Bytes that mean something somewhere in the grammar.
    private static let spice: [UInt8] = [0, 9, 10, 13, 13, 10, 32, 34, 35, 44, 45, 47, 58, 63, 95, 123, 127, 128, 255]

    mutating func head() -> [UInt8] {
        var bytes: [UInt8] = []
        if chance(10) { bytes += [13, 10] }
        // Mostly a plain beginning, so that the later parts are reached.
        bytes += latin1(!chance(4) ? Self.lines[1] : Self.lines.randomElement(using: &random)!)
        bytes += [13, 10]
        if !chance(8) { bytes += latin1("Host: a\r\n") }
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            let name = !chance(4) ? "X-Plain" : Self.names.randomElement(using: &random)!
            bytes += latin1(name + ": " + Self.values.randomElement(using: &random)! + "\r\n")
        }
        bytes += [13, 10]
        if chance(2) { bytes += latin1("the body\n\r") }
        return bytes
    }

    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            let byte = chance(3) ? UInt8.random(in: 0...255, using: &random) : Self.spice.randomElement(using: &random)!
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[index] = byte
            case 1: bytes.insert(byte, at: index)
            case 2: bytes.remove(at: index)
            default: bytes.removeLast(bytes.count - index)
            }
        }
        return bytes
    }

    mutating func limits() -> RequestLimits {
        var limits = RequestLimits()
        if chance(3) {
            limits.requestLineBytesMax = Int.random(in: 1...80, using: &random)
            limits.headBytesMax = Int.random(in: 1...400, using: &random)
            limits.fieldCountMax = Int.random(in: 0...12, using: &random)
        }
        return limits
    }

    mutating func cuts(_ count: Int) -> [Int] {
        (0..<Int.random(in: 0...4, using: &random)).map { _ in Int.random(in: 0...count, using: &random) }.sorted()
    }

    mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }

    private func latin1(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }
}

@Suite("Properties of the head parser")
struct HeadParserPropertyTests {
    @Test("However the bytes are cut, and whether vectors are used, the answer is the same")
    func cutsDoNotMatter() {
        let seed = SeededRandom.seed(for: "cutsDoNotMatter")
        var generator = HeadGenerator(random: SeededRandom(seed: seed))
        var accepted = 0
        var refused: [HTTPParseError: Int] = [:]
        for round in 0..<3000 {
            let bytes = generator.mutated(generator.head())
            let limits = generator.limits()
            let whole = parseHead(bytes, limits: limits)
            switch whole {
            case .head: accepted += 1
            case .refused(let error): refused[error, default: 0] += 1
            case .needMoreBytes: break
            }
            let others = [
                parseHead(bytes, limits: limits, scanning: .scalar),
                parseHeadByteByByte(bytes, limits: limits),
                parseHeadByteByByte(bytes, limits: limits, scanning: .scalar),
                parseHead(bytes, cuts: generator.cuts(bytes.count), limits: limits),
            ]
            for other in others where other != whole {
                Issue.record("round \(round) of seed \(seed): \(bytes) gives \(whole) and \(other)")
                return
            }
        }
        // The generator is worth its name only if it gets everywhere.
        #expect(accepted > 300)
        #expect(refused.count > 15)
    }

    @Test("Every split of a real head in two gives the same head")
    func everySplit() {
        let bytes = Array((String.githubHead + "{}").utf8)
        let whole = parseHead(bytes)
        #expect(whole.head != nil)
        for cut in 0...bytes.count {
            #expect(parseHead(bytes, cuts: [cut]) == whole)
            #expect(parseHead(bytes, cuts: [cut], scanning: .scalar) == whole)
        }
    }

    @Test("No beginning of a valid head is refused")
    func everyPrefix() {
        let bytes = Array(String.githubHead.utf8)
        for end in 0..<bytes.count { #expect(parseHead(Array(bytes[..<end])) == .needMoreBytes) }
    }

    @Test("Random bytes never crash the parser")
    func noise() {
        let seed = SeededRandom.seed(for: "noise")
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(parseHead(bytes).head == nil, "seed \(seed)")
        }
    }
}
