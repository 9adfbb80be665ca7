// Retry-After: how long a server asks to be left alone (RFC 9110 section 10.2.3).

public import Foundation

public enum RetryAfter {
    /// Longer waits are cut to this: a day-long answer must not stop a trigger for a day.
    public static let nanosecondsMax: UInt64 = 3600 * 1_000_000_000

    /// Nanoseconds to wait, from a number of seconds or an HTTP date; nil for anything else.
    ///
    /// A date in the past is zero. `secondsSince1970` is the clock that a date is compared with.
    public static func nanoseconds(_ value: String, secondsSince1970: Double = Date().timeIntervalSince1970) -> UInt64?
    {
        let value = value.trimmingCharacters(in: .whitespaces)
        if value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !value.isEmpty {
            guard let seconds = UInt64(value) else { return nanosecondsMax }
            return seconds >= nanosecondsMax / 1_000_000_000 ? nanosecondsMax : seconds * 1_000_000_000
        }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        // IMF-fixdate, and the two obsolete forms that a recipient must accept.
        for format in ["EEE, dd MMM yyyy HH:mm:ss 'GMT'", "EEEE, dd-MMM-yy HH:mm:ss 'GMT'", "EEE MMM d HH:mm:ss yyyy"] {
            formatter.dateFormat = format
            guard let date = formatter.date(from: value) else { continue }
            let wait = date.timeIntervalSince1970 - secondsSince1970
            return wait <= 0 ? 0 : UInt64(min(wait * 1e9, Double(nanosecondsMax)))
        }
        return nil
    }
}
