// CrashModel: what a journal must still know after a crash, kept as plain dictionaries.

import Journal
import Metrics
import Testing

/// Drives one journal on one simulated disk through appends, commits, plans, outcomes, faults and crashes.
final class CrashModel {
    struct Delivery {
        var body: [UInt8]
        var decision: Decision
        var id: String
        /// `commit` said durable, or a recovery found it.
        var isAcknowledged = false
        var plan: [PlanEntry]?
        var isPlanDurable = false
        /// Finals that were handed over, and those known to be durable.
        var handedFinals: Set<UInt16> = []
        var durableFinals: Set<UInt16> = []
        var handedWhole = false
        var durableWhole = false
        /// Its own place was lost before it was synced; a copy is left.
        var isOnlyCopy = false
        var hasOutcome: Bool { !handedFinals.isEmpty || handedWhole }

        func isFinal(_ finals: Set<UInt16>, _ whole: Bool, _ plan: [PlanEntry]?) -> Bool {
            if whole { return true }
            guard let plan else { return false }
            return finals.count >= plan.count
        }

        var mayBeFinal: Bool { isFinal(handedFinals, handedWhole, plan) }
        var mustBeFinal: Bool { isFinal(durableFinals, durableWhole, isPlanDurable ? plan : nil) }
    }

    let disk: SimulatedDisk
    let options: JournalOptions
    var generator: SeededGenerator
    private var writer: JournalWriter!
    private var deliveries: [UInt64: Delivery] = [:]
    // Everything that was ever appended under a sequence: what was never acknowledged may give its sequence up.
    private var bodies: [UInt64: [[UInt8]]] = [:]
    // Acknowledged, accepted and not final, ascending (final ones until they are looked for).
    private var waiting: [UInt64] = []
    // Deliveries with plans or outcomes that are not known to be durable.
    private var touched: Set<UInt64> = []
    private var group: [(UInt64, TestDelivery)] = []
    private var clock: UInt64 = seconds(1000)
    private var counter = 0
    private var idCounter = 0
    private(set) var acknowledgedCount = 0
    // Ever, in all lives.
    private var highestAcknowledged: UInt64 = 0
    private(set) var recoveries = 0
    private(set) var problems = 0
    /// What happened, so that a test can tell that the simulation still reaches what it is for.
    private(set) var seen = Coverage()

    struct Coverage {
        var duplicates: UInt64 = 0
        var copies: UInt64 = 0
        var kept: UInt64 = 0
        var recycled: UInt64 = 0
        var removed: UInt64 = 0
        var writeFailures: UInt64 = 0
        var syncFailures: UInt64 = 0
        var refused: UInt64 = 0

        mutating func add(_ metrics: JournalMetrics) {
            duplicates += metrics.duplicates.value
            copies += metrics.copies.value
            kept += metrics.segmentsKept.value
            recycled += metrics.segmentsRecycled.value
            removed += metrics.segmentsRemoved.value
            writeFailures += metrics.writeFailures.value
            syncFailures += metrics.syncFailures.value
            refused += metrics.refused.value
        }

        mutating func add(_ other: Coverage) {
            duplicates += other.duplicates
            copies += other.copies
            kept += other.kept
            recycled += other.recycled
            removed += other.removed
            writeFailures += other.writeFailures
            syncFailures += other.syncFailures
            refused += other.refused
        }
    }
    // Sequences whose answers were lost with an unsynced power cut.
    private let mayLoseAcknowledged: Bool

    init(seed: UInt64, options: JournalOptions) {
        disk = SimulatedDisk(seed: seed &* 31 &+ 7)
        generator = SeededGenerator(seed: seed)
        self.options = options
        mayLoseAcknowledged = options.durability != .sync
    }

    func run(epochs: Int) throws {
        for _ in 0..<epochs {
            try open()
            let steps = Int.random(in: 0..<120, using: &generator)
            for _ in 0..<steps { try step() }
            end()
        }
        try open()
        writer.close(now: clock)
        writer = nil
        verify(disk.openHandles == 0, "every file is closed")
    }

    private func verify(_ holds: Bool, _ text: @autoclosure () -> String = "", line: Int = #line) {
        guard !holds else { return }
        problems += 1
        Issue.record("line \(line): \(text())")
    }

    // MARK: Steps

