// PipelineLife: one life of a simulated server, from the recovery of its journal to its end, wired as `Pipeline` wires it.
//
// Loops, journal's thread, hand-over and dispatcher are the real ones, each taken a turn at a time by the simulation. A part whose
// thread would sleep has a turn only when its eventfd was signalled or its time has come.

import CLinuxIO
import Delivery
import EventLoop
import Journal
import Logging
import Trigger

@testable import Grapnel

/// What a thread sleeps on.
struct SimulatedSleep {
    let descriptor: Int32
    private var until: UInt64 = 0
    private var isWoken = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    mutating func isAwake(_ now: UInt64) -> Bool {
        if NamedThread.wait(on: descriptor, milliseconds: 0) { isWoken = true }
        return isWoken || now >= until
    }

    mutating func begin(_ now: UInt64, milliseconds: Int32) {
        until = now + UInt64(milliseconds) * 1_000_000
        // What was signalled since counts.
        isWoken = false
    }

    var end: UInt64 { until }
}

/// How a simulated server is set up.
struct PipelineShape {
    var loopCount = 1
    var hintCapacity = 64
    var waitingMax = 1000
    var limits = DispatcherSettings()
    var bodyBudget = 200_000
    /// A sync takes this long.
    var syncNanoseconds: UInt64 = 0
    /// A small log, or a disk that is full now and then: what has its end may be dropped.
    var isTight = false
    /// What is over `limits.heldDeliveriesMax` is left to the journal, and read again.
    var spills = false
    /// Operators ask for redeliveries by the admin API, pause and resume.
    var operates = false
    /// What is owed waits for the cluster to be listed; of that so many in memory.
    var gatedMax: Int?
}

final class PipelineLife {
    let shape: PipelineShape
    let time: SimulatedTime
    let desk: JournalDesk
    let mailbox = HousekeepingMailbox()
    let hints: HintChannel
    let thread: JournalThread
    let lanes: [JournalLane]
    let loops: [SimulatedLoop]
    let handoff: Handoff
    let dispatcher: SimulatedDispatcher
    let history: JournalHistory
    let redelivery: JournalRedelivery
    let routes: CurrentRoutes
    let gate: ListingGate
    /// Of `local` and `b`, if anything waits for them.
    private var listed: Set<String> = []
    private var searches = false
    private(set) var isCanaryGone = false
    /// Of this life.
    var api: AdminAPI!
    let budget: MemoryBudget
    private let threadIsStarted = Locked(false)
    private var group = JournalThread.Group()
    private var threadSleep: SimulatedSleep
    private var handoffSleep: SimulatedSleep
    private var handoffIsHeld = false
    private var progress = Handoff.Progress()

