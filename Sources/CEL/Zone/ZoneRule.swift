// ZoneRule: how a zone goes on behind its last transition, in the form of the TZ variable (POSIX, and RFC 9636 section 3.3.1):
// `CET-1CEST,M3.5.0,M10.5.0/3`. Offsets count west of UTC. Of the three forms of a day only the one that the database uses is
// read: month, week (5 is the last), day of the week.

struct ZoneRule: Sendable {
    private struct Change: Sendable {
        let month: Int
        let week: Int
        let dayOfWeek: Int
        /// Seconds of local time from the day's start; may be negative or beyond the day.
        let time: Int
    }

    private let standardOffset: Int
    private let summer: (offset: Int, start: Change, end: Change)?

    /// Nil when there is none, or it cannot be read.
    init?(_ text: String) {
        var cursor = Cursor(bytes: Array(text.utf8))
        guard cursor.skipName(), let west = cursor.time() else { return nil }
        standardOffset = -west
        guard cursor.skipName() else {
            guard cursor.isAtEnd else { return nil }
            summer = nil
            return
        }
        let offset = cursor.time().map { -$0 } ?? standardOffset + 3_600
        guard let start = cursor.change(), let end = cursor.change(), cursor.isAtEnd else { return nil }
        summer = (offset, start, end)
    }

    func offsetSeconds(at seconds: Int64) -> Int {
        guard let summer, let instant = CELTimestamp(seconds: seconds) else { return standardOffset }
        let year = instant.calendar(offsetSeconds: standardOffset).year
        let start = Self.seconds(of: summer.start, year: year) - Int64(standardOffset)
        let end = Self.seconds(of: summer.end, year: year) - Int64(summer.offset)
        // South of the equator summer spans the new year.
        let isSummer =
            start < end ? (start..<end).contains(seconds) : !(end..<start).contains(seconds)
        return isSummer ? summer.offset : standardOffset
    }

    /// On the local clock.
    private static func seconds(of change: Change, year: Int) -> Int64 {
        let first = CELTimestamp.days(year: year, month: change.month, day: 1)
        let firstDayOfWeek = Int(((first + 4) % 7 + 7) % 7)
        var day = (change.dayOfWeek - firstDayOfWeek + 7) % 7 + (change.week - 1) * 7
        while day >= CELTimestamp.dayCount(year: year, month: change.month) { day -= 7 }
        return (first + Int64(day)) * 86_400 + Int64(change.time)
    }

    private struct Cursor {
        let bytes: [UInt8]
        var offset = 0

        var isAtEnd: Bool { offset == bytes.count }
        var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard let next, UInt32(next) == character.value else { return false }
            offset += 1
            return true
        }

        /// `CET` or `<+03>`
        mutating func skipName() -> Bool {
            let start = offset
            if take("<") {
                while let next, next != UInt8(ascii: ">") { offset += 1 }
                return take(">")
            }
            while let next, (0x41...0x5a).contains(next) || (0x61...0x7a).contains(next) { offset += 1 }
            return offset > start
        }

        mutating func number() -> Int? {
            var number: Int?
            while let next, (0x30...0x39).contains(next), number ?? 0 < 1_000 {
                number = (number ?? 0) * 10 + Int(next & 15)
                offset += 1
            }
            return number
        }

        /// `-1`, `3:30`, in seconds.
        mutating func time() -> Int? {
            let isNegative = take("-")
            if !isNegative { _ = take("+") }
            guard let hours = number() else { return nil }
            let minutes = take(":") ? number() ?? 0 : 0
            let seconds = take(":") ? number() ?? 0 : 0
            return (isNegative ? -1 : 1) * (hours * 3_600 + minutes * 60 + seconds)
        }

        /// `,M3.5.0/2`; at two o'clock unless it says otherwise.
        mutating func change() -> Change? {
            guard take(","), take("M"), let month = number(), take("."), let week = number(), take("."),
                let day = number(), (1...12).contains(month), (1...5).contains(week), day < 7
            else { return nil }
            guard take("/") else { return Change(month: month, week: week, dayOfWeek: day, time: 7_200) }
            return time().map { Change(month: month, week: week, dayOfWeek: day, time: $0) }
        }
    }
}
