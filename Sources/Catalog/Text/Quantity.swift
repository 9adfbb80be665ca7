// Quantity: durations and byte sizes as people write them.
//
// Durations are Go's (time.ParseDuration, which Kubernetes and Flux use): a sequence of decimal numbers, each with a unit,
// such as `1h30m` or `0.5s`; `0` needs no unit. Settings may also use `d` for days, which Go does not have.

/// Why a quantity was refused. The text says what would be right.
package struct QuantityError: Error, CustomStringConvertible {
    package let description: String
}

package enum Quantity {
    private static let durationForm = "write it as 500ms, 10s, 5m or 1h30m"
    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
        ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]
    private static let nanosecondsPerDay: UInt64 = 86_400_000_000_000

    /// Nanoseconds of a duration. Negative ones are refused, as is what exceeds Go's 292 years.
    package static func nanoseconds(_ text: String, allowDays: Bool = false) throws(QuantityError) -> UInt64 {
        let form = allowDays ? durationForm + ", or 7d" : durationForm
        if text == "0" { return 0 }
        if text.hasPrefix("-") { throw QuantityError(description: "a duration may not be negative") }
        var rest = text.hasPrefix("+") ? text.dropFirst() : Substring(text)
        if rest.isEmpty { throw QuantityError(description: "an empty duration; \(form)") }
        var total: UInt64 = 0
        while !rest.isEmpty {
            let whole = rest.prefix(while: \.isASCIIDigit)
            rest = rest[whole.endIndex...]
            var fraction: Substring = ""
            if rest.first == "." {
                fraction = rest.dropFirst().prefix(while: \.isASCIIDigit)
                rest = rest[fraction.endIndex...]
            }
            guard !(whole.isEmpty && fraction.isEmpty) else {
                throw QuantityError(description: "is no duration; \(form)")
            }
            let unit = rest.prefix { !$0.isASCIIDigit && $0 != "." }
            rest = rest[unit.endIndex...]
            guard
                let scale = units.first(where: { $0.name == unit })?.nanoseconds
                    ?? (allowDays && unit == "d" ? nanosecondsPerDay : nil)
            else {
                throw QuantityError(
                    description: unit.isEmpty ? "a duration needs a unit; \(form)" : "has an unknown unit; \(form)")
            }
            guard let part = scaled(whole, fraction, by: scale), total <= UInt64(Int64.max) - part else {
                throw QuantityError(description: "is too long a duration")
            }
            total += part
        }
        return total
    }

    /// `whole.fraction · scale`, cut off below a nanosecond; nil above Int64.max.
    private static func scaled(_ whole: Substring, _ fraction: Substring, by scale: UInt64) -> UInt64? {
        guard let number = UInt64(whole.isEmpty ? "0" : whole) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        guard !overflow, product <= UInt64(Int64.max) else { return nil }
        // More digits than 15 cannot move a nanosecond of an hour.
        var remainder = 0.0
        for digit in fraction.prefix(15).reversed() {
            remainder = (remainder + Double(digit.wholeNumberValue ?? 0)) / 10
        }
        let part = UInt64(remainder * Double(scale))
        return product <= UInt64(Int64.max) - part ? product + part : nil
    }

    private static let sizes: [(name: String, bytes: Int)] = [
        ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
        ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40),
        ("kB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ]

    /// Bytes of a size: a whole number, alone or with B, KiB, MiB, GiB, TiB (also Ki, Mi …) or kB, MB, GB, TB.
    package static func bytes(_ text: String) throws(QuantityError) -> Int {
        let digits = text.prefix(while: \.isASCIIDigit)
        var unit = text[digits.endIndex...]
        if unit.first == " " { unit = unit.dropFirst() }
        guard !digits.isEmpty, let scale = unit.isEmpty ? 1 : sizes.first(where: { $0.name == unit })?.bytes else {
            throw QuantityError(description: "is no size; write it as 65536, 512KiB, 25MiB or 4GiB")
        }
        guard let number = Int(digits) else { throw QuantityError(description: "is too large a size") }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        if overflow { throw QuantityError(description: "is too large a size") }
        return product
    }

    /// A duration in its largest whole unit: `90s`, `4m`, `72h`.
    package static func text(nanoseconds: UInt64) -> String {
        if nanoseconds == 0 { return "0s" }
        for (name, scale) in [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)]
            as [(String, UInt64)] where nanoseconds % scale == 0
        {
            return "\(nanoseconds / scale)\(name)"
        }
        return "\(nanoseconds)ns"
    }

    /// A size in its largest whole unit: `25MiB`, `65536` becomes `64KiB`.
    package static func text(bytes: Int) -> String {
        for (name, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        where bytes != 0 && bytes & ((1 << shift) - 1) == 0 {
            return "\(bytes >> shift)\(name)"
        }
        return "\(bytes)"
    }
}

extension Character {
    package var isASCIIDigit: Bool { asciiValue.map { 0x30...0x39 ~= $0 } ?? false }
}
