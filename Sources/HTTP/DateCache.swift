// DateCache: the Date field of all answers of one second (RFC 9110 sections 5.6.7 and 6.6.1).

/// The current time as IMF-fixdate, made anew only when the second changes. One per loop; no clock of its own.
public struct DateCache: Sendable {
    /// Bytes of `Sun, 06 Nov 1994 08:49:37 GMT`.
    public static let byteCount = 29

    private var seconds: Int64
    package private(set) var text: InlineArray<29, UInt8>

    /// Starts at the Unix epoch: `update` before use.
    public init() {
        seconds = 0
        text = Self.format(0)
    }

    public init(unixSeconds: Int64) {
        seconds = unixSeconds
        text = Self.format(unixSeconds)
    }

    /// Takes the time. Cheap when the second is still the same. Seconds outside the years 1970 to 9999 count as the nearest
    /// that are inside.
    public mutating func update(unixSeconds: Int64) {
        if unixSeconds == seconds { return }
        seconds = unixSeconds
        text = Self.format(unixSeconds)
    }

    /// Days to a date by the civil-calendar algorithm with years that begin in March, so that the leap day is the last.
    private static func format(_ unixSeconds: Int64) -> InlineArray<29, UInt8> {
        // 9999-12-31T23:59:59Z: the format has four digits for the year.
        let seconds = Int(min(max(unixSeconds, 0), 253_402_300_799))
        let days = seconds / 86400
        let second = seconds % 86400
        // 719468 days lie between 0000-03-01 and 1970-01-01; an era has 400 years.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)

        var text = InlineArray<29, UInt8>(repeating: ASCII.space)
        // 1970-01-01 was a Thursday.
        put("ThuFriSatSunMonTueWed", days % 7, into: &text, at: 0)
        text[3] = ASCII.comma
        putTwoDigits(day, into: &text, at: 5)
        put("JanFebMarAprMayJunJulAugSepOctNovDec", month - 1, into: &text, at: 8)
        putTwoDigits(year / 100, into: &text, at: 12)
        putTwoDigits(year % 100, into: &text, at: 14)
        putTwoDigits(second / 3600, into: &text, at: 17)
        text[19] = ASCII.colon
        putTwoDigits(second / 60 % 60, into: &text, at: 20)
        text[22] = ASCII.colon
        putTwoDigits(second % 60, into: &text, at: 23)
        put("GMT", 0, into: &text, at: 26)
        return text
    }

    /// Word `index` of a literal of three-letter words.
    private static func put(
        _ words: StaticString, _ index: Int, into text: inout InlineArray<29, UInt8>, at offset: Int
    ) {
        precondition(index >= 0 && index * 3 + 3 <= words.utf8CodeUnitCount)
        // Checked one line above.
        for letter in 0..<3 { text[offset + letter] = unsafe words.utf8Start[index * 3 + letter] }
    }

    private static func putTwoDigits(_ value: Int, into text: inout InlineArray<29, UInt8>, at offset: Int) {
        text[offset] = ASCII.zero + UInt8(value / 10)
        text[offset + 1] = ASCII.zero + UInt8(value % 10)
    }
}