    private func step() throws {
        clock += UInt64.random(in: 1..<100_000_000, using: &generator)
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<50: try appendAndCommit()
        case 50..<60: plan()
        case 60..<82: outcomes()
        case 82..<94: tick()
        case 94..<97:
            disk.withFaults { faults in
                faults.shortWritePercent = [0, 40].randomElement(using: &generator)!
                faults.failedWritePercent = [0, 0, 10].randomElement(using: &generator)!
                faults.failedSyncPercent = [0, 0, 10].randomElement(using: &generator)!
                faults.failDirectorySyncs = [0, 0, 1].randomElement(using: &generator)!
                faults.capacity = [Int.max, Int.max, 300 << 10].randomElement(using: &generator)!
            }
        default:
            if generator.chance(30) {
                disk.withFaults { $0.dieAfter = Int.random(in: 0..<12, using: &generator) }
            } else {
                disk.withFaults { $0 = SimulatedDisk.Faults() }
            }
        }
    }

    private func appendAndCommit() throws {
        for _ in 0..<Int.random(in: 1...5, using: &generator) { append() }
        let result = writer.commit(now: clock)
        switch result {
        case .durable(let through):
            for (sequence, _) in group {
                verify(sequence <= through)
                acknowledge(sequence)
            }
            housekeepingIsDurable()
        case .failed:
            // What was durable before the failure is named, and is owed.
            let named = Set(writer.committedDeliveries.map(\.sequence))
            for (sequence, _) in group {
                if named.contains(sequence) { acknowledge(sequence) } else { deliveries[sequence] = nil }
            }
        }
        if case .durable = result {
            let due = group.map(\.0).filter { deliveries[$0]?.decision == .accepted }
            verify(writer.committedDeliveries.map(\.sequence) == due)
        }
        group = []
    }

    private func acknowledge(_ sequence: UInt64) {
        guard let delivery = deliveries[sequence] else { return }
        deliveries[sequence]!.isAcknowledged = true
        acknowledgedCount += 1
        highestAcknowledged = max(highestAcknowledged, sequence)
        if delivery.decision == .accepted { waiting.append(sequence) }
    }

    private func append() {
        counter += 1
        let size = [0, 10, 700, 3000, 9000].randomElement(using: &generator)!
        var body = Array("body \(counter) ".utf8)
        let filler = Array(repeating: UInt8(truncatingIfNeeded: generator.next()), count: max(0, size - body.count))
        body += filler
        var delivery = TestDelivery(body: body)
        delivery.decision = [.accepted, .accepted, .accepted, .stored, .ignored].randomElement(using: &generator)!
        delivery.receivedAt = clock
        delivery.namespace = ["team-a", "team-b", "team-c"].randomElement(using: &generator)!
        var expectedDuplicate: UInt64?
        if generator.chance(50) {
            idCounter += 1
            delivery = delivery.identified("id-\(idCounter)", by: writer, window: 1 << 20)
        } else if generator.chance(30), let (earlier, known) = repeatable() {
            // The same request again: nothing has happened to the first one, so it must be a duplicate of it.
            let again = TestDelivery(body: known.body).identified(known.id, by: writer, window: 1 << 20)
            again.receivedAt = clock
            again.namespace = delivery.namespace
            delivery = again
            expectedDuplicate = earlier
        }
        switch delivery.append(to: writer) {
        case .appended(let sequence):
            verify(expectedDuplicate == nil, "a repeat must not be accepted")
            enter(sequence, delivery, delivery.decision)
        case .duplicate(let earlier, let sequence):
            verify(expectedDuplicate == earlier)
            enter(sequence, delivery, .duplicate)
        case .refused(let reason):
            if reason == .sealed { verify(!writer.isAccepting) }
        }
    }

    private func enter(_ sequence: UInt64, _ delivery: TestDelivery, _ decision: Decision) {
        verify(deliveries[sequence] == nil, "sequence \(sequence) was given out before")
        deliveries[sequence] = Delivery(
            body: decision == .duplicate ? [] : delivery.body, decision: decision, id: delivery.deliveryID)
        bodies[sequence, default: []].append(decision == .duplicate ? [] : delivery.body)
        group.append((sequence, delivery))
    }

    /// An accepted delivery with an id of which nothing became yet.
    private func repeatable() -> (UInt64, Delivery)? {
        guard let sequence = waiting.randomElement(using: &generator), let delivery = deliveries[sequence],
            !delivery.id.isEmpty, !delivery.hasOutcome, delivery.plan?.isEmpty != true
        else { return nil }
        return (sequence, delivery)
    }

    private func owedSequences() -> [UInt64] {
        waiting.removeAll { deliveries[$0]!.mayBeFinal }
        return waiting
    }

    private func plan() {
        guard let sequence = owedSequences().filter({ deliveries[$0]!.plan == nil }).randomElement(using: &generator)
        else { return }
        let count = Int.random(in: 0...3, using: &generator)
        let entries = (0..<count).map { PlanEntry(actionKind: UInt8($0), target: Array("target \(sequence)".utf8)) }
        let details = generator.chance(70) ? PlanDetails(plannedUnixNanoseconds: clock, durableUnixNanoseconds: 1) : nil
        verify(writer.appendPlan(sequence: sequence, entries: entries, details: details, now: clock))
        deliveries[sequence]!.plan = entries
        touched.insert(sequence)
    }

    private func outcomes() {
        var entries: [OutcomeEntry] = []
        // Mostly the old ones, so that the log can go on.
        let owed = owedSequences()
        for sequence in owed.prefix(Int.random(in: 1...12, using: &generator)) where generator.chance(80) {
            let outcome: Outcome = [.done, .done, .ignored, .merged, .dead, .failed].randomElement(using: &generator)!
            var index = OutcomeEntry.wholeDelivery
            if let plan = deliveries[sequence]!.plan, !plan.isEmpty, generator.chance(80) {
                index = UInt16(Int.random(in: 0..<plan.count, using: &generator))
            }
            touched.insert(sequence)
            let details = OutcomeDetails(
                timeUnixNanoseconds: clock, attempts: 1, request: "POST http://\(sequence)", answer: "a")
            entries.append(
                OutcomeEntry(
                    sequence: sequence, planIndex: index, outcome: outcome, detail: 1, reason: "r",
                    details: generator.chance(70) ? details : nil))
            if outcome.isFinal, index == OutcomeEntry.wholeDelivery {
                deliveries[sequence]!.handedWhole = true
            } else if outcome.isFinal {
                deliveries[sequence]!.handedFinals.insert(index)
            } else {
                // A failing delivery may be sent again and counts as new.
                deliveries[sequence]!.id = ""
            }
        }
        writer.appendOutcomes(entries, now: clock)
        verify(writer.owedCount == owedSequences().count)
    }

    private func tick() {
        // Now and then so long that all is too old to be kept, where the options let it be.
        clock += seconds(generator.chance(5) ? 7200 : 1)
        writer.tick(now: clock)
        if !writer.hasUnsyncedHousekeeping { housekeepingIsDurable() }
    }

    private func housekeepingIsDurable() {
        guard !mayLoseAcknowledged else { return }
        defer { touched = [] }
        for sequence in touched {
            deliveries[sequence]!.isPlanDurable = deliveries[sequence]!.plan != nil
            deliveries[sequence]!.durableFinals = deliveries[sequence]!.handedFinals
            deliveries[sequence]!.durableWhole = deliveries[sequence]!.handedWhole
        }
    }

    // MARK: Ends and recoveries

    private var wasPowerCut = false

    private func end() {
        let kind = Int.random(in: 0..<10, using: &generator)
        wasPowerCut = kind < 7
        // Some ends come in the middle of a group.
        if generator.chance(30) {
            for _ in 0..<3 { append() }
            if generator.chance(50) {
                disk.withFaults { $0.dieAfter = Int.random(in: 0..<4, using: &generator) }
                if case .durable = writer.commit(now: clock) { group.forEach { acknowledge($0.0) } }
            }
        } else if kind == 9 {
            writer.close(now: clock)
            if !writer.hasUnsyncedHousekeeping { housekeepingIsDurable() }
        }
        group = []
        seen.add(writer.metrics)
        writer = nil
        if kind < 7 { disk.crash() } else { disk.kill() }
    }

    private func open() throws {
        while true {
            // Some starts are cut off as well.
            if generator.chance(25) {
                disk.withFaults { $0.dieAfter = Int.random(in: 0..<25, using: &generator) }
            }
            do {
                let (opened, report) = try JournalWriter.open(
                    options: options, disk: disk, checksum: tableChecksum, now: clock)
                if generator.chance(10) {
                    // Twice in a row.
                    disk.crash()
                    wasPowerCut = true
                    continue
                }
                disk.withFaults { $0 = SimulatedDisk.Faults() }
                writer = opened
                recoveries += 1
                try check(report)
                return
            } catch let error as JournalError {
                verify(error == .failed(DiskError(code: 5, operation: operation(error))))
                disk.crash()
                wasPowerCut = true
            }
        }
    }

    private func operation(_ error: JournalError) -> DiskOperation {
        if case .failed(let error) = error { return error.operation }
        return .list
    }

    private func check(_ report: RecoveryReport) throws {
        // Not synced in time, a power cut takes acknowledged records; what the log knows to be gone it says.
        let lossy = mayLoseAcknowledged && wasPowerCut
        if !mayLoseAcknowledged { verify(report.damage.isEmpty, "\(report.damage)") }
        wasPowerCut = false
        verify(report.nextSequence > highestAcknowledged, "\(report.nextSequence) after \(highestAcknowledged)")
        verify(writer.owedCount == report.owed.count)

        let found = try records()
        let base = oldestBase()
        for (sequence, body) in found {
            verify(bodies[sequence]?.contains(body) == true, "sequence \(sequence) was never appended like this")
        }
        let owed = Dictionary(uniqueKeysWithValues: report.owed.map { ($0.sequence, $0) })
        for (sequence, delivery) in deliveries where delivery.isAcknowledged && sequence >= base && !lossy {
            if delivery.isOnlyCopy { continue }
            verify(found[sequence] == delivery.body, "acknowledged sequence \(sequence) is lost")
        }

        for (sequence, delivery) in deliveries where delivery.isAcknowledged && delivery.decision == .accepted {
            if delivery.mustBeFinal, !lossy { verify(owed[sequence] == nil, "\(sequence) is owed again") }
            if !delivery.mayBeFinal, !lossy { verify(owed[sequence] != nil, "\(sequence) is not owed any more") }
        }
        for (sequence, delivery) in owed { try check(sequence, delivery, lossy) }
        adopt(report, found)
    }

    private func check(_ sequence: UInt64, _ owed: OwedDelivery, _ lossy: Bool) throws {
        let record = try #require(try writer.reader.read(owed.location, expecting: sequence))
        verify(bodies[sequence]?.contains(Array(record.body)) == true)
        guard let known = deliveries[sequence] else { return }
        verify(Array(record.body) == known.body)
        if known.isPlanDurable, !lossy { verify(owed.plan == known.plan) }
        if let plan = owed.plan { verify(known.plan == plan, "\(sequence) \(String(describing: known.plan)) \(plan)") }
        let finals = Set(owed.progress.filter { $0.outcome != nil }.map(\.planIndex))
        if !lossy { verify(known.durableFinals.isSubset(of: finals)) }
        verify(finals.isSubset(of: known.handedFinals))
    }

    /// Deliveries in their own places (copies are met through what is owed).
    private func records() throws -> [UInt64: [UInt8]] {
        var found: [UInt64: [UInt8]] = [:]
        var last: UInt64 = 0
        do {
            try writer.reader.follow(from: 1, through: writer.nextSequence) { record in
                verify(record.sequence > last, "sequences grow")
                last = record.sequence
                found[record.sequence] = Array(record.body)
                return true
            }
        } catch {
            throw error.cause
        }
        return found
    }

    private func oldestBase() -> UInt64 {
        for name in disk.names.sorted() where name.hasSuffix(".segment") {
            let scan = disk.content(name)!.withUnsafeBytes { recoverSegment($0, checksum: tableChecksum) }
            if let start = scan.start { return start.baseSequence }
        }
        return .max
    }

    /// What the recovery found is the truth from here on.
    private func adopt(_ report: RecoveryReport, _ found: [UInt64: [UInt8]]) {
        let owed = Dictionary(uniqueKeysWithValues: report.owed.map { ($0.sequence, $0) })
        var kept: [UInt64: Delivery] = [:]
        for (sequence, known) in deliveries {
            var delivery = known
            if let owed = owed[sequence] {
                delivery.isAcknowledged = true
                delivery.isOnlyCopy = mayLoseAcknowledged && found[sequence] == nil
                delivery.plan = owed.plan
                delivery.isPlanDurable = owed.plan != nil
                delivery.handedFinals = Set(owed.progress.filter { $0.outcome != nil }.map(\.planIndex))
                delivery.durableFinals = delivery.handedFinals
                delivery.handedWhole = false
                delivery.durableWhole = false
                // A failed attempt may or may not have been found; what is not certain is not tested.
                if owed.progress.contains(where: { $0.attempts > 0 }) { delivery.id = "" }
                kept[sequence] = delivery
            } else if let body = found[sequence], body == known.body {
                delivery.isAcknowledged = true
                if delivery.decision == .accepted {
                    delivery.handedWhole = true
                    delivery.durableWhole = true
                }
                kept[sequence] = delivery
            }
        }
        // Records of a group that failed may be found all the same: answered with 503, owed.
        for sequence in owed.keys where kept[sequence] == nil {
            let finals = Set(owed[sequence]!.progress.filter { $0.outcome != nil }.map(\.planIndex))
            kept[sequence] = Delivery(
                body: found[sequence] ?? bodies[sequence]!.last!, decision: .accepted, id: "", isAcknowledged: true,
                plan: owed[sequence]!.plan, isPlanDurable: owed[sequence]!.plan != nil, handedFinals: finals,
                durableFinals: finals, isOnlyCopy: found[sequence] == nil)
        }
        deliveries = kept
        touched = []
        waiting = kept.filter { $0.value.decision == .accepted && !$0.value.mayBeFinal }.keys.sorted()
    }
}
