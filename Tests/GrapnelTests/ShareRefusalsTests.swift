import Testing

@testable import Grapnel

@Suite("Namespaces over their share of the journal")
struct ShareRefusalsTests {
    private let second: UInt64 = 1_000_000_000
    private func namespace(_ name: String) -> ShareRefusals.Namespace { .init(cluster: "local", name: name) }

    @Test("a namespace has a line at once and then every ten seconds, with the number since the last")
    func lines() {
        let refusals = ShareRefusals()
        #expect(refusals.note(namespace("a"), now: 100 * second) == .init(namespace: namespace("a"), count: 1))
        #expect(refusals.note(namespace("b"), now: 101 * second)?.count == 1)
        for tick in 101..<110 { #expect(refusals.note(namespace("a"), now: UInt64(tick) * second) == nil) }
        #expect(refusals.note(namespace("a"), now: 110 * second)?.count == 10)
        #expect(refusals.note(namespace("a"), now: 111 * second) == nil)
        let recent = refusals.recent(now: 111 * second)
        #expect(recent.map(\.namespace.name) == ["a", "b"] && recent.map(\.count) == [12, 1])
        #expect(refusals.recent(now: 165 * second).map(\.namespace.name) == ["a"])
        #expect(refusals.recent(now: 171 * second).isEmpty)
        // Over, and again: a line at once.
        #expect(refusals.note(namespace("c"), now: 300 * second) != nil)
        #expect(refusals.note(namespace("a"), now: 301 * second)?.count == 1)
    }

    @Test("a clock that is set back silences nothing")
    func setBack() {
        let refusals = ShareRefusals()
        #expect(refusals.note(namespace("a"), now: 1000 * second) != nil)
        #expect(refusals.note(namespace("a"), now: 400 * second) != nil)
        #expect(refusals.note(namespace("a"), now: 401 * second) == nil)
        #expect(refusals.note(namespace("a"), now: 410 * second)?.count == 2)
    }

    @Test("what is kept is bounded, and what is over makes room")
    func bounded() {
        let refusals = ShareRefusals()
        for number in 0..<2 * ShareRefusals.namespacesMax { _ = refusals.note(namespace("n\(number)"), now: second) }
        #expect(refusals.recent(now: second).count == ShareRefusals.namespacesMax)
        #expect(refusals.note(namespace("late"), now: second) == nil)
        #expect(refusals.note(namespace("late"), now: 100 * second) != nil)
        #expect(refusals.recent(now: 100 * second).map(\.namespace.name) == ["late"])
    }
}
