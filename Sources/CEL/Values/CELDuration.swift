// CELDuration: a signed span of time, read as Go's time.ParseDuration reads it: `1h30m`, `-1.5s`, `100ms`.

public struct CELDuration: Sendable, Hashable {
    /// Up to 292 years either way.
    public let nanoseconds: Int64

    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
        ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Nil when it is no duration, or too long a one.
    public init?(text: String) {
        var rest = text.utf8[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        if rest.elementsEqual("0".utf8) {
            self.init(nanoseconds: 0)
            return
        }
        guard !rest.isEmpty else { return nil }
        var total: Int64 = 0
        while !rest.isEmpty {
            guard let part = Self.part(&rest) else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(part)
            guard !overflow else { return nil }
            total = sum
        }
        self.init(nanoseconds: isNegative ? -total : total)
    }

    /// One number with its unit.
    private static func part(_ rest: inout Substring.UTF8View) -> Int64? {
        var whole: Int64 = 0
        // The fraction is numerator / denominator; digits beyond what fits are dropped.
        var numerator: Int64 = 0
        var denominator: Int64 = 1
        var digitCount = 0
        var isFraction = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !isFraction {
                isFraction = true
            } else if (0x30...0x39).contains(byte) {
                digitCount += 1
                let digit = Int64(byte & 15)
                if !isFraction {
                    let (tenfold, overflow) = whole.multipliedReportingOverflow(by: 10)
                    let (sum, sumOverflow) = tenfold.addingReportingOverflow(digit)
                    guard !overflow, !sumOverflow else { return nil }
                    whole = sum
                } else if denominator < 100_000_000_000_000_000 {
                    numerator = numerator * 10 + digit
                    denominator *= 10
                }
            } else {
                break
            }
            rest.removeFirst()
        }
        let name = rest.prefix { !(0x30...0x39).contains($0) && $0 != UInt8(ascii: ".") }
        rest = rest[name.endIndex...]
        guard digitCount > 0, let unit = units.first(where: { name.elementsEqual($0.name.utf8) })?.nanoseconds else {
            return nil
        }
        let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
        let fraction = Int64(Double(numerator) * (Double(unit) / Double(denominator)))
        let (sum, sumOverflow) = product.addingReportingOverflow(fraction)
        return overflow || sumOverflow ? nil : sum
    }

    /// Seconds with as many decimals as they need: `5400s`, `-0.001s`.
    public var text: String {
        let magnitude = nanoseconds.magnitude
        var result = (nanoseconds < 0 ? "-" : "") + String(magnitude / 1_000_000_000)
        let part = magnitude % 1_000_000_000
        if part != 0 {
            var digits = String(part)
            digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
            while digits.utf8.last == UInt8(ascii: "0") { digits.removeLast() }
            result += "." + digits
        }
        return result + "s"
    }
}

extension CELDuration: Comparable {
    public static func < (left: CELDuration, right: CELDuration) -> Bool { left.nanoseconds < right.nanoseconds }
}