    init(
        _ shape: PipelineShape, _ writer: JournalWriter, _ owed: [OwedDelivery], _ time: SimulatedTime,
        _ world: SimulatedWorld, _ triggers: TriggerLedger, _ deliveries: DeliveryLedger,
        paused: Set<PauseSubject>, seed: UInt64
    ) {
        self.shape = shape
        self.time = time
        let wakeup = cl_eventfd()
        hints = HintChannel(capacity: shape.hintCapacity) { _ = cl_eventfd_signal(wakeup) }
        desk = JournalDesk(writer: writer, mailbox: mailbox, hints: hints, realtime: time.clock.realtime) { _ in }
        let threadIsStarted = threadIsStarted
        thread = JournalThread(desk: desk, clock: time.clock) { _ in threadIsStarted.withLock { $0 = true } }!
        let table = SimulatedRoutes.table()
        // Before the cluster is listed nobody can say that a route is gone.
        let known = shape.gatedMax == nil ? table : RouteTable([], bodyBytesMax: SimulatedRoutes.bodyBytesMax)
        routes = CurrentRoutes(
            CurrentRoutes.Configuration(table: known, repositories: RepositoryIndex(), images: [:]))
        budget = MemoryBudget(limit: shape.bodyBudget)
        var settings = LoopSettings()
        settings.connectionsMax = 32
        settings.bodyBytesMax = SimulatedRoutes.bodyBytesMax
        var (loops, lanes): ([SimulatedLoop], [JournalLane]) = ([], [])
        for index in 0..<shape.loopCount {
            let control = LoopControl(index: index, table: table)!
            let lane = JournalLane(capacity: 32, thread: thread) { control.wake() }
            thread.add(lane)
            lanes.append(lane)
            let path: CommitPath = shape.loopCount == 1 ? .inline(desk, fallback: lane) : .lane(lane)
            loops.append(
                SimulatedLoop(
                    SimulatedNetwork(seed: seed &+ UInt64(index)), control, settings, budget, path, desk, time))
        }
        self.loops = loops
        self.lanes = lanes
        threadSleep = SimulatedSleep(thread.wakeup)
        handoffSleep = SimulatedSleep(wakeup)

        let reader = writer.reader
        triggers.begin(
            DispatcherLink(mailbox: mailbox, reader: reader, journalName: writer.dedupeKey.journalName))
        let disk = deliveries.disk
        func record(_ sequence: UInt64, _ location: DeliveryLocation) -> StoredRecord? {
            let location = RecordLocation(
                segment: location.segment, offset: location.offset, length: location.length)
            return disk.reliably { try? reader.read(location, expecting: sequence) }
        }
        let history = writer.history
        self.history = history
        let probes = SimulatedDispatcher.Probes(
            inspect: { action in
                let record = record(action.sequence, action.location)
                // A disk that is gone ends this life.
                if record == nil, disk.isGone { return }
                deliveries.redeliveries.takeAnswers(history, isStrict: false)
                deliveries.check(action, record)
            },
            ref: { delivery in
                record(delivery.sequence, delivery.location)
                    .flatMap { deliveries.request(of: Array($0.body)) }?.ref
            },
            isRedelivery: { deliveries.redeliveries.isPromised($0) },
            isDiskGone: { disk.isGone }, mayComeLate: { disk.hadReadFaults })
        let controls = loops.map(\.control)
        let wakeOwner: @Sendable () -> Void = { [thread] in
            for control in controls { control.wake() }
            thread.wake()
        }
        let recovered = owed.compactMap { RecoveredDelivery($0) }
        let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        let isGated = shape.gatedMax != nil
        gate = ListingGate(
            isGated ? recovered : [], unlisted: isGated ? ["local", "b"] : [], routes: routes,
            heldMax: shape.gatedMax ?? ListingGate.heldMax)
        let spilled = SpillReader(
            history: history, segments: reader, mailbox: mailbox, gate: gate, logger: logger, wake: wakeOwner)
        dispatcher = SimulatedDispatcher(
            world, triggers, routes, time, shape.limits, waitingMax: shape.waitingMax,
            spilled: shape.spills ? spilled : nil, seed: seed, probes)
        redelivery = JournalRedelivery(history: history, mailbox: mailbox, wake: wakeOwner)
        let accepting = desk
        handoff = Handoff(
            hints: hints, wakeup: wakeup, reader: reader, target: dispatcher.target,
            gate: gate, waitingMax: shape.waitingMax,
            durableSequence: { accepting.durableSequence.load(ordering: .acquiring) },
            logger: logger, clock: time.clock)
        if !paused.isEmpty {
            triggers.wasPaused = true
            dispatcher.setPaused(paused)
        }
        if !isGated { dispatcher.replay(recovered) }
        if shape.loopCount > 1 { thread.start() }
    }

    var hasThread: Bool { threadIsStarted.withLock { $0 } }

    // MARK: Turns

