// ExactDecimal: all decimal digits of a double, for writing it with a given number of them. Every double is a whole number times a
// power of two and so has finitely many; rounding them is exact, halves going to the even digit, as in Go's strconv.

struct ExactDecimal {
    /// Without zeros at either end; empty for zero. The value is 0.digits · 10^point.
    private var digits: [UInt8]
    private var point: Int

    private static let limb: UInt64 = 1_000_000_000

    /// `number` is finite; its sign is dropped.
    init(_ number: Double) {
        let magnitude = number.magnitude
        guard magnitude > 0 else {
            digits = []
            point = 0
            return
        }
        let exponent = magnitude.isNormal ? Int(magnitude.exponent) - 52 : -1_074
        let mantissa = magnitude.significandBitPattern | (magnitude.isNormal ? 1 << 52 : 0)
        // Least significant limb first.
        var limbs = [mantissa % Self.limb, mantissa / Self.limb]
        // A factor of 2 is one; a division by 2 is a factor of 5 and a step of the point.
        let factor: UInt64 = exponent > 0 ? 2 : 5
        for _ in 0..<exponent.magnitude {
            var carry: UInt64 = 0
            for index in limbs.indices {
                let product = limbs[index] * factor + carry
                limbs[index] = product % Self.limb
                carry = product / Self.limb
            }
            if carry > 0 { limbs.append(carry) }
        }
        digits = []
        for limb in limbs.reversed() {
            let text = String(limb)
            digits += Array(repeating: 0, count: 9 - text.utf8.count) + text.utf8.map { $0 - 0x30 }
        }
        point = digits.count + min(exponent, 0)
        let zeros = digits.prefix { $0 == 0 }.count
        digits.removeFirst(zeros)
        point -= zeros
        while digits.last == 0 { digits.removeLast() }
    }

    /// Keeps `count` digits, which may be none or fewer.
    private mutating func round(to count: Int) {
        guard count < digits.count else { return }
        guard count >= 0 else {
            digits = []
            return
        }
        let next = digits[count]
        let isTie = next == 5 && count + 1 == digits.count
        let isUp = isTie ? count > 0 && digits[count - 1] % 2 == 1 : next >= 5
        digits.removeLast(digits.count - count)
        guard isUp else { return }
        var index = count - 1
        while index >= 0, digits[index] == 9 {
            digits[index] = 0
            index -= 1
        }
        if index >= 0 {
            digits[index] += 1
        } else {
            digits.insert(1, at: 0)
            point += 1
        }
    }

    private func digit(_ index: Int) -> Character {
        digits.indices.contains(index) ? Character(Unicode.Scalar(digits[index] + 0x30)) : "0"
    }

    /// `1234.50`
    func fixed(decimals: Int) -> String {
        var rounded = self
        rounded.round(to: point + decimals)
        var text = rounded.point <= 0 ? "0" : ""
        for index in 0..<max(rounded.point, 0) { text.append(rounded.digit(index)) }
        if decimals > 0 { text += "." }
        for index in 0..<decimals { text.append(rounded.digit(rounded.point + index)) }
        return text
    }

    /// `1.2345e+03`
    func scientific(decimals: Int) -> String {
        var rounded = self
        rounded.round(to: 1 + decimals)
        var text = String(rounded.digit(0))
        if decimals > 0 { text += "." }
        for index in 0..<decimals { text.append(rounded.digit(1 + index)) }
        let exponent = rounded.digits.isEmpty ? 0 : rounded.point - 1
        text += exponent < 0 ? "e-" : "e+"
        return text + (exponent.magnitude < 10 ? "0" : "") + String(exponent.magnitude)
    }
}
