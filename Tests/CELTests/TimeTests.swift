import Testing

@testable import CEL

@Suite struct TimeTests {
    @Test(
        "timestamps and durations",
        arguments: [
            "timestamp('2009-02-13T23:31:30Z').getFullYear() == 2009",
            "timestamp('2009-02-13T23:31:30Z').getMonth() == 1",
            "timestamp('2009-02-13T23:31:30Z').getDate() == 13",
            "timestamp('2009-02-13T23:31:30Z').getDayOfMonth() == 12",
            "timestamp('2009-02-13T23:31:30Z').getDayOfWeek() == 5",
            "timestamp('2009-02-13T23:31:30Z').getDayOfYear() == 43",
            "timestamp('2009-02-13T23:31:30.123456789Z').getMilliseconds() == 123",
            "timestamp('2009-02-13T23:31:30Z').getSeconds() == 30",
            "timestamp('2009-02-13T23:31:30Z').getHours('+02:00') == 1",
            "timestamp('2009-02-13T23:31:30Z').getHours('-02:30') == 21",
            "timestamp('2009-02-13T23:31:30Z').getMinutes('-02:30') == 1",
            "timestamp('2009-02-13T23:31:30Z').getHours('UTC') == 23",
            "timestamp('2009-02-13T23:31:30Z').getDate('02:00') == 14",
            "timestamp('0001-01-01T00:00:00Z').getFullYear() == 1",
            "timestamp('9999-12-31T23:59:59.999999999Z').getFullYear() == 9999",
            "timestamp('2024-02-29T00:00:00Z').getDate() == 29",
            "timestamp('2024-05-01T00:00:00+01:00') == timestamp('2024-04-30T23:00:00Z')",
            "timestamp('2024-05-01T00:00:00Z') + duration('25h') == timestamp('2024-05-02T01:00:00Z')",
            "duration('1s') + timestamp(0) == timestamp(1)", "timestamp(10) - timestamp(4) == duration('6s')",
            "timestamp(10) - duration('4s') == timestamp(6)", "timestamp(0) - duration('0.5s') < timestamp(0)",
            "duration('1h') + duration('30m') == duration('90m')", "duration('1h') - duration('2h') == duration('-1h')",
            "duration('3730s').getHours() == 1", "duration('3730s').getMinutes() == 62",
            "duration('3730s').getSeconds() == 3730",
            "duration('123.321456789s').getMilliseconds() == 123321", "duration('1h2m3.5s') == duration('3723500ms')",
            "duration('-1.5h') == duration('-90m')", "duration('0') == duration('0s')",
            "duration('1us') == duration('1000ns')",
            "duration('1µs') == duration('1us')", "duration('.5s') == duration('500ms')",
            "duration('+1s') > duration('999ms')",
            "timestamp('1969-12-31T23:59:59Z').getSeconds() == 59",
            "timestamp('1960-01-01T00:00:00Z').getDayOfWeek() == 5",
            "string(timestamp('0001-01-01T00:00:00Z')) == '0001-01-01T00:00:00Z'",
            "timestamp(dyn('2024-05-01T00:00:00.5Z')) > timestamp(0)",
        ])
    func times(_ source: String) { #expect(isTrue(source), "\(failure(source))") }

    @Test(
        "texts that are no time",
        arguments: [
            "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01t00:00:00z", "2024-01-01T00:00:00", "2024-01-01",
            "",
            "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Z ", "0000-01-01T00:00:00Z", "2024-01-01T00:00:00+24:00",
            "2023-02-29T00:00:00Z",
            "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "24-01-01T00:00:00Z", "2024-01-01T00:00:00+0100",
        ])
    func noTimes(_ text: String) { #expect(CELTimestamp(text: text) == nil) }

    @Test(
        "texts that are no duration",
        arguments: [
            "", "1", "s", "1d", "-", ".s", "1..5s", "1h 1m", "9999999999h", "99999999999999999999s", "1S", "--1s",
            "1h-1m",
        ])
    func noDurations(_ text: String) { #expect(CELDuration(text: text) == nil) }

    @Test(
        "sums that leave what a time can hold",
        arguments: [
            ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "timestamp overflow"),
            ("timestamp('0001-01-01T00:00:00Z') - duration('1ns')", "timestamp overflow"),
            ("timestamp('9999-01-01T00:00:00Z') - timestamp('0001-01-01T00:00:00Z')", "duration overflow"),
            ("duration('9223372036s') + duration('9223372036s')", "duration overflow"),
            ("timestamp(0).getHours('Nowhere/Land')", "unknown time zone Nowhere/Land"),
            ("timestamp(0).getHours('../../../etc/passwd')", "unknown time zone ../../../etc/passwd"),
            ("timestamp(0).getHours('Europe')", "unknown time zone Europe"),
            ("timestamp(0).getHours('+25:00')", "unknown time zone +25:00"),
            ("timestamp(0).getHours('/etc/localtime')", "unknown time zone /etc/localtime"),
        ])
    func errors(_ source: String, _ text: String) { #expect(failure(source) == text) }

    @Test("every day of four centuries goes to a date and back")
    func calendar() {
        var expected = (year: 1_900, month: 1, day: 1)
        let start = CELTimestamp.days(year: 1_900, month: 1, day: 1)
        #expect(start == -25_567)
        for day in 0..<146_097 as Range<Int64> {
            let date = CELTimestamp.date(days: start + day)
            #expect(date == expected)
            #expect(CELTimestamp.days(year: date.year, month: date.month, day: date.day) == start + day)
            expected.day += 1
            if expected.day > CELTimestamp.dayCount(year: expected.year, month: expected.month) {
                expected.day = 1
                expected.month += 1
            }
            if expected.month > 12 {
                expected.month = 1
                expected.year += 1
            }
        }
    }

    @Test("the rule of a zone goes on for ever, in both hemispheres")
    func rules() throws {
        let berlin = try #require(ZoneRule("CET-1CEST,M3.5.0,M10.5.0/3"))
        let summer = try #require(CELTimestamp(text: "2090-03-26T01:00:00Z")).seconds
        #expect(berlin.offsetSeconds(at: summer - 1) == 3_600)
        #expect(berlin.offsetSeconds(at: summer) == 7_200)
        let winter = try #require(CELTimestamp(text: "2090-10-29T01:00:00Z")).seconds
        #expect(berlin.offsetSeconds(at: winter - 1) == 7_200)
        #expect(berlin.offsetSeconds(at: winter) == 3_600)
        let sydney = try #require(ZoneRule("AEST-10AEDT,M10.1.0,M4.1.0/3"))
        #expect(sydney.offsetSeconds(at: try #require(CELTimestamp(text: "2090-01-01T00:00:00Z")).seconds) == 39_600)
        #expect(sydney.offsetSeconds(at: try #require(CELTimestamp(text: "2090-07-01T00:00:00Z")).seconds) == 36_000)
        #expect(ZoneRule("<+0330>-3:30")?.offsetSeconds(at: 0) == 12_600)
        for text in ["", "CET", "CET-1CEST", "CET-1CEST,J1,J2", "CET-1CEST,M13.1.0,M1.1.0", "CET-1 "] {
            #expect(ZoneRule(text) == nil)
        }
    }

    @Test("bytes that are no zone are refused, however damaged")
    func damagedZones() throws {
        var bytes = Array("TZif2".utf8) + Array(repeating: 0 as UInt8, count: 15)
        for count in [0, 0, 0, 1, 1, 4] as [UInt8] { bytes += [0, 0, 0, count] }
        let block: [UInt8] = [0, 0, 0, 0, 0] + [0, 0, 0x0e, 0x10, 0, 0] + Array("CET\0".utf8)
        let long: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0x0e, 0x10, 0, 0] + Array("CET\0".utf8)
        let whole = bytes + block + bytes + long + Array("\nCET-1\n".utf8)
        #expect(ZoneFile(whole)?.offsetSeconds(at: 100) == 3_600)
        for count in whole.indices { _ = ZoneFile(Array(whole[..<count])) }
        for index in whole.indices {
            for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
                var damaged = whole
                damaged[index] = value
                _ = ZoneFile(damaged)?.offsetSeconds(at: 0)
            }
        }
    }
}
