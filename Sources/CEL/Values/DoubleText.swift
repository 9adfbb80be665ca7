// DoubleText: doubles as Go writes and reads them (strconv.FormatFloat with 'g' and the shortest digits, ParseFloat).

extension Double {
    /// `1`, `1.5`, `1e+06`, `NaN`, `+Inf`: exponents below -4 and from 6 on are written as such.
    var celText: String { celText(exponents: -4..<6) }

    /// As `celText`, with an exponent only outside of `exponents`.
    func celText(exponents: Range<Int>) -> String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Inf" : "+Inf" }
        if self == 0 { return sign == .minus ? "-0" : "0" }
        // Swift's description has the shortest digits that read back; only their arrangement differs.
        let (digits, point) = magnitude.shortestDigits
        let exponent = point - 1
        var result = self < 0 ? "-" : ""
        if !exponents.contains(exponent) {
            result += digits.prefix(1)
            if digits.utf8.count > 1 { result += "." + digits.dropFirst() }
            result += exponent < 0 ? "e-" : "e+"
            return result + (exponent.magnitude < 10 ? "0" : "") + String(exponent.magnitude)
        }
        if point <= 0 { return result + "0." + String(repeating: "0", count: -point) + digits }
        if point >= digits.utf8.count {
            return result + digits + String(repeating: "0", count: point - digits.utf8.count)
        }
        return result + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    /// A finite, positive number as 0.digits · 10^point, without zeros at either end.
    private var shortestDigits: (digits: String, point: Int) {
        let parts = description.split(separator: "e")
        let halves = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = halves[0]
        let fraction = halves.count > 1 ? halves[1] : ""
        var digits = whole + fraction
        var point = whole.utf8.count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        while digits.utf8.first == UInt8(ascii: "0"), digits.utf8.count > 1 {
            digits.removeFirst()
            point -= 1
        }
        while digits.utf8.last == UInt8(ascii: "0"), digits.utf8.count > 1 { digits.removeLast() }
        return (String(digits), point)
    }

    /// Decimal or hexadecimal with exponent, `inf`, `infinity` and `nan` in any case; nil for anything else.
    init?(celText text: String) {
        guard text.utf8.count <= 1_024, !text.utf8.contains(UInt8(ascii: "(")), let number = Double(text) else {
            return nil
        }
        // What is too large is an error, unless it says that it is infinite.
        if number.isInfinite, text.utf8.contains(where: { (0x30...0x39).contains($0) }) { return nil }
        self = number
    }
}
