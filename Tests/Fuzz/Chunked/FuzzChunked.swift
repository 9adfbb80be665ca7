// Fuzzes the chunked decoder: in one piece, cut in two and in single bytes the same body or the same error must come out,
// never more of it than went in or than the limit allows, and nothing may be written outside the block.

import FuzzDriver
import HTTP

@main
enum FuzzChunked {
    private enum Outcome: Equatable {
        case needMoreBytes(body: [UInt8])
        case refused(HTTPParseError)
        case complete(body: [UInt8], consumed: Int)
    }

    static func main() {
        runFuzzer { data, count in
            FuzzChunked.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    /// `input` is a chunked body, or a request with one; the sum of its bytes chooses limits and cut.
    static func test(_ input: UnsafeRawBufferPointer) {
        let choice = input.reduce(0, &+)
        let bytes = UnsafeRawBufferPointer(rebasing: input[headBytes(input)...])
        var limits = RequestLimits()
        if choice & 1 != 0 {
            limits.chunkLineBytesMax = 16 + Int(choice >> 2)
            limits.chunkExtensionBytesMax = Int(choice >> 1)
            limits.chunkOverheadBytesMax = 256
            limits.trailerBytesMax = Int(choice)
            limits.trailerFieldsMax = Int(choice >> 5)
        }
        let bodyBytesMax = choice & 2 != 0 ? Int(choice) : 1 << 20
        let whole = decode(bytes, ends: [bytes.count], limits, bodyBytesMax)
        let cut = bytes.isEmpty ? 0 : Int(choice) * 7 % bytes.count
        check(decode(bytes, ends: [cut, bytes.count], limits, bodyBytesMax) == whole, "a cut changes the answer")
        check(
            decode(bytes, ends: Array(0...bytes.count), limits, bodyBytesMax) == whole, "single bytes change the answer"
        )
    }

    /// Bytes of the head that `input` begins with, 0 if it does not.
    private static func headBytes(_ input: UnsafeRawBufferPointer) -> Int {
        var parser = HeadParser()
        return withUnsafeTemporaryAllocation(of: HeaderField.self, capacity: 100) { fields in
            fields.initialize(repeating: .empty)
            guard case .head(let head)? = try? parser.parse(input, fields: fields, limits: RequestLimits()) else {
                return 0
            }
            return head.headBytes
        }
    }

    /// Each piece is received right behind what was decoded so far, and decoded in place.
    private static func decode(
        _ bytes: UnsafeRawBufferPointer, ends: [Int], _ limits: RequestLimits, _ bodyBytesMax: Int
    ) -> Outcome {
        var decoder = ChunkedDecoder(limits: limits)
        var produced = 0
        var start = 0
        var body: [UInt8] = []
        for end in ends {
            // A block of exactly this piece, so that the address sanitizer sees what leaves it.
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: max(end - start, 1), alignment: 1)
            piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            defer { piece.deallocate() }
            do throws(HTTPParseError) {
                let progress = try decoder.decode(
                    from: UnsafeRawBufferPointer(rebasing: piece[..<(end - start)]), into: piece.baseAddress!,
                    capacity: bodyBytesMax - produced)
                check(progress.produced <= progress.consumed, "a body that grew")
                produced += progress.produced
                check(produced <= bodyBytesMax && produced == decoder.bodyBytes, "a body over its limit")
                body += piece[..<progress.produced]
                if progress.isComplete { return .complete(body: body, consumed: start + progress.consumed) }
                check(progress.consumed == end - start, "bytes left before the end")
            } catch {
                return .refused(error)
            }
            start = end
        }
        return .needMoreBytes(body: body)
    }
}
