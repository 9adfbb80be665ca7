import Delivery
import Testing

@testable import Trigger

@Suite("What is left to the journal")
struct SpillBookTests {
    @Test("A route takes more while it holds less than is free, and one delivery always")
    func room() {
        #expect(SpillBook.hasRoom(held: 49, free: 50) && !SpillBook.hasRoom(held: 50, free: 50))
        #expect(SpillBook.hasRoom(held: 0, free: 0) && SpillBook.hasRoom(held: 0, free: -5))
        #expect(!SpillBook.hasRoom(held: 1, free: 0) && !SpillBook.hasRoom(held: 1, free: 1))
        var book = SpillBook()
        #expect(book.isCalm(free: 51, of: 100) && !book.isCalm(free: 50, of: 100))
        book.spill(spilledRange(5, 5, count: 1), of: hook("a"))
        #expect(!book.isCalm(free: 100, of: 100), "a route with spilled deliveries keeps its order")
    }

    @Test("Is read again only where a route holds no more than half of what is free, one reading at a time")
    func lowWater() {
        var book = SpillBook()
        book.spill(spilledRange(5, 90, count: 40), of: hook("a"))
        #expect(book.nextQuestion(now: epoch, free: 50) { _ in 26 } == nil)
        let question = book.nextQuestion(now: epoch + second, free: 50) { _ in 25 }
        #expect(question?.from == 5 && question?.routes[hook("a")] == .init(from: 5, through: 90, room: 12))
        #expect(book.reserved == 12)
        var large = SpillBook()
        large.spill(spilledRange(5, 90_000, count: 80_000), of: hook("a"))
        #expect(large.nextQuestion(now: epoch, free: 100_000) { _ in 4_097 } == nil)
        let next = large.nextQuestion(now: epoch + second, free: 100_000) { _ in 4_096 }
        #expect(next?.routes[hook("a")]?.room == SpillBook.batchMax)
        #expect(book.nextQuestion(now: epoch + 2 * second, free: 50) { _ in 0 } == nil)
    }

    @Test("With nothing free a route that holds none gets one")
    func nothingFree() {
        var book = SpillBook()
        book.spill(spilledRange(5, 90, count: 40), of: hook("a"))
        book.spill(spilledRange(6, 91, count: 40), of: hook("b"))
        let question = book.nextQuestion(now: epoch, free: -3) { $0 == hook("a") ? 1 : 0 }
        #expect(question?.routes == [hook("b"): .init(from: 6, through: 91, room: 1)])
    }

