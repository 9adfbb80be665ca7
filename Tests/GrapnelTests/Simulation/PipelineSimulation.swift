// PipelineSimulation: the whole pipeline under one seed: senders, loops, journal, hand-over, dispatcher and what it acts on.
//
// A run is a few lives of a server on one disk. In each, one step is a turn of whichever part is awake, a move of a client, or trouble: a
// disk that writes and syncs badly or is full, targets that are away, a new route table, time that passes. A life ends with the power,
// with the process, or as SIGTERM ends it. The last life is calm: everything owed is worked off, each request gets the answer that it
// must get, and nothing is left.

import CCrypto
import EventLoop
import Journal
import Trigger

@testable import Grapnel

/// `@unchecked Sendable`: a simulation runs on one thread.
final class PipelineSimulation: @unchecked Sendable {
    /// Each found something once: builds out of their order after a restart, and after a pause; with the last, a promise that the disk
    /// died behind was forgotten here.
    static let kept: [UInt64] = [5, 23, 1717, 1728, 2448, 2550, 2697, 5029]

    let seed: UInt64
    var random: SeededGenerator
    /// What has to do with what is left to the journal; beside the other, so that runs without that are what they were.
    var spillRandom: SeededGenerator
    let staff: SimulatedOperator
    let time = SimulatedTime()
    let disk: SimulatedDisk
    let problems = SimulationProblems()
    let triggers: TriggerLedger
    let deliveries: DeliveryLedger
    var shape: PipelineShape
    var options: JournalOptions
    var sender = SimulatedSender()
    var world: SimulatedWorld
    var life: PipelineLife!
    var peers: [SimulatedPeer] = []
    var coverage = SimulationCoverage()
    var paused: Set<PauseSubject> = []
    private var lifeCount = 0
    private var stepsLeft = 0

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        spillRandom = SeededGenerator(seed: ~seed)
        staff = SimulatedOperator(seed: seed ^ 0x0e4a)
        disk = SimulatedDisk(seed: seed &* 31 &+ 7)
        triggers = TriggerLedger(problems, time)
        world = SimulatedWorld(random: SeededGenerator(seed: seed ^ 0x5eed))
        var shape = PipelineShape()
        shape.loopCount = random.chance(60) ? 1 : 2
        shape.hintCapacity = random.chance(50) ? 4 : 64
        shape.waitingMax = random.chance(50) ? Int.random(in: 1...8, using: &random) : 1000
        shape.limits.runningMax = Int.random(in: 1...8, using: &random)
        shape.limits.runningPerNamespaceMax = Int.random(in: 1...4, using: &random)
        shape.limits.runningPerTargetMax = Int.random(in: 1...3, using: &random)
        shape.limits.runningPerClusterMax = Int.random(in: 1...6, using: &random)
        shape.limits.breakerFailuresMax = Int.random(in: 2...5, using: &random)
        shape.bodyBudget = random.chance(40) ? 60_000 : 400_000
        shape.isTight = random.chance(40)
        if random.chance(10) { shape.syncNanoseconds = UInt64.random(in: 1_200_000...4_000_000, using: &random) }
        shape.spills = Self.spills(seed)
        shape.operates = Self.operates(seed)
        self.shape = shape
        deliveries = DeliveryLedger(problems, time, disk, triggers, keepsEverything: !shape.isTight)
        let hasSmallLog = random.chance(60)
        var options = JournalOptions(
            maxBytes: shape.isTight && hasSmallLog ? 1 << 20 : 64 << 20, segmentBytes: 256 << 10,
            firstSegmentBytes: 64 << 10,
            recordBytesMax: 100 << 10, preparesInBackground: false)
        if shape.spills, shape.isTight, hasSmallLog {
            // What waits is soon in the way of newer segments.
            (options.maxBytes, options.segmentBytes, options.recordBytesMax) = (512 << 10, 128 << 10, 64 << 10)
        }
        let time = time
        let syncNanoseconds = shape.syncNanoseconds
        options.monotonicClock = {
            time.advance(syncNanoseconds)
            return time.monotonic
        }
        if shape.operates, shape.isTight {
            if staff.random.chance(50) { options.namespaceShare = 0.05 }
            if staff.random.chance(30) { options.maxAgeSeconds = UInt64.random(in: 20...400, using: &staff.random) }
        }
        self.options = options
    }

    /// Everything; afterwards `problems` says what was wrong.
    func run() {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            guard start() else { return }
            steps(Int.random(in: 100...700, using: &random))
            if shape.spills, spillRandom.chance(50) { settle() }
            end()
            if !problems.texts.isEmpty { return }
        }
        world.isCalm = true
        paused = []
        // Where memory is short, two that wait for each other may both be refused.
        shape.bodyBudget = 4 << 20
        options.namespaceShare = 0.5
        guard start() else { return }
        workOff()
    }

    // MARK: A life

    /// Recovers, now and then after having been cut off at it.
    private func start() -> Bool {
        disk.forgetReadFaults()
        for _ in 0..<20 {
            if !world.isCalm, random.chance(15) {
                disk.withFaults { $0.dieAfter = Int.random(in: 0..<25, using: &random) }
            }
            do {
                let (writer, report) = try JournalWriter.open(
                    options: options, disk: disk, checksum: { cc_crc32($0, $1, $2) }, now: time.now)
                if disk.isGone {
                    disk.crash()
                    continue
                }
                disk.withFaults { $0 = SimulatedDisk.Faults() }
                if isEmptied(report) {
                    coverage.emptied += 1
                    return false
                }
                check(writer, report)
                lifeCount += 1
                drawSpilling()
                world.random = SeededGenerator(seed: random.next())
                life = PipelineLife(
                    shape, writer, report.owed, time, world, triggers, deliveries, paused: paused,
                    seed: seed &* 1000 &+ UInt64(lifeCount))
                life.api = makeAPI()
                coverage.recovered += report.owed.count
                return true
            } catch {
                disk.crash()
                coverage.failedStarts += 1
            }
        }
        problems.verify(false, "the journal cannot be opened")
        return false
    }

    /// On a full disk even the last segment goes once nothing is owed, and the numbers begin anew after the next start. What was
    /// promised holds, but nothing more can be told by number: the run ends here.
    func isEmptied(_ report: RecoveryReport) -> Bool {
        shape.isTight && report.recordCount == 0 && report.owed.isEmpty
            && deliveries.redeliveries.sequences.allSatisfy { triggers.isFinal($0) }
            && deliveries.acknowledged.keys.allSatisfy { triggers.isFinal($0) || !deliveries.isToBeActedOn($0) }
            && !deliveries.acknowledged.isEmpty
    }

    /// What the recovery found, against what is known.
    func check(_ writer: JournalWriter, _ report: RecoveryReport) {
        problems.verify(report.damage.isEmpty, "damage: \(report.damage)")
        let highest = max(deliveries.acknowledged.keys.max() ?? 0, deliveries.redeliveries.sequences.last ?? 0)
        problems.verify(report.nextSequence > highest, "sequences up to \(highest) go on with \(report.nextSequence)")
        problems.verify(writer.owedCount == report.owed.count, "\(writer.owedCount) owed, \(report.owed.count) found")
        deliveries.redeliveries.begin()
        var records: [UInt64: StoredRecord] = [:]
        do {
            try writer.reader.follow(from: 1, through: report.nextSequence) { record in
                records[record.sequence] = record
                return true
            }
            for owed in report.owed where records[owed.sequence] == nil {
                records[owed.sequence] = try writer.reader.read(owed.location, expecting: owed.sequence)
            }
        } catch {
            problems.verify(false, "the recovered journal cannot be read: \(error)")
        }
        deliveries.redeliveries.adopt(records, report)
        triggers.recover(report.owed)
        deliveries.check(records, owed: Set(report.owed.map(\.sequence)))
    }

    private func steps(_ count: Int) {
        stepsLeft = count
        while takeStep() {}
    }

    /// False: the life is over, or something is wrong.
    func takeStep() -> Bool {
        guard stepsLeft > 0, problems.texts.isEmpty else { return false }
        stepsLeft -= 1
        step()
        coverage.steps += 1
        observe()
        return problems.texts.isEmpty
    }

    private func step() {
        time.advance(milliseconds: Int.random(in: 0...2, using: &random))
        if shape.spills { disturbReading() }
        if shape.operates, staff.random.chance(2) { operate() }
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<500: life.turn(Int.random(in: 0..<life.partCount, using: &random))
        case 500..<620: for part in 0..<life.partCount { life.turn(part) }
        case 620..<680: connect()
        case 680..<905: move()
        case 905..<925: time.advance(milliseconds: Int.random(in: 20...300, using: &random))
        case 925..<937: time.advance(milliseconds: Int.random(in: 500...2_500, using: &random))
        case 937..<940: time.advance(milliseconds: Int.random(in: 3_000...70_000, using: &random))
        case 940..<948: trouble()
        case 948..<951: life.reload()
        case 951..<954: life.dispatcher.world.isAway.toggle()
        case 954..<964: pause()
        case 964..<984: if shape.operates { operate() } else { redeliver() }
        default: disk.withFaults { if $0.dieAfter == .max { $0 = SimulatedDisk.Faults() } }
        }
    }

    /// What an operator pauses, or lets go on.
    private func pause() {
        if random.chance(40) {
            paused = []
        } else {
            paused.insert(SimulatedRoutes.pausable.randomElement(using: &random)!)
        }
        if !paused.isEmpty { triggers.wasPaused = true }
        life.dispatcher.setPaused(paused)
    }

    /// Asks for a delivery that was acknowledged, or for a redelivery, once more: as the route says, or some of what was planned.
    func redeliver() {
        guard !shape.operates else { return operate() }
        let redelivered = deliveries.redeliveries.sequences
        let known = random.chance(80) || redelivered.isEmpty ? deliveries.acknowledged.keys.sorted() : redelivered
        guard let origin = known.suffix(random.chance(70) ? 5 : 500).randomElement(using: &random) else { return }
        var plan: [PlanEntry]?
        if random.chance(50), let planned = triggers.entries[origin]?.plan {
            plan = planned.filter { _ in random.chance(60) }.map {
                PlanEntry(actionKind: $0.actionKind, target: $0.target)
            }
            if plan?.isEmpty == true { plan = nil }
        }
        guard let own = deliveries.route(of: origin, nil) else { return }
        deliveries.redeliveries.redeliver(origin, plan.map { .plan($0) } ?? .asConfigured, of: own, life.redelivery)
    }

    /// After each step.
    private func observe() {
        life.checkSleepers(problems)
        deliveries.redeliveries.takeAnswers(life.history, isStrict: false)
        if life.hasDurableOutcomes { triggers.everythingIsDurable() }
    }

    private func trouble() {
        let used = disk.usedBytes
        disk.withFaults { faults in
            faults.shortWritePercent = [0, 40].randomElement(using: &random)!
            faults.failedWritePercent = [0, 0, 15].randomElement(using: &random)!
            faults.failedSyncPercent = [0, 0, 25].randomElement(using: &random)!
            faults.failedReadPercent = [0, 0, 20].randomElement(using: &random)!
            faults.failDirectorySyncs = [0, 0, 0, 1].randomElement(using: &random)!
            // Nothing more fits; what is there may be used again.
            if shape.isTight { faults.capacity = [Int.max, max(used, 200 << 10)].randomElement(using: &random)! }
            if random.chance(20) { faults.dieAfter = Int.random(in: 0..<12, using: &random) }
        }
        coverage.troubles += 1
    }

    // MARK: Clients

    private func connect() {
        guard peers.count(where: { !$0.isFinished }) < 10 else { return }
        let network = life.loops.randomElement(using: &random)!.network
        let requests = (0..<Int.random(in: 1...5, using: &random)).map { _ in
            random.chance(30) ? deliveries.takeRepeat() ?? sender.next(&random) : sender.next(&random)
        }
        let window = random.chance(10) ? 150 : Int.max
        peers.append(SimulatedPeer(network, window: window, requests, deliveries))
    }

    private func move() {
        let open = peers.indices.filter { !peers[$0].client.isGone }
        guard let index = open.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<60: peers[index].write(upTo: Int.random(in: 1...12_000, using: &random))
        case 60..<97: peers[index].read(deliveries, problems, isStrict: false)
        case 97: if random.chance(30) { peers[index].reset() }
        default: if peers[index].hasSentAll { peers[index].leave() }
        }
    }

    // MARK: Ends

    private func end() {
        coverage.add(life, triggers, deliveries)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<6:
            coverage.powerCuts += 1
            noteEnd()
            vanish()
            disk.crash()
        case 6, 7:
            coverage.kills += 1
            vanish()
            disk.kill()
        default:
            coverage.shutdowns += 1
            shutDown()
            // What was closed needs no power.
            disk.crash()
        }
    }

    /// The process is gone; answers that are under way arrive or do not.
    func vanish() {
        for index in peers.indices where !peers[index].client.isGone && random.chance(50) {
            peers[index].read(deliveries, problems, isStrict: false)
        }
        peers = []
        life.vanish(problems)
        coverage.spill.merge(life.dispatcher.spills.coverage, uniquingKeysWith: +)
        coverage.staff = staff.seen
        coverage.staff.see(.late, deliveries.redeliveries.lateCount)
        life = nil
    }

    /// As `Pipeline.stop` does.
    private func shutDown() {
        for loop in life.loops { loop.control.enter(.leaving) }
        for loop in life.loops { loop.control.enter(.draining) }
        for _ in 0..<3000 where !life.loops.allSatisfy(\.hasEnded) {
            time.advance(milliseconds: 1)
            for part in 0..<life.partCount { life.turn(part) }
            move()
            observe()
        }
        life.dispatcher.drain()
        for _ in 0..<3000 where life.dispatcher.runningCount > 0 {
            time.advance(milliseconds: 10)
            life.turn(0)
        }
        closeJournal()
    }

    /// The end of an orderly one: what the dispatcher said is written and synced.
    func closeJournal() {
        let desk = life.desk
        desk.close(nowUnixNanoseconds: time.now)
        if life.hasDurableOutcomes { triggers.everythingIsDurable() }
        vanish()
    }
}
