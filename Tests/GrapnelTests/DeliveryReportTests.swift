// What the API tells of one delivery: no secret of a route that its request came to.

import Catalog
import Delivery
import Foundation
import Journal
import Testing
import Trigger

@testable import Grapnel

@Suite("What the API tells of one delivery")
struct DeliveryReportTests {
    private static let token = "first-route-t0ken-5c1e"

    private func report(_ journal: SampleJournal) throws -> (report: DeliveryReport, index: DeliveryIndex) {
        let definitions = [("webapp", Self.token), ("canary", "canary-t0ken-88d1"), ("third", "third-t0ken-0b7f")].map {
            RouteDefinition(
                identity: SampleJournal.route($0), path: "/hooks/team-a/" + $0, sender: .github,
                secrets: [SecretBytes(Array($1.utf8))])
        }
        let routes = CurrentRoutes(
            CurrentRoutes.Configuration(
                table: RouteTable(definitions, bodyBytesMax: 1 << 20), repositories: RepositoryIndex([]), images: [:]))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        let index = journal.index
        let report = DeliveryReport(
            reader: journal.writer.reader, journal: journal.writer.history, index: index, routes: routes,
            pauses: try PauseBook(dataDirectory: folder.path) { _ in })
        return (report, index)
    }

    /// Body and detail.
    private func told(_ journal: SampleJournal, _ sequence: UInt64) throws -> (body: String, detail: String) {
        let (report, index) = try report(journal)
        guard case .found(let delivery, let segment) = try index.find(sequence, deadline: .max) else {
            Issue.record("\(sequence) is not found")
            return ("", "")
        }
        let body = try #require(try report.body(delivery))
        let detail = try #require(try report.detail(delivery, lastSegment: segment))
        return (
            String(decoding: body.bytes, as: UTF8.self), String(decoding: AdminAnswer.json(detail).bytes, as: UTF8.self)
        )
    }

    @Test("a redelivery to another route shows no secret of the first one, whose record may lie far back or be gone")
    func firstRoute() throws {
        let journal = try SampleJournal(maxBytes: 4 << 20)
        let text = "it is \(Self.token), base64 \(Data(Self.token.utf8).base64EncodedString()), of team-a"
        let first = journal.deliver(body: Array(text.utf8))
        journal.conclude(first, .done)
        // Its first delivery's segment is another one.
        while journal.writer.reader.segments.count < 3 { journal.conclude(journal.deliver(bytes: 100_000), .done) }
        let copy = try journal.redeliver(first, to: "canary")
        func check(_ when: Comment) throws {
            let (body, detail) = try told(journal, copy)
            #expect(
                body.hasPrefix("it is ****") && body.hasSuffix(", of team-a") && body.utf8.count == text.utf8.count,
                when)
            #expect(detail.contains("it is ***, base64 ***, of team-a"), when)
        }
        #expect(try journal.writer.history.record(of: first) != nil)
        try check("while it is there")
        for _ in 0..<200 where try journal.writer.history.record(of: first) != nil {
            journal.conclude(journal.deliver(bytes: 100_000), .done)
        }
        #expect(try journal.writer.history.record(of: first) == nil)
        try check("when it is gone")
    }

    @Test("a body that is no text is shown without the secret too")
    func binary() throws {
        let journal = try SampleJournal()
        let sequence = journal.deliver(body: [0xff] + Array(Self.token.utf8) + [0xfe])
        let masked = [0xff] + [UInt8](repeating: UInt8(ascii: "*"), count: Self.token.utf8.count) + [0xfe]
        #expect(try told(journal, sequence).detail.contains(Data(masked).base64EncodedString()))
    }

    @Test("of many secrets those that occur are found, at the ends and across one another, and none that is only begun")
    func occurring() {
        let secrets = ["12345678", "12345678-more", "78-more-and", "not-there-at-all", "short"]
        let redact = Redaction(secrets: secrets.map { SecretBytes(Array($0.utf8)) })
        func found(_ text: String) -> Set<String> { Set(redact.occurring(in: Array(text.utf8))) }
        #expect(found("12345678") == ["12345678"])
        #expect(found("x12345678-more-and") == ["12345678", "12345678-more", "78-more-and"])
        #expect(found("not-there-at-al short 1234567") == [])
        #expect(found("") == [])
    }
}