    /// A turn of one part, if it is awake. Parts: 0 dispatcher, 1 hand-over, 2 journal's thread, 3… loops, and who reads again what was
    /// left to the journal.
    @discardableResult
    func turn(_ part: Int) -> Bool {
        let now = time.now
        switch part {
        case 0:
            guard let wake = dispatcher.wakeAt, wake <= now else { return false }
            dispatcher.turn()
        case 1:
            guard handoffSleep.isAwake(now) else { return false }
            handoffSleep.begin(now, milliseconds: 0)
            hints.bell.cancelSleep()
            let patience = handoff.turn(&progress)
            handoffIsHeld = patience == Handoff.fullMilliseconds
            handoffSleep.begin(now, milliseconds: patience)
        case 2:
            guard hasThread, threadSleep.isAwake(now) else { return false }
            threadSleep.begin(now, milliseconds: 0)
            thread.bell.cancelSleep()
            guard let patience = thread.turn(&group) else { return false }
            threadSleep.begin(time.now, milliseconds: patience)
        case loops.count + 3:
            guard let due = dispatcher.readsAt, due <= now else { return false }
            dispatcher.read()
        default:
            let loop = loops[part - 3]
            guard loop.isAwake(now) else { return false }
            loop.turn(time)
        }
        return true
    }

    var partCount: Int { 3 + loops.count + (shape.spills ? 1 : 0) }

    /// A cluster was listed, if that was waited for.
    func list(_ cluster: String) {
        guard shape.gatedMax != nil, listed.insert(cluster).inserted else { return }
        reload()
        gate.release(listed: listed) { dispatcher.replay($0.deliveries, spilled: $0.spilled) }
    }

    func listAll() {
        list("local")
        list("b")
    }

    /// A new table, in which some routes look for targets in cluster `b`, or no longer do.
    func search() {
        searches.toggle()
        reload()
    }

    /// When something happens by itself, at the latest.
    var wakeAt: UInt64 {
        var times = [time.now + 200_000_000, handoffSleep.end]
        if hasThread { times.append(threadSleep.end) }
        if let wake = dispatcher.wakeAt { times.append(wake) }
        if let due = dispatcher.readsAt { times.append(max(due, time.now)) }
        return times.min()!
    }

    /// Nobody sleeps while there is something for him that nothing will wake him for.
    func checkSleepers(_ problems: SimulationProblems) {
        let now = time.now
        if hasThread, lanes.contains(where: { $0.requests.depth > 0 }) {
            problems.verify(threadSleep.isAwake(now), "the journal's thread sleeps over a delivery")
        }
        if !handoffIsHeld, hints.ring.depth > 0 || hints.overflowFrom.load(ordering: .acquiring) != 0 {
            problems.verify(handoffSleep.isAwake(now), "the hand-over sleeps over a durable delivery")
        }
        for loop in loops {
            problems.verify(!loop.sleepsOverAnswers(now), "a loop sleeps over an answer of the journal")
        }
    }

    /// Everything that the dispatcher said is on disk.
    var hasDurableOutcomes: Bool { mailbox.isEmpty && !desk.writer.hasUnsyncedHousekeeping }

    /// From now on everything works, and nothing is held back.
    func calm() {
        dispatcher.world.isCalm = true
        dispatcher.setPaused([])
        if isCanaryGone { toggleCanary() }
        listAll()
    }

    /// A route that only redeliveries have goes, or comes again.
    func toggleCanary() {
        isCanaryGone.toggle()
        reload()
    }

    /// The same routes, compiled anew.
    func reload() {
        if shape.gatedMax == nil || listed.contains("local") {
            routes.replace(
                CurrentRoutes.Configuration(
                    table: SimulatedRoutes.table(searches: searches, withoutCanary: isCanaryGone),
                    repositories: RepositoryIndex(), images: [:]))
        }
        // A repeat is one only while its route is the same.
        for loop in loops { loop.control.swap(SimulatedRoutes.table()) }
    }

    // MARK: Ends

    /// The process is gone. Nothing that the loops held may be unaccounted for.
    func vanish(_ problems: SimulationProblems) {
        // Nobody takes a question any more.
        mailbox.close()
        dispatcher.vanish()
        for loop in loops {
            loop.vanish()
            let left = loop.leftovers.filter {
                !$0.hasSuffix("flight") && !$0.hasSuffix("tables") && !$0.hasSuffix("turn")
            }
            problems.verify(left.isEmpty, "a loop without connections holds \(left)")
        }
        problems.verify(budget.usedBytes == 0, "\(budget.usedBytes) bytes of bodies are still reserved")
        thread.removeLanes()
        _ = cl_close(thread.wakeup)
        _ = cl_close(handoffSleep.descriptor)
    }
}
