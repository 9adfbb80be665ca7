// AnswerReader: the end of an HTTP/1.1 answer, found in bytes as they come.
//
// Only what a load generator needs: the status, where the answer ends (Content-Length; RFC 9112 section 6.3), and whether
// the peer will close. Interim answers (1xx) are passed over.

/// Reads one answer after the other. Keeps at most `headByteCountMax` bytes.
public struct AnswerReader {
    public enum Outcome: Equatable {
        case needsMore
        /// A whole answer. `consumed` of the bytes given belong to it.
        case answer(status: Int, closes: Bool, consumed: Int)
        /// No HTTP, or a head above the limit.
        case malformed
    }

    public static let headByteCountMax = 4096
    private var head: [UInt8] = []
    private var bodyMissing = 0
    private var found: (status: Int, closes: Bool)?

    public init() { head.reserveCapacity(Self.headByteCountMax) }

    /// Forgets what came so far.
    public mutating func reset() {
        head.removeAll(keepingCapacity: true)
        bodyMissing = 0
        found = nil
    }

    /// Looks at further bytes.
    public mutating func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Outcome {
        var index = 0
        while true {
            if let answer = found {
                let step = min(bodyMissing, bytes.count - index)
                bodyMissing -= step
                index += step
                if bodyMissing > 0 { return .needsMore }
                reset()
                return .answer(status: answer.status, closes: answer.closes, consumed: index)
            }
            var isWhole = false
            while index < bytes.count {
                let byte = bytes[index]
                head.append(byte)
                index += 1
                if byte == 0x0a, head.count >= 4, head[head.count - 2] == 0x0d, head[head.count - 3] == 0x0a,
                    head[head.count - 4] == 0x0d
                {
                    isWhole = true
                    break
                }
                if head.count >= Self.headByteCountMax { return .malformed }
            }
            if !isWhole { return .needsMore }
            guard let answer = judgeHead() else { return .malformed }
            if answer.status < 200 { head.removeAll(keepingCapacity: true) } else { found = answer }
        }
    }

    private mutating func judgeHead() -> (status: Int, closes: Bool)? {
        guard head.count >= 16, head.starts(with: "HTTP/1.".utf8), head[8] == 0x20 else { return nil }
        var status = 0
        for byte in head[9..<12] {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            status = status * 10 + Int(byte - 0x30)
        }
        bodyMissing = Self.number(behind: "\ncontent-length:", in: head) ?? 0
        let closes = Self.place(of: "\nconnection: close", in: head) != nil || head[7] == UInt8(ascii: "0")
        return (status, closes)
    }

    /// Where `text` (lower case) ends in `bytes`, letters of either case.
    private static func place(of text: StaticString, in bytes: [UInt8]) -> Int? {
        let count = text.utf8CodeUnitCount
        guard bytes.count >= count else { return nil }
        for start in 0...(bytes.count - count) where bytes[start] == text.utf8Start[0] {
            var offset = 1
            while offset < count {
                var byte = bytes[start + offset]
                if byte >= 0x41, byte <= 0x5a { byte |= 0x20 }
                if byte != text.utf8Start[offset] { break }
                offset += 1
            }
            if offset == count { return start + count }
        }
        return nil
    }

    private static func number(behind text: StaticString, in bytes: [UInt8]) -> Int? {
        guard var index = place(of: text, in: bytes) else { return nil }
        while index < bytes.count, bytes[index] == 0x20 { index += 1 }
        var value = 0
        while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39, value < 1 << 40 {
            value = value * 10 + Int(bytes[index] - 0x30)
            index += 1
        }
        return value
    }
}
