import Delivery
import Testing

@testable import Trigger

@Suite("Places in the journal that cannot be read")
struct SpillPlaceTests {
    /// Asks, and answers that nothing was found before `place`, or at all.
    private func read(
        _ book: inout SpillBook, at now: UInt64, unread place: SpillReading.Unread? = nil
    ) -> (question: SpillQuestion?, news: SpillPlaceNews) {
        guard let question = book.nextQuestion(now: now, free: 100, held: { _ in 0 }) else { return (nil, .init()) }
        var reading = SpillReading()
        reading.unread = place
        for (route, wanted) in question.routes {
            let end = wanted.through + 1
            reading.positions[route] = .init(next: place.map { max(wanted.from, min($0.from, end)) } ?? end)
        }
        return (question, book.take(reading, now: now))
    }

    private func place(_ segment: UInt64, _ range: ClosedRange<UInt64>) -> SpillReading.Unread {
        .init(segment: segment, from: range.lowerBound, through: range.upperBound, reason: "EIO")
    }

    @Test(
        "A place that cannot be read is tried again after longer and longer; what lies behind it is asked for at once")
    func place() {
        var book = SpillBook()
        book.spill(spilledRange(5, 90, count: 40), of: hook("a"))
        book.spill(spilledRange(25, 40, count: 4), of: hook("b"))
        book.spill(spilledRange(51, 80, count: 4), of: hook("c"))
        let bad = place(3, 20...50)
        let (first, began) = read(&book, at: epoch, unread: bad)
        #expect(first?.from == 5 && began == SpillPlaceNews(began: bad))
        #expect(!book.holds(hook("b")) && book.holds(hook("a")) && !book.isFailing)
        let (behind, none) = read(&book, at: epoch + 1_000_000)
        #expect(none == SpillPlaceNews())
        #expect(behind?.routes.mapValues { [$0.from, $0.through] } == [hook("a"): [51, 90], hook("c"): [51, 80]])
        #expect(!book.isEmpty && book.isCalm(free: 100, of: 100) && book.count > 0)
        #expect(book.ranges.map(\.route.name).sorted() == ["a", "b"])
        var now = epoch
        for delay in [1, 2, 4, 8, 16, 32, 60, 60, 60] as [UInt64] {
            now += delay * second
            #expect(book.nextQuestion(now: now - second / 10, free: 100) { _ in 0 } == nil)
            #expect(book.wakeAt == now)
            let (question, news) = read(&book, at: now, unread: bad)
            #expect(question?.from == 20 && news == SpillPlaceNews(), "once is enough")
            #expect(
                question?.routes.mapValues { [$0.from, $0.through] } == [hook("a"): [20, 50], hook("b"): [25, 40]])
        }
        let (question, ended) = read(&book, at: now + 60 * second)
        #expect(question?.from == 20 && ended == SpillPlaceNews(ended: [bad]))
        #expect(book.isEmpty && book.count == 0 && book.wakeAt == nil)
    }

    @Test("What comes while a place waits goes its way; another route that gets there waits with the first")
    func besidePlace() {
        var book = SpillBook()
        book.spill(spilledRange(5, 90, count: 40), of: hook("a"))
        _ = read(&book, at: epoch, unread: place(3, 20...90))
        #expect(!book.holds(hook("a")) && book.count > 0)
        book.spill(spilledRange(30, 120, count: 2), of: hook("b"))
        let (question, news) = read(&book, at: epoch + second / 2, unread: place(3, 30...95))
        #expect(question?.from == 30 && news == SpillPlaceNews())
        #expect(read(&book, at: epoch + second * 3 / 4).question?.routes[hook("b")]?.from == 96)
        let (again, ended) = read(&book, at: epoch + second)
        #expect(
            again?.routes.mapValues { [$0.from, $0.through] } == [hook("a"): [20, 90], hook("b"): [30, 95]])
        #expect(ended == SpillPlaceNews(ended: [place(3, 20...95)]))
        #expect(book.isEmpty && book.count == 0)
    }

    @Test("However many places there are, few are known; what can be read of them is, whatever cannot")
    func manyPlaces() {
        var book = SpillBook()
        let all: ClosedRange<UInt64> = 1...10_000
        book.spill(spilledRange(all.lowerBound, all.upperBound, count: 1_000), of: hook("a"))
        // Each segment has a hundred sequences.
        var bad = Set((0..<100).filter { $0 % 3 != 0 } as [UInt64])
        var read: Set<UInt64> = []
        var now = epoch
        var began = 0
        var ended = 0
        for round in 0..<40_000 where !book.isEmpty {
            if round == 10_000 { #expect(read == Set(0..<100).subtracting(bad)) }
            if round == 20_000 { bad = bad.filter { $0 < 50 } }
            if round == 30_000 { bad = [] }
            now += second / 10
            guard let question = book.nextQuestion(now: now, free: 100, held: { _ in 0 }),
                let wanted = question.routes[hook("a")]
            else { continue }
            var reading = SpillReading()
            reading.positions[hook("a")] = .init(next: wanted.through + 1)
            for segment in (wanted.from - 1) / 100...(wanted.through - 1) / 100 {
                guard !bad.contains(segment) else {
                    let unread = place(segment, max(wanted.from, segment * 100 + 1)...(segment + 1) * 100)
                    reading.unread = unread
                    reading.positions[hook("a")] = .init(next: unread.from)
                    break
                }
                read.insert(segment)
            }
            let news = book.take(reading, now: now)
            began += news.began == nil ? 0 : 1
            ended += news.ended.count
            #expect(book.placeCount <= SpillBook.placesMax)
            if round == 29_999 { #expect(read == Set(0..<100).subtracting(bad)) }
        }
        #expect(book.isEmpty && read.count == 100)
        #expect(began >= 66 && ended > 0, "\(began) \(ended)")
    }

    @Test("While some places cannot be read all else is done, in its order; when they can be, the rest is")
    func othersGoOn() {
        var settings = DispatcherSettings()
        settings.heldDeliveriesMax = 40
        let run = SpillSimulation(settings: settings, seed: 5)
        let routes = (0..<3).map { hook("h\($0)", namespace: "team-\($0)") }
        for identity in routes {
            run.simulation.define(
                route(identity, [post("http://\(identity.name).test/x")], coalesce: Coalesce(by: .none)))
        }
        run.simulation.world = { _, _ in (.done, second / 10) }
        run.simulation.core.setPaused(Set(routes.map { .route($0) }), now: run.simulation.now)
        for index in 0..<900 { run.arrive(at: routes[index % 3]) }
        let sequences = run.log.map(\.sequence)
        run.spoil(sequences[200]...sequences[260])
        run.spoil(sequences[500]...sequences[500])
        run.spoil(sequences[700]...sequences[899])
        func settle() {
            for _ in 0..<500 {
                run.run(for: second)
                run.answer(looks: 50)
            }
            run.keep()
        }
        run.simulation.core.setPaused([], now: run.simulation.now)
        settle()
        let owed = run.log.map(\.sequence).filter(run.isOwed)
        #expect(owed == Array(sequences[200...260]) + [sequences[500]] + Array(sequences[700...]))
        #expect(run.book.placeCount == 3 && run.simulation.core.owedDeliveryCount == 0)
        #expect((3...300).contains(run.book.count))
        // A new one does not wait for them.
        run.arrive(at: routes[0])
        settle()
        #expect(!run.isOwed(run.log.last?.sequence ?? 0))
        run.heal(all: true)
        settle()
        #expect(!run.log.contains { run.isOwed($0.sequence) } && run.book.isEmpty && run.book.count == 0)
        for route in routes {
            let taken = run.taken[route] ?? []
            #expect(Set(taken).count == taken.count && taken.count >= 300)
            let (apart, others) = (taken.filter(run.late.contains), taken.filter { !run.late.contains($0) })
            #expect(others == others.sorted() && apart.count > 80)
        }
    }
}