    @Test("Each route comes to its turn; one that lies before the place of reading is left out")
    func turns() {
        var book = SpillBook()
        book.spill(spilledRange(5, 90, count: 40), of: hook("a"))
        book.spill(spilledRange(50, 90, count: 20), of: hook("b"))
        var firsts: [UInt64] = []
        for turn in 1...4 {
            guard let question = book.nextQuestion(now: epoch + UInt64(turn) * second, free: 20, held: { _ in 0 })
            else { break }
            firsts.append(question.from)
            if question.from == 50 { #expect(question.routes[hook("a")] == nil) }
            var reading = SpillReading()
            for (route, wanted) in question.routes { reading.positions[route] = .init(next: wanted.from + 1) }
            // The room of the one that began ended the reading before the other's place.
            if question.from < 50 { reading.positions[hook("b")] = .init(next: 50) }
            book.take(reading, now: epoch)
        }
        #expect(firsts.contains(50) && firsts.first == 5, "\(firsts)")
    }

    @Test(
        "Ends when all was read, goes on where the reading ended, and begins anew before that for one that comes late")
    func ends() {
        var book = SpillBook()
        book.spill(spilledRange(5, 9, count: 3), of: hook("a"))
        #expect(book.count == 3 && book.oldestReceivedNanoseconds == 5 * second)
        let covered = { (book: SpillBook) in book.ranges.map { [$0.range.from, $0.range.through] } }
        #expect(covered(book) == [[5, 9]])
        _ = book.nextQuestion(now: epoch, free: 100) { _ in 0 }
        var reading = SpillReading()
        reading.deliveries = [5, 7].map { sequence in
            RecoveredDelivery(
                delivery: QueuedDelivery(
                    sequence: sequence, receivedNanoseconds: 0, route: hook("a"),
                    location: DeliveryLocation(segment: 1, offset: 0, length: 0)), plan: nil, outcomes: [])
        }
        reading.positions[hook("a")] = .init(next: 9, receivedNanoseconds: 9 * second)
        book.take(reading, now: epoch)
        #expect(book.count == 1 && book.oldestReceivedNanoseconds == 9 * second && covered(book) == [[9, 9]])
        // While it is read again, one comes from before and one from behind.
        _ = book.nextQuestion(now: epoch + second, free: 100) { _ in 0 }
        book.spill(spilledRange(2, 2, count: 1), of: hook("a"))
        book.spill(spilledRange(12, 12, count: 1), of: hook("a"))
        reading.deliveries = []
        reading.positions[hook("a")] = .init(next: 10)
        book.take(reading, now: epoch + second)
        #expect(covered(book) == [[2, 12]])
        let again = book.nextQuestion(now: epoch + 2 * second, free: 100) { _ in 0 }
        #expect(again?.routes[hook("a")]?.from == 2)
        reading.positions[hook("a")] = .init(next: 13)
        book.take(reading, now: epoch + 2 * second)
        #expect(book.isEmpty && book.count == 0 && book.reserved == 0 && book.oldestReceivedNanoseconds == nil)
    }

    @Test("What comes while it is read is read next, wherever the reading has been by then")
    func arrivals() {
        var book = SpillBook()
        book.spill(spilledRange(100, 1_000, count: 3), of: hook("b"))
        book.spill(spilledRange(200, 9_000, count: 90), of: hook("a"))
        _ = book.nextQuestion(now: epoch, free: 100) { _ in 0 }
        for sequence in [1_500, 1_400, 1_600] as [UInt64] {
            book.spill(spilledRange(sequence, sequence, count: 1), of: hook("b"))
        }
        book.spill(spilledRange(7_000, 7_000, count: 1), of: hook("a"))
        var reading = SpillReading()
        reading.positions = [hook("a"): .init(next: 4_200), hook("b"): .init(next: 4_200)]
        book.take(reading, now: epoch)
        let ranges = Dictionary(uniqueKeysWithValues: book.ranges.map { ($0.route, $0.range) })
        #expect(ranges[hook("b")].map { [$0.from, $0.through] } == [1_400, 1_600])
        #expect(ranges[hook("b")]?.oldestReceivedNanoseconds == 1_400 * second)
        #expect(ranges[hook("a")].map { [$0.from, $0.through] } == [4_200, 9_000])
        // Nothing comes from here on: each has its turn.
        reading.positions = [hook("a"): .init(next: 9_001), hook("b"): .init(next: 1_601)]
        for turn in 1...2 as ClosedRange<UInt64> {
            #expect(book.nextQuestion(now: epoch + turn * second, free: 100) { _ in 0 } != nil)
            book.take(reading, now: epoch + turn * second)
        }
        #expect(book.isEmpty && book.count == 0)
    }

    @Test("After a failure it is asked again, a second later")
    func failure() {
        var book = SpillBook()
        book.spill(spilledRange(5, 9, count: 3), of: hook("a"))
        let first = book.nextQuestion(now: epoch, free: 100) { _ in 0 }
        var reading = SpillReading()
        reading.failure = "away"
        book.take(reading, now: epoch)
        #expect(book.isFailing && book.wakeAt == epoch + second && book.count == 3)
        #expect(book.nextQuestion(now: epoch + second - 1, free: 100) { _ in 0 } == nil)
        #expect(book.nextQuestion(now: epoch + second, free: 100) { _ in 0 } == first)
    }

    @Test(
        "Whatever comes in whatever order, some late, with crashes, pauses, failing reads and places that cannot be read: bounded, in order, nothing lost, nothing done twice",
        arguments: testSeeds(60))
    func randomSchedules(seed: UInt64) {
        var settings = DispatcherSettings()
        var random = SeededRandom(seed: seed)
        settings.heldDeliveriesMax = Int.random(in: 1...40, using: &random)
        settings.runningMax = Int.random(in: 1...8, using: &random)
        settings.runningPerTargetMax = Int.random(in: 1...3, using: &random)
        let run = SpillSimulation(settings: settings, seed: seed)
        let routes = (0..<6).map { hook("h\($0)", namespace: "team-\($0 % 3)") }
        for (index, identity) in routes.enumerated() {
            let actions = [
                [post("http://host-\(index).test/x")], [reconcile("app-\(index)")], [build("app-\(index)"), .log],
            ]
            run.simulation.define(
                route(
                    identity, actions[index % 3], coalesce: Bool.random(using: &random) ? Coalesce(by: .none) : nil))
        }
        let calm = epoch + 3000 * second
        let isDown = Bool.random(using: &random)
        run.simulation.world = { action, now in
            let away = isDown && now < calm && action.route.name == "h0"
            return (away ? connectionRefused : .done, second / 2)
        }
        // What a crash forgets, the next life takes up: without any, nothing heals by itself.
        let crashes = Bool.random(using: &random)
        let isSpoilt = Bool.random(using: &random)
        let lateOneIn = Int.random(in: 2...8, using: &random)
        for _ in 0..<Int.random(in: 50...400, using: &random) {
            switch Int.random(in: 0..<18, using: &random) {
            case 0..<5:
                // Storms on one.
                let count = Int.random(in: 1...10, using: &random)
                let storm = routes.randomElement(using: &random)!
                for _ in 0..<count { run.arrive(at: storm, isLate: Int.random(in: 0..<lateOneIn, using: &random) == 0) }
            case 5, 6, 7: run.run(for: UInt64.random(in: 0...2 * second, using: &random))
            case 8, 9, 10, 11:
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    run.advance(
                        looks: Int.random(in: 1...30, using: &random),
                        fails: Int.random(in: 0..<6, using: &random) == 0)
                }
            case 12, 13, 14: run.handOverLate()
            case 15: if isSpoilt { run.spoil() }
            case 16: run.heal()
            default:
                if crashes, Int.random(in: 0..<4, using: &random) == 0 {
                    run.crash()
                } else {
                    let subject = PauseSubject.route(routes.randomElement(using: &random)!)
                    run.simulation.core.setPaused(
                        Bool.random(using: &random) ? [subject] : [], now: run.simulation.now)
                    run.simulation.pump()
                }
            }
        }
        run.simulation.core.setPaused([], now: run.simulation.now)
        run.heal(all: true)
        for _ in 0..<5_000 {
            run.run(for: 2 * second)
            run.answer(looks: 20)
            if run.handOverLate() { continue }
            if run.book.isEmpty, run.simulation.core.owedDeliveryCount == 0, run.simulation.now > calm { break }
        }
        run.keep()
        let owed = run.log.filter { run.isOwed($0.sequence) }.map(\.sequence)
        #expect(owed.isEmpty, "seed \(seed): \(owed) are owed")
        #expect(run.book.isEmpty && run.book.count == 0, "seed \(seed): \(run.book.count) are spilled")
        #expect(run.simulation.core.owedDeliveryCount == 0, "seed \(seed)")
        for route in routes {
            #expect(run.simulation.core.owedDeliveryCount(of: route) == 0, "seed \(seed)")
            let taken = run.taken[route] ?? []
            let inOrder = taken.filter { !run.late.contains($0) }
            #expect(inOrder == inOrder.sorted(), "seed \(seed): \(route) was taken in the order \(taken)")
            #expect(Set(taken).count == taken.count, "seed \(seed): \(route) was taken twice")
        }
        #expect(run.loadMax <= settings.heldDeliveriesMax + routes.count, "seed \(seed): \(run.loadMax) were held")
    }

    @Test("A storm on a route whose target is down keeps no other route's delivery waiting")
    func isolation() {
        var settings = DispatcherSettings()
        settings.heldDeliveriesMax = 100
        let run = SpillSimulation(settings: settings, seed: 1)
        run.simulation.define(route(hook("storm"), [post("http://away.test/x")]))
        run.simulation.define(route(hook("calm", namespace: "team-b"), [post("http://here.test/x")]))
        run.simulation.world = { action, _ in
            (action.route.name == "storm" ? connectionRefused : .done, 1_000_000)
        }
        for _ in 0..<1_000 { run.arrive(at: hook("storm")) }
        #expect(run.simulation.core.owedDeliveryCount(of: hook("storm")) == 50)
        #expect(run.book.count == 950)
        for _ in 0..<20 {
            run.arrive(at: hook("calm", namespace: "team-b"))
            run.run(for: second / 10)
            #expect(run.simulation.core.owedDeliveryCount(of: hook("calm", namespace: "team-b")) == 0)
        }
    }
}
