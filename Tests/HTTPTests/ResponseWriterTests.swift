import HTTP
import Testing

@Suite("Responses")
struct ResponseWriterTests {
    private let date = DateCache(unixSeconds: 784_111_777)

    /// What `write` makes, in a buffer of `capacity` bytes; nil when it says that it did not fit.
    private func response(capacity: Int = 1024, _ write: (inout ResponseWriter) -> Int) -> String? {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
        defer { buffer.deallocate() }
        var writer = ResponseWriter(buffer, date: date)
        let count = write(&writer)
        return count == 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }

    private func finish(
        _ writer: inout ResponseWriter, _ body: String = "", closing: Bool = false, isHead: Bool = false,
        announcesKeepAlive: Bool = false
    ) -> Int {
        Array(body.utf8).withUnsafeBytes {
            writer.finish(body: $0, closing: closing, isHead: isHead, announcesKeepAlive: announcesKeepAlive)
        }
    }

    @Test("An answer has status line, Date, its fields, Content-Length and the body")
    func plain() {
        let text = response { writer in
            writer.begin(status: 202)
            writer.field("Grapnel-Delivery", decimal: 1_234_567_890_123)
            writer.field("Content-Type", "application/json")
            Array("accepted".utf8).withUnsafeBytes { writer.field("Grapnel-Decision", bytes: $0) }
            return finish(&writer, "{\"a\":1}")
        }
        #expect(
            text == """
                HTTP/1.1 202 Accepted\r
                Date: Sun, 06 Nov 1994 08:49:37 GMT\r
                Grapnel-Delivery: 1234567890123\r
                Content-Type: application/json\r
                Grapnel-Decision: accepted\r
                Content-Length: 7\r
                \r
                {"a":1}
                """)
    }

    @Test("An empty body is announced with Content-Length 0")
    func emptyBody() {
        let text = response { writer in
            writer.begin(status: 200)
            return finish(&writer)
        }
        #expect(text == "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n")
    }

    @Test("A closing answer says so, a kept HTTP/1.0 connection too")
    func connection() throws {
        let closing = try #require(
            response { writer in
                writer.begin(status: 400)
                return finish(&writer, closing: true)
            })
        #expect(closing.hasSuffix("\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
        let kept = try #require(
            response { writer in
                writer.begin(status: 200)
                return finish(&writer, announcesKeepAlive: true)
            })
        #expect(kept.hasSuffix("\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"))
        let both = try #require(
            response { writer in
                writer.begin(status: 200)
                return finish(&writer, closing: true, announcesKeepAlive: true)
            })
        #expect(both.contains("Connection: close\r\n") && !both.contains("keep-alive"))
    }

    @Test("HEAD is told the length of the body it does not get")
    func head() throws {
        let text = try #require(
            response { writer in
                writer.begin(status: 404)
                return finish(&writer, "not found", isHead: true)
            })
        #expect(text.hasSuffix("\r\nContent-Length: 9\r\n\r\n"))
    }

    @Test("204 has neither body nor Content-Length, 304 no body")
    func bodiless() throws {
        let noContent = try #require(
            response { writer in
                writer.begin(status: 204)
                return finish(&writer, "x")
            })
        #expect(noContent == "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n")
        let notModified = try #require(
            response { writer in
                writer.begin(status: 304)
                return finish(&writer, "x")
            })
        #expect(notModified.hasSuffix("\r\nContent-Length: 1\r\n\r\n"))
    }

    @Test("A status without a phrase keeps the space of its status line")
    func unknownStatus() throws {
        let text = try #require(
            response { writer in
                writer.begin(status: 599)
                return finish(&writer)
            })
        #expect(text.hasPrefix("HTTP/1.1 599 \r\nDate: "))
    }

    @Test("Every refusal's status has a phrase")
    func phrases() throws {
        let own: [UInt16] = [200, 201, 202, 204, 307, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503]
        for status in own + HTTPParseError.allCases.map(\.status) {
            let text = try #require(
                response { writer in
                    writer.begin(status: status)
                    return finish(&writer)
                })
            let line = text.prefix { !$0.isNewline }
            #expect(line.hasPrefix("HTTP/1.1 \(status) "))
            #expect(line.utf8.count > "HTTP/1.1 200 ".utf8.count, "\(line)")
        }
    }

    @Test("No value can end its field: control characters become question marks")
    func injection() throws {
        let text = try #require(
            response { writer in
                writer.begin(status: 200)
                Array("a\r\nSet-Cookie: b\0\u{7f}\tc".utf8).withUnsafeBytes { writer.field("X", bytes: $0) }
                return finish(&writer)
            })
        #expect(text.contains("\r\nX: a??Set-Cookie: b??\tc\r\n"))
    }

    @Test("What does not fit is not written: every capacity below the size gives 0, the size itself all of it")
    func capacity() {
        let write: (inout ResponseWriter) -> Int = { writer in
            writer.begin(status: 503)
            writer.field("Retry-After", decimal: 5)
            writer.field("X", "y")
            return finish(&writer, "later", closing: true)
        }
        let whole = response(write)!
        #expect(response(capacity: whole.utf8.count, write) == whole)
        for capacity in 0..<whole.utf8.count { #expect(response(capacity: capacity, write) == nil) }
        #expect(whole.utf8.count < ResponseWriter.headBytesMax)
    }

    @Test("Beginning again forgets the answer before")
    func again() throws {
        let text = try #require(
            response { writer in
                writer.begin(status: 200)
                writer.field("X", "y")
                writer.begin(status: 500)
                return finish(&writer)
            })
        #expect(text.hasPrefix("HTTP/1.1 500 Internal Server Error\r\n"))
        #expect(!text.contains("X: y"))
    }

    @Test("Numbers are written in full", arguments: [0, 9, 10, 99, 100, UInt64.max])
    func decimals(value: UInt64) throws {
        let text = try #require(
            response { writer in
                writer.begin(status: 200)
                writer.field("N", decimal: value)
                return finish(&writer)
            })
        #expect(text.contains("\r\nN: \(value)\r\n"))
    }

    @Test("The interim response is complete")
    func interim() {
        #expect("\(ResponseWriter.continueResponse)" == "HTTP/1.1 100 Continue\r\n\r\n")
    }
}

@Suite("The Date field")
struct DateCacheTests {
    private func text(_ seconds: Int64) -> String {
        let date = DateCache(unixSeconds: seconds)
        return String(decoding: date.text.indices.map { date.text[$0] }, as: UTF8.self)
    }

    @Test(
        "Seconds become IMF-fixdate",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"), (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"), (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (Int64.min, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] as [(Int64, String)])
    func formats(seconds: Int64, expected: String) {
        #expect(text(seconds) == expected)
    }

    @Test("Each day of four centuries follows the one before")
    func everyDay() {
        let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        var year = 1970
        var month = 0
        var day = 1
        for index in 0..<146_097 {
            let dayText = day < 10 ? "0\(day)" : "\(day)"
            let expected = "\(weekdays[index % 7]), \(dayText) \(names[month]) \(year) 12:34:56 GMT"
            guard text(Int64(index) * 86400 + 45296) == expected else {
                Issue.record("day \(index): \(expected)")
                return
            }
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month]
            day += 1
            if day > days {
                day = 1
                month += 1
            }
            if month == 12 {
                month = 0
                year += 1
            }
        }
    }

    @Test("An update takes the new second")
    func update() {
        var date = DateCache(unixSeconds: 10)
        date.update(unixSeconds: 784_111_777)
        #expect(String(decoding: date.text.indices.map { date.text[$0] }, as: UTF8.self) == text(784_111_777))
    }
}
