// FormPayload: the JSON inside a form body, as GitHub sends it with content type application/x-www-form-urlencoded (WHATWG URL
// section 5.1; docs.github.com "Creating webhooks").

enum FormPayload {
    /// The decoded value of the first parameter named `payload`; nil when there is none, or its escapes are broken.
    static func decode(_ body: UnsafeRawBufferPointer) -> [UInt8]? {
        var start = 0
        while start < body.count {
            var end = start
            var equals: Int?
            while unsafe end < body.count && body[end] != UInt8(ascii: "&") {
                if unsafe equals == nil && body[end] == UInt8(ascii: "=") { equals = end }
                end += 1
            }
            let name = unsafe unescape(body, start..<(equals ?? end))
            if let name, name.elementsEqual("payload".utf8) {
                return unsafe unescape(body, (equals.map { $0 + 1 } ?? end)..<end)
            }
            start = end + 1
        }
        return nil
    }

    /// `+` becomes a space, `%` and two hex digits their byte; nil when the digits are missing.
    private static func unescape(_ body: UnsafeRawBufferPointer, _ range: Range<Int>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = unsafe body[index]
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard index + 2 < range.upperBound, let high = unsafe hexDigit(body[index + 1]),
                    let low = unsafe hexDigit(body[index + 2])
                else { return nil }
                bytes.append(high << 4 | low)
                index += 2
            default: bytes.append(byte)
            }
            index += 1
        }
        return bytes
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
