// Fuzzes the head parser: whatever the bytes, one call, single bytes, any cut and the scalar scans must agree, and all
// ranges must lie within the head.

import FuzzDriver
import HTTP

@main
enum FuzzHead {
    private static let fieldsMax = 1000

    private enum Outcome: Equatable {
        case needMoreBytes
        case refused(HTTPParseError)
        /// All that a head says, as numbers.
        case head([UInt64])
    }

    static func main() {
        runFuzzer { data, count in
            FuzzHead.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    /// `bytes` is what a sender sends; their sum chooses limits and cut, so that any request is an input as it is.
    static func test(_ bytes: UnsafeRawBufferPointer) {
        let choice = bytes.reduce(0, &+)
        var limits = RequestLimits()
        if choice & 1 != 0 {
            limits.requestLineBytesMax = 16 + Int(choice >> 1)
            limits.headBytesMax = 64 + Int(choice)
            limits.fieldCountMax = Int(choice >> 4)
        }
        let whole = parse(bytes, ends: [bytes.count], limits)
        let cut = bytes.isEmpty ? 0 : Int(choice) * 7 % bytes.count
        check(parse(bytes, ends: [cut, bytes.count], limits) == whole, "a cut changes the answer")
        check(parse(bytes, ends: [bytes.count], limits, isScalar: true) == whole, "vectors change the answer")
        // Quadratic in this harness, not in the parser: it re-reads nothing but starts a call for each byte.
        if bytes.count <= 2048 {
            check(parse(bytes, ends: Array(0...bytes.count), limits) == whole, "single bytes change the answer")
        }
    }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer, ends: [Int], _ limits: RequestLimits, isScalar: Bool = false
    ) -> Outcome {
        var parser = HeadParser()
        return withUnsafeTemporaryAllocation(of: HeaderField.self, capacity: fieldsMax) { fields in
            fields.initialize(repeating: .empty)
            for end in ends {
                // A block of its own, so that the address sanitizer sees a read behind it.
                let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: end, alignment: 1)
                piece.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
                defer { piece.deallocate() }
                do throws(HTTPParseError) {
                    let buffer = UnsafeRawBufferPointer(piece)
                    let progress =
                        isScalar
                        ? try parser.parseScalar(buffer, fields: fields, limits: limits)
                        : try parser.parse(buffer, fields: fields, limits: limits)
                    if case .head(let head) = progress { return .head(numbers(head, fields)) }
                } catch {
                    return .refused(error)
                }
            }
            return .needMoreBytes
        }
    }

    private static func numbers(_ head: RequestHead, _ fields: UnsafeMutableBufferPointer<HeaderField>) -> [UInt64] {
        var ranges = [head.methodRange, head.target, head.path, head.query, head.host]
        for field in fields[..<head.fieldCount] {
            check(!field.name.isEmpty, "a field without a name")
            ranges += [field.name, field.value]
        }
        for range in ranges { check(range.indices.upperBound <= head.headBytes, "a range outside the head") }
        var numbers = ranges.map { UInt64($0.offset) << 32 | UInt64($0.count) }
        numbers += fields[..<head.fieldCount].map { UInt64($0.known.rawValue) }
        numbers += [UInt64(head.headBytes), UInt64(head.startOffset), UInt64(head.method.rawValue)]
        numbers += [head.keepsAlive, head.expectsContinue, head.hasQuery, head.minorVersion == 1].map { $0 ? 1 : 0 }
        switch head.framing {
        case .none: numbers.append(0)
        case .length(let count):
            check(count >= 0 && count <= RequestLimits.bodyBytesCeiling, "a length out of bounds")
            numbers += [1, UInt64(count)]
        case .chunked: numbers.append(2)
        }
        return numbers
    }
}
