// CELTimestamp: an instant as google.protobuf.Timestamp has it, read and written as RFC 3339, and its parts on the calendar.
//
// The calendar is the proleptic Gregorian one; days are counted from 1970-01-01.

public struct CELTimestamp: Sendable, Hashable {
    /// Since 1970-01-01T00:00:00Z; within the years 1 to 9999.
    public let seconds: Int64
    /// 0 to 999,999,999.
    public let nanoseconds: Int32

    /// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
    private static let secondsAllowed: ClosedRange<Int64> = -62_135_596_800...253_402_300_799
    private static let secondsPerDay: Int64 = 86_400

    /// Nil outside of the years 1 to 9999.
    public init?(seconds: Int64, nanoseconds: Int32 = 0) {
        guard Self.secondsAllowed.contains(seconds), (0..<1_000_000_000).contains(nanoseconds) else { return nil }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// RFC 3339 with upper-case `T` and `Z`, as Go's time.RFC3339 wants it; any number of fraction digits, of which nine count.
    public init?(text: String) {
        var rest = TimeCursor(text)
        guard let year = rest.digits(4), rest.take("-"), let month = rest.digits(2), rest.take("-"),
            let day = rest.digits(2), rest.take("T"), let hour = rest.digits(2), rest.take(":"),
            let minute = rest.digits(2), rest.take(":"), let second = rest.digits(2),
            (1...12).contains(month), (1...Self.dayCount(year: year, month: month)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        var nanoseconds: Int32 = 0
        if rest.take(".") {
            guard let fraction = rest.fraction() else { return nil }
            nanoseconds = fraction
        }
        guard let offset = rest.zoneOffset(), rest.isAtEnd else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        let seconds = days * Self.secondsPerDay + Int64(hour * 3_600 + minute * 60 + second) - Int64(offset)
        self.init(seconds: seconds, nanoseconds: nanoseconds)
    }

    /// UTC, with the fraction in as many digits as it needs.
    public var text: String {
        let parts = calendar(offsetSeconds: 0)
        let year = String(parts.year)
        var result = String(repeating: "0", count: 4 - year.utf8.count) + year
        result += "-\(padded(parts.month))-\(padded(parts.day))"
        result += "T\(padded(parts.hour)):\(padded(parts.minute)):\(padded(parts.second))"
        if nanoseconds != 0 {
            var digits = String(nanoseconds)
            digits = String(repeating: "0", count: 9 - digits.utf8.count) + digits
            while digits.utf8.last == UInt8(ascii: "0") { digits.removeLast() }
            result += "." + digits
        }
        return result + "Z"
    }

    private func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Nil when the sum leaves the years 1 to 9999.
    func advanced(by duration: CELDuration) -> CELTimestamp? {
        let billion: Int64 = 1_000_000_000
        var whole = duration.nanoseconds / billion
        var part = Int64(nanoseconds) + duration.nanoseconds % billion
        if part < 0 {
            part += billion
            whole -= 1
        } else if part >= billion {
            part -= billion
            whole += 1
        }
        return CELTimestamp(seconds: seconds + whole, nanoseconds: Int32(part))
    }

    /// Nil when the difference is beyond a duration's 292 years.
    func duration(since other: CELTimestamp) -> CELDuration? {
        let (whole, overflow) = (seconds - other.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return nil }
        let (sum, sumOverflow) = whole.addingReportingOverflow(Int64(nanoseconds - other.nanoseconds))
        return sumOverflow ? nil : CELDuration(nanoseconds: sum)
    }
}

extension CELTimestamp: Comparable {
    public static func < (left: CELTimestamp, right: CELTimestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

extension CELTimestamp {
    struct Calendar {
        var year: Int
        /// 1 to 12.
        var month: Int
        /// 1 to 31.
        var day: Int
        var hour: Int
        var minute: Int
        var second: Int
        /// 0 is Sunday.
        var dayOfWeek: Int
        /// 0 is the first of January.
        var dayOfYear: Int
    }

    func calendar(offsetSeconds: Int) -> Calendar {
        let local = seconds + Int64(offsetSeconds)
        var days = local / Self.secondsPerDay
        var clock = Int(local % Self.secondsPerDay)
        if clock < 0 {
            clock += Int(Self.secondsPerDay)
            days -= 1
        }
        let (year, month, day) = Self.date(days: days)
        return Calendar(
            year: year, month: month, day: day, hour: clock / 3_600, minute: clock / 60 % 60, second: clock % 60,
            dayOfWeek: Int(((days + 4) % 7 + 7) % 7),
            dayOfYear: Int(days - Self.days(year: year, month: 1, day: 1)))
    }

    static func dayCount(year: Int, month: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // Both count in eras of 400 years of 146,097 days that begin on the first of March, so that the leap day comes last.
    static func days(year: Int, month: Int, day: Int) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    static func date(days: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = Int(days) + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
