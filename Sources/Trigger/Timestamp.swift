// Timestamp: RFC 3339 in UTC with nanoseconds, made without a formatter.

import Synchronization

enum Timestamp {
    /// `2026-05-01T12:34:56.789012345Z`: always nine digits.
    static func rfc3339(nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        let (year, month, day) = civil(days: Int(seconds / 86_400))
        let time = Int(seconds % 86_400)
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(time / 3600, 2)):\(pad(time / 60 % 60, 2)):"
            + "\(pad(time % 60, 2)).\(pad(Int(nanoseconds % 1_000_000_000), 9))Z"
    }

    private static func pad(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Days since 1970-01-01 to a date of the Gregorian calendar (Hinnant: "chrono-Compatible Low-Level Date Algorithms").
    private static func civil(days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

/// Gives times of which no two are equal: a target acts only on a value that it has not seen.
final class UniqueTime: Sendable {
    private let last = Mutex<UInt64>(0)
    private let clock: @Sendable () -> UInt64

    init(clock: @escaping @Sendable () -> UInt64 = { DispatcherClock.wall }) { self.clock = clock }

    func next() -> UInt64 {
        let now = clock()
        return last.withLock { last in
            last = max(last &+ 1, now)
            return last
        }
    }
}
