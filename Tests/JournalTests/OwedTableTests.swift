// OwedTable and NamespaceTable: what is owed, and by whom.

import Testing

@testable import Journal

@Suite("OwedTable")
struct OwedTableTests {
    private func entry(_ sequence: UInt64) -> OwedTable.Entry {
        OwedTable.Entry(
            sequence: sequence, dedupeHash: .none,
            location: RecordLocation(segment: sequence % 5, offset: 0, length: 8), namespace: 0)
    }

    private func fate(_ effect: OwedTable.Effect) -> OwedTable.Fate? {
        if case .final(_, let fate) = effect { return fate }
        return nil
    }

    @Test("an outcome for what is not owed changes nothing")
    func unknown() {
        var table = OwedTable()
        guard case .none = table.apply(.done, to: 7, planIndex: 0) else {
            Issue.record("sequence 7 is not owed")
            return
        }
        #expect(table.count == 0)

    }

    @Test(
        "the worst outcome of a plan is the delivery's: dead over done over ignored",
        arguments: [
            ([Outcome.done, .done], OwedTable.Fate.done), ([.ignored, .done], .done), ([.ignored, .merged], .done),
            ([.done, .dead], .dead), ([.ignored, .ignored], .ignored), ([], .done),
        ])
    func fates(_ outcomes: [Outcome], _ expected: OwedTable.Fate) {
        var table = OwedTable()
        table.insert(entry(1))
        var effect = table.setPlan(1, count: outcomes.count)
        for (index, outcome) in outcomes.enumerated() {
            #expect(fate(effect) == nil)
            effect = table.apply(outcome, to: 1, planIndex: UInt16(index))
        }
        #expect(fate(effect) == expected)
        #expect(table.count == 0)
    }

    @Test("a final outcome counts once, also for indexes beyond the bit set")
    func once() {
        var table = OwedTable()
        table.insert(entry(1))
        _ = table.setPlan(1, count: 70)
        for index in UInt16(0)..<69 {
            #expect(fate(table.apply(.done, to: 1, planIndex: index)) == nil)
            #expect(fate(table.apply(.dead, to: 1, planIndex: index)) == nil)
        }
        // The repeats did not make it dead.
        #expect(fate(table.apply(.done, to: 1, planIndex: 69)) == .done)
    }

    @Test("outcomes may come before the plan")
    func planLater() {
        var table = OwedTable()
        table.insert(entry(1))
        #expect(fate(table.apply(.done, to: 1, planIndex: 0)) == nil)
        #expect(fate(table.setPlan(1, count: 1)) == .done)
    }

    @Test("a failed attempt shows until its index is final")
    func failing() {
        var table = OwedTable()
        table.insert(entry(1))
        _ = table.setPlan(1, count: 2)
        func isFailing(_ effect: OwedTable.Effect) -> Bool? {
            if case .open(let isFailing) = effect { return isFailing }
            return nil
        }
        #expect(isFailing(table.apply(.failed, to: 1, planIndex: 0)) == true)
        #expect(isFailing(table.apply(.done, to: 1, planIndex: 0)) == false)
        #expect(isFailing(table.apply(.failed, to: 1, planIndex: 0)) == false)
    }

    @Test("holds what a dictionary would, through growth and removal")
    func model() {
        for seed in seeds(quick: 30) {
            var generator = SeededGenerator(seed: seed)
            var table = OwedTable(initialCapacity: 16)
            var model: [UInt64: RecordLocation] = [:]
            for _ in 0..<2000 {
                let sequence = UInt64.random(in: 1...300, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0 where model[sequence] == nil:
                    table.insert(entry(sequence))
                    model[sequence] = entry(sequence).location
                case 1:
                    let location = RecordLocation(segment: 9, offset: UInt32(sequence), length: 8)
                    let moved = table.move(sequence, to: location)
                    #expect(moved == model[sequence])
                    if model[sequence] != nil { model[sequence] = location }
                default:
                    let effect = table.apply(.done, to: sequence, planIndex: OutcomeEntry.wholeDelivery)
                    #expect((fate(effect) != nil) == (model.removeValue(forKey: sequence) != nil))
                }
                #expect(table.count == model.count, "seed \(seed)")
            }
            var found: [UInt64: RecordLocation] = [:]
            table.forEach { found[$0.sequence] = $0.location }
            #expect(found == model, "seed \(seed)")
        }
    }
}

@Suite("NamespaceTable")
struct NamespaceTableTests {
    @Test("tells namespaces and clusters apart, and keeps their numbers")
    func identifiers() {
        var table = NamespaceTable()
        var numbers: [String: UInt32] = [:]
        for index in 0..<500 {
            let name = "team-\(index % 250)"
            let cluster = index % 2 == 0 ? "east" : "west"
            let number = table.identifier(cluster: cluster, namespace: name)
            if let known = numbers[cluster + "/" + name] { #expect(known == number) }
            numbers[cluster + "/" + name] = number
        }
        #expect(Set(numbers.values).count == numbers.count)
        // Names that only differ in where they part.
        let (first, second) = (
            table.identifier(cluster: "ab", namespace: "c"), table.identifier(cluster: "a", namespace: "bc")
        )
        #expect(first != second)
        let empty = [
            table.identifier(cluster: "", namespace: ""), table.identifier(cluster: "", namespace: ""),
        ]
        #expect(empty[0] == empty[1])
    }

    @Test("adds up by namespace")
    func bytes() {
        var table = NamespaceTable()
        let first = table.identifier(cluster: "local", namespace: "a")
        let second = table.identifier(cluster: "local", namespace: "b")
        table.add(10, to: first)
        table.add(5, to: second)
        table.subtract(3, from: first)
        let owed = [table.owedBytes(first), table.owedBytes(second)]
        #expect(owed == [7, 5])
    }
}
