// What the tests of this room share: running the parser over bytes in pieces, and seeded randomness.

import Glibc
import HTTP

/// SplitMix64: small, and the same on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// The seed of a property test: GRAPNEL_SEED, or a new one. Printed, so that a failure can be repeated.
    static func seed(for test: String) -> UInt64 {
        let given = getenv("GRAPNEL_SEED").flatMap { UInt64(String(cString: $0)) }
        let seed = given ?? UInt64.random(in: 0...UInt64.max)
        print("\(test): GRAPNEL_SEED=\(seed)")
        return seed
    }
}

/// A head with its ranges turned into text, to be compared.
struct HeadSummary: Equatable {
    struct Field: Equatable {
        var name: String
        var value: String
        var known: KnownField
    }

    var method: Method
    var methodText: String
    var minorVersion: UInt8
    var target: String
    var path: String
    var query: String?
    var host: String
    var framing: BodyFraming
    var keepsAlive: Bool
    var expectsContinue: Bool
    var startOffset: Int
    var headBytes: Int
    var fields: [Field]

    init(_ head: RequestHead, fields: UnsafeMutableBufferPointer<HeaderField>, bytes: UnsafeRawBufferPointer) {
        func text(_ range: ByteRange) -> String {
            String(range.bytes(of: bytes).map { Character(Unicode.Scalar($0)) })
        }
        method = head.method
        methodText = text(head.methodRange)
        minorVersion = head.minorVersion
        target = text(head.target)
        path = text(head.path)
        query = head.hasQuery ? text(head.query) : nil
        host = text(head.host)
        framing = head.framing
        keepsAlive = head.keepsAlive
        expectsContinue = head.expectsContinue
        startOffset = head.startOffset
        headBytes = head.headBytes
        self.fields = fields.prefix(head.fieldCount).map {
            Field(name: text($0.name), value: text($0.value), known: $0.known)
        }
    }

    func value(_ known: KnownField) -> String? { fields.first { $0.known == known }?.value }
}

enum HeadOutcome: Equatable {
    case needMoreBytes
    case head(HeadSummary)
    case refused(HTTPParseError)

    var head: HeadSummary? { if case .head(let head) = self { head } else { nil } }
    var error: HTTPParseError? { if case .refused(let error) = self { error } else { nil } }
}

extension RequestLimits {
    init(_ change: (inout RequestLimits) -> Void) {
        self.init()
        change(&self)
    }
}

enum Scanning: CaseIterable { case vector, scalar }

/// Feeds `bytes` in growing pieces that end at each of `cuts` (ascending) and at the end; the first answer that is not
/// "more" counts. Each piece is a heap block of exactly its size, so that the address sanitizer sees any read behind it.
func parseHead(
    _ bytes: [UInt8], cuts: [Int] = [], limits: RequestLimits = RequestLimits(), scanning: Scanning = .vector,
    tableSize: Int = 1001
) -> HeadOutcome {
    var parser = HeadParser()
    let fields = UnsafeMutableBufferPointer<HeaderField>.allocate(capacity: tableSize)
    fields.initialize(repeating: .empty)
    defer { fields.deallocate() }
    for end in cuts + [bytes.count] {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 1)
        piece.copyBytes(from: bytes[..<end])
        defer { piece.deallocate() }
        let buffer = UnsafeRawBufferPointer(piece)
        do throws(HTTPParseError) {
            let progress =
                switch scanning {
                case .vector: try parser.parse(buffer, fields: fields, limits: limits)
                case .scalar: try parser.parseScalar(buffer, fields: fields, limits: limits)
                }
            if case .head(let head) = progress { return .head(HeadSummary(head, fields: fields, bytes: buffer)) }
        } catch {
            return .refused(error)
        }
    }
    return .needMoreBytes
}

func parseHead(
    _ text: String, limits: RequestLimits = RequestLimits(), scanning: Scanning = .vector
) -> HeadOutcome {
    parseHead(Array(text.utf8), limits: limits, scanning: scanning)
}

/// One byte more in each call.
func parseHeadByteByByte(
    _ bytes: [UInt8], limits: RequestLimits = RequestLimits(), scanning: Scanning = .vector
) -> HeadOutcome {
    parseHead(bytes, cuts: Array(0..<bytes.count), limits: limits, scanning: scanning)
}

/// Text of a chunked body, or why it was refused.
enum BodyOutcome: Equatable {
    case needMoreBytes(body: [UInt8])
    case complete(body: [UInt8], rest: [UInt8])
    case refused(HTTPParseError)

    var error: HTTPParseError? { if case .refused(let error) = self { error } else { nil } }
}

/// Decodes in place, each piece being received right behind what was decoded so far, as a connection does it.
func decodeChunked(
    _ bytes: [UInt8], cuts: [Int] = [], limits: RequestLimits = RequestLimits(), bodyBytesMax: Int = 1 << 20
) -> BodyOutcome {
    var decoder = ChunkedDecoder(limits: limits)
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 1), alignment: 1)
    defer { block.deallocate() }
    var produced = 0
    var start = 0
    for end in cuts + [bytes.count] {
        let received = UnsafeMutableRawBufferPointer(rebasing: block[produced..<produced + end - start])
        received.copyBytes(from: bytes[start..<end])
        do throws(HTTPParseError) {
            let progress = try decoder.decode(
                from: UnsafeRawBufferPointer(received), into: block.baseAddress! + produced,
                capacity: bodyBytesMax - produced)
            produced += progress.produced
            if progress.isComplete {
                return .complete(body: Array(block[..<produced]), rest: Array(bytes[(start + progress.consumed)...]))
            }
            precondition(progress.consumed == end - start, "bytes were left before the end of the body")
        } catch {
            return .refused(error)
        }
        start = end
    }
    return .needMoreBytes(body: Array(block[..<produced]))
}

func decodeChunked(
    _ text: String, limits: RequestLimits = RequestLimits(), bodyBytesMax: Int = 1 << 20
) -> BodyOutcome {
    decodeChunked(Array(text.utf8), limits: limits, bodyBytesMax: bodyBytesMax)
}

extension String {
    /// A GitHub delivery's head as it comes over the wire, 12 fields.
    static let githubHead = """
        POST /hook/bed6d00b5555b1603e1f59b94d7fdbca58089cb5663633fb83f2815dc626d92b HTTP/1.1\r
        Host: webhook-receiver.example.com\r
        User-Agent: GitHub-Hookshot/8c1c1fe\r
        Content-Length: 1024\r
        Accept: */*\r
        Content-Type: application/json\r
        X-GitHub-Delivery: 2c1b1e6e-4a4b-4b0e-9f53-0e5a7d3c2b1a\r
        X-GitHub-Event: push\r
        X-GitHub-Hook-ID: 412345678\r
        X-GitHub-Hook-Installation-Target-ID: 612345678\r
        X-GitHub-Hook-Installation-Target-Type: repository\r
        X-Hub-Signature: sha1=0123456789abcdef0123456789abcdef01234567\r
        X-Hub-Signature-256: sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r
        \r

        """
}
