// TimeCursor: the pieces of which times are written.

struct TimeCursor {
    private let bytes: [UInt8]
    private var offset = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { offset == bytes.count }
    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let next, UInt32(next) == character.value else { return false }
        offset += 1
        return true
    }

    /// Exactly `count` decimal digits.
    mutating func digits(_ count: Int) -> Int? {
        guard bytes.count - offset >= count else { return nil }
        var number = 0
        for byte in bytes[offset..<offset + count] {
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number * 10 + Int(byte & 15)
        }
        offset += count
        return number
    }

    /// Nanoseconds from at least one digit; those behind the ninth are dropped.
    mutating func fraction() -> Int32? {
        var number: Int32 = 0
        var count = 0
        while let digit = digits(1) {
            if count < 9 { number = number * 10 + Int32(digit) }
            count += 1
        }
        guard count > 0 else { return nil }
        for _ in min(count, 9)..<9 { number *= 10 }
        return number
    }

    /// Seconds east of UTC from `Z` or `+02:00`.
    mutating func zoneOffset() -> Int? {
        take("Z") ? 0 : numericOffset(signIsOptional: false)
    }

    /// Seconds east of UTC from `+02:00`, or from `02:00` where that may be.
    mutating func numericOffset(signIsOptional: Bool) -> Int? {
        let isWest = take("-")
        guard isWest || take("+") || signIsOptional else { return nil }
        guard let hours = digits(2), take(":"), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
        return (isWest ? -1 : 1) * (hours * 3_600 + minutes * 60)
    }
}
