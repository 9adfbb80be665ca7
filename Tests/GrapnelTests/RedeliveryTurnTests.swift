// What is done with a delivery of a selection when its turn comes.

import Delivery
import Journal
import NIOHTTP1
import Testing

@testable import Grapnel

@Suite("The turn of a selected delivery")
struct RedeliveryTurnTests {
    /// How far the API looks at the journal, from look to look; at the last one something happens.
    private final class View: Sendable {
        private let looks = Locked<[UInt64]>([])
        private let atLast: @Sendable () -> Void

        init(atLast: @escaping @Sendable () -> Void) { self.atLast = atLast }

        func begin(_ through: UInt64...) { looks.withLock { $0 = through } }

        func next() -> UInt64 {
            let (through, isLast) = looks.withLock { looks in
                let isLast = looks.count == 1
                return (looks.count > 1 ? looks.removeFirst() : looks.first ?? 0, isLast)
            }
            if isLast { atLast() }
            return through
        }
    }

    private func api(_ journal: SampleJournal, _ view: View, landed: UInt64) throws -> AdminAPI {
        let history = journal.writer.history
        let routes = CurrentRoutes(
            CurrentRoutes.Configuration(
                table: SimulatedRoutes.table(), repositories: RepositoryIndex(), images: [:]))
        let parts = AdminParts(
            reader: journal.writer.reader, history: history, durableSequence: { view.next() }, routes: routes,
            dispatcher: PipelineSimulation.idle, journalMetrics: journal.writer.metrics, journalRefusal: { nil },
            lostSegments: { [] },
            shareRefusals: ShareRefusals(), refused: RefusedRequests(), counts: RouteCounts(),
            redeliver: { _, _, answered in
                answered(.success(landed))
                return .success(landed)
            }, startJob: { $0() }, settings: ServerSettings(), version: "test")
        let pauses = try PauseBook(dataDirectory: "/nonexistent") { _ in }
        return AdminAPI(parts, pauses: pauses) { _ in nil }
    }

    // That it is not known whether it was redelivered does not mean that it was not.
    @Test("a delivery whose redelivery cannot be read is not redelivered once more", arguments: [false, true])
    func unreadable(again: Bool) throws {
        let journal = try SampleJournal()
        let dead = journal.deliver(to: "r0")
        journal.conclude(dead, .dead)
        let before = journal.writer.history.durableThrough
        let later = journal.deliver(to: "r0")
        let disk = journal.disk
        let view = View { disk.withFaults { $0.failedReadPercent = 100 } }
        let api = try api(journal, view, landed: later)
        _ = api.jobs.carryOut(dead, RedeliveryTurn(act: .asConfigured, original: dead))
        let wish = try #require(RedeliveryWish(.object([])))
        view.begin(before, journal.writer.history.durableThrough)
        if again {
            #expect(try api.turn(dead, wish, again: true).map(\.original) == .success(dead))
        } else {
            #expect(throws: JournalError.self) { try api.turn(dead, wish, again: false) }
        }
    }

    @Test("a delivery that cannot be read is not told as gone")
    func notGone() throws {
        let journal = try SampleJournal()
        let dead = journal.deliver(to: "r0")
        journal.conclude(dead, .dead)
        let disk = journal.disk
        let view = View { disk.withFaults { $0.failedReadPercent = 100 } }
        let api = try api(journal, view, landed: 0)
        let wish = try #require(RedeliveryWish(.object([])))
        view.begin(journal.writer.history.durableThrough)
        #expect(throws: JournalError.self) { try api.turn(dead, wish, again: false) }
    }
}
