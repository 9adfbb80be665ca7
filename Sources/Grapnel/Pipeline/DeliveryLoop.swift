// DeliveryLoop: one thread's loop, from the first byte to the answer.
//
//   turn:  wait -> events: accept | bytes -> requests (DeliveryLoop+Receiving) -> end of turn (DeliveryLoop+Commit):
//          verify the batch, judge, hand to the journal, answer -> timers
//
// A loop owns its connections, buffers and timers; nothing of it is shared but what LoopControl, the journal's lane and the
// memory budget say. The loop is a struct: its state is reached without exclusivity checks or reference counts.

internal import Metrics
internal import Synchronization
internal import CLinuxIO
internal import Delivery
internal import EventLoop
internal import HTTP
internal import Journal

/// One event loop. Made and run on one thread.
@safe
struct DeliveryLoop<P: Poller & ~Copyable>: ~Copyable {
    static var turnCapacity: Int { 1024 }

    var poller: P
    let control: LoopControl
    let settings: LoopSettings
    let clock: LoopClock
    let budget: MemoryBudget
    let dedupeKey: DedupeKey
    var commit: CommitPath
    var listeners: [Int32]

    var connections: ConnectionTable
    var timers: TimerWheel
    var arena: ReceiveArena
    var slab = BlockSlab()
    var turn = TurnTable(capacity: Self.turnCapacity)
    var batch = VerifyBatch(capacity: Self.turnCapacity)
    var sources: [UInt64: Int32] = [:]
    /// Connections with unparsed bytes, for the next turn.
    var ready: [UInt32] = []
    /// Connections that wait for memory.
    var hungry: [UInt32] = []

    var table: RouteTable
    /// Counts by route of this table.
    var routeCells: RouteTally.Cells
    /// Older tables that deliveries in flight still point into, each until that many submissions are answered.
    var retiredTables: [(table: RouteTable, until: UInt64)] = []
    var tableGenerationSeen: UInt64 = 0
    /// Deliveries handed to the journal's thread, and those it gave back. It answers in order.
    var submittedCount: UInt64 = 0
    var answeredCount: UInt64 = 0
    /// Requests that helpers have.
    var helpingCount: UInt64 = 0
    var inFlightCount: UInt64 { submittedCount - answeredCount + helpingCount }
    let helpers: HelperPool
    /// Rulings of requests in flight, by slot.
    var ruled: [UInt32: RuledRequest] = [:]
    var bodyCheck = JSONObjectCheck()

    /// The loop's one header table: it holds one head at a time.
    let fields: UnsafeMutableBufferPointer<HeaderField>
    /// Where bytes go that nobody wants, and where answers are written.
    let scratch: UnsafeMutableRawBufferPointer
    var dates = DateCache()
    /// This turn's time.
    var nowMilliseconds: UInt64
    var nowNanoseconds: UInt64
    var nowUnixNanoseconds: UInt64
    /// Every answer closes its connection.
    var isLeaving = false
    var isDraining = false
    var drainStartedAt: UInt64 = 0

    /// Without memory or descriptors for a loop the server cannot run: that ends it here, at the start.
    init(
        poller: consuming P, control: LoopControl, settings: LoopSettings, budget: MemoryBudget, dedupeKey: DedupeKey,
        commit: CommitPath, helpers: HelperPool, listeners: [Int32], clock: LoopClock = LoopClock()
    ) {
        guard let arena = ReceiveArena() else { preconditionFailure("no memory for a loop's receive arena") }
        self.poller = poller
        self.control = control
        self.settings = settings
        self.clock = clock
        self.budget = budget
        self.dedupeKey = dedupeKey
        self.commit = commit
        self.helpers = helpers
        self.listeners = listeners
        self.arena = arena
        table = control.table
        routeCells = control.routeTally.begin(table)
        nowNanoseconds = clock.monotonic()
        nowUnixNanoseconds = clock.realtime()
        nowMilliseconds = nowNanoseconds / 1_000_000
        connections = ConnectionTable(capacity: settings.connectionsMax)
        timers = TimerWheel(capacity: settings.connectionsMax, now: nowMilliseconds)
        unsafe fields = .allocate(capacity: settings.requestLimits.fieldCountMax + 1)
        unsafe fields.initialize(repeating: .empty)
        unsafe scratch = .allocate(byteCount: ReceiveArena.receiveBytesMax, alignment: 64)
        ready.reserveCapacity(settings.connectionsMax)
        hungry.reserveCapacity(64)
        for listener in listeners {
            let failure = self.poller.addListener(listener)
            precondition(failure >= 0, "the kernel refused to watch a listener: errno \(-failure)")
        }
        let failure = self.poller.addWakeup(control.wakeup)
        precondition(failure >= 0, "the kernel refused to watch an eventfd: errno \(-failure)")
    }

    deinit {
        unsafe fields.deallocate()
        unsafe scratch.deallocate()
    }

    /// Runs until the control says stop, or until everything is answered after it said drain.
    mutating func run() {
        while turnOnce(timeoutMilliseconds: nil) {}
        closeEverything()
    }

    /// One turn; false when the loop has ended.
    mutating func turnOnce(timeoutMilliseconds: Int32?) -> Bool {
        let state = control.currentState
        if state == .stopped { return false }
        if state != .running { isLeaving = true }
        if state == .draining && !isDraining { startDraining() }
        if isDraining && connections.openCount == 0 && inFlightCount == 0 { return false }
        takeNewTable()

        let count = poller.wait(timeoutMilliseconds: timeoutMilliseconds ?? timeout())
        readClock()
        control.counters.turns.increment()
        for index in 0..<count {
            let event = poller.event(at: index)
            switch event.kind {
            case .accepted: accept(event.descriptor, listener: Int32(event.slot))
            case .readable: readable(event)
            case .writable:
                if connections.isCurrent(event.slot, event.generation) { sendUnsent(Int(event.slot)) }
            case .wakeup: break
            }
            if turn.isFull { endTurn() }
        }
        serveReady()
        feedHungry()
        takeHelped()
        endTurn()
        takeAnswers()
        poller.flush()
        expireTimers()
        if isDraining { closeQuietConnections() }
        return true
    }

    private mutating func readClock() {
        nowNanoseconds = clock.monotonic()
        nowUnixNanoseconds = clock.realtime()
        nowMilliseconds = nowNanoseconds / 1_000_000
        dates.update(unixSeconds: Int64(nowUnixNanoseconds / 1_000_000_000))
    }

    /// How long a turn may wait: not at all with work left over, else until timers or the journal want a look.
    func timeout() -> Int32 {
        if !ready.isEmpty { return 0 }
        if isDraining || !hungry.isEmpty { return 20 }
        if control.hasHelped { return 0 }
        return commit.patienceMilliseconds
    }

    private mutating func takeNewTable() {
        guard let newer = control.newerTable(than: &tableGenerationSeen) else { return }
        // A helper holds the table that it was given; the journal's thread reads names in one that nobody else may hold.
        if submittedCount > answeredCount { retiredTables.append((table, submittedCount)) }
        table = newer
        routeCells = control.routeTally.begin(newer)
    }

    // - Connections

    private mutating func accept(_ descriptor: Int32, listener: Int32) {
        var address: (UInt64, UInt64) = (0, 0)
        unsafe withUnsafeMutableBytes(of: &address) { bytes in
            _ = unsafe cl_peer_address(descriptor, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
        let source = address.0 &* 0x9e37_79b9_7f4a_7c15 ^ address.1
        guard sources[source, default: 0] < Int32(settings.connectionsPerSourceMax),
            let slot = connections.open(descriptor)
        else {
            control.counters.connectionsRefused.increment()
            _ = cl_close(descriptor)
            return
        }
        sources[source, default: 0] += 1
        _ = cl_no_delay(descriptor)
        let generation = connections[slot].generation
        connections[slot].source = source
        connections[slot].openedAt = nowMilliseconds
        guard poller.add(descriptor, slot: UInt32(slot), generation: generation, listener: listener) >= 0 else {
            forget(slot)
            _ = cl_close(descriptor)
            return
        }
        control.counters.connectionsAccepted.increment()
        control.counters.connectionsOpen.set(Int64(connections.openCount))
        setIdleDeadline(slot)
    }

    /// 30 s; 5 s when more than 80 % of the connections are taken: the idle are shed first.
    mutating func setIdleDeadline(_ slot: Int) {
        let crowded = connections.openCount * 5 > connections.capacity * 4
        let idle =
            crowded ? min(settings.crowdedIdleMilliseconds, settings.idleMilliseconds) : settings.idleMilliseconds
        timers.setDeadline(nowMilliseconds + idle, slot: UInt32(slot))
    }

    /// Frees everything a connection holds, without touching its descriptor.
    mutating func forget(_ slot: Int) {
        releaseRequest(slot)
        forgetRuling(slot)
        if let block = connections[slot].stash { slab.giveBack(block) }
        if let block = connections[slot].unsent { slab.giveBack(block) }
        connections[slot].stash = nil
        connections[slot].unsent = nil
        let source = connections[slot].source
        if let count = sources[source] { sources[source] = count > 1 ? count - 1 : nil }
        timers.setDeadline(nil, slot: UInt32(slot))
        connections.close(slot)
        control.counters.connectionsOpen.set(Int64(connections.openCount))
    }

    /// Closes at once. A request in flight keeps its slot and memory until the journal gave them back: its record stays.
    mutating func close(_ slot: Int, reset: Bool = false) {
        guard !connections[slot].isOrphan else { return }
        let descriptor = connections[slot].descriptor
        let generation = connections[slot].generation
        if reset { _ = cl_reset_on_close(descriptor) }
        poller.close(descriptor, slot: UInt32(slot), generation: generation)
        if connections[slot].phase == .waiting {
            connections[slot].isOrphan = true
            timers.setDeadline(nil, slot: UInt32(slot))
        } else {
            forget(slot)
        }
    }

    /// Gives back the memory of the request under way.
    mutating func releaseRequest(_ slot: Int) {
        if connections[slot].arenaLease != Connection.noLease {
            arena.giveBack(connections[slot].arenaLease)
            connections[slot].arenaLease = Connection.noLease
        }
        if connections[slot].pollerLease != 0 {
            poller.release(connections[slot].pollerLease)
            connections[slot].pollerLease = 0
        }
        if let block = connections[slot].block {
            slab.giveBack(block)
            connections[slot].block = nil
        }
        if connections[slot].reserved > 0 {
            budget.giveBack(connections[slot].reserved)
            connections[slot].reserved = 0
        }
    }

    // - Timers

    private mutating func expireTimers() {
        while let expired = timers.nextExpired(now: nowMilliseconds) {
            let slot = Int(expired)
            switch connections[slot].phase {
            case .free: break
            case .waiting:
                if connections[slot].unsent != nil {
                    control.counters.timeouts.increment()
                    close(slot, reset: true)
                }
            case .idle:
                if connections[slot].unsent != nil {
                    control.counters.timeouts.increment()
                    close(slot, reset: true)
                } else {
                    startLingering(slot)
                }
            case .lingering: close(slot)
            case .head: refuse(slot, .headTimeout)
            case .body, .discarding: bodyDeadlinePassed(slot)
            case .awaitingMemory:
                control.counters.memoryRefusals.increment()
                answerAndClose(slot, status: 503)
            }
        }
    }

    // - Shutdown

    /// Takes what is in the accept queues, then stops listening: nobody who connected is reset.
    private mutating func startDraining() {
        isDraining = true
        drainStartedAt = nowMilliseconds
        for listener in listeners {
            poller.removeListener(listener)
            while true {
                let descriptor = cl_accept(listener)
                if descriptor < 0 { break }
                accept(descriptor, listener: listener)
            }
            _ = cl_close(listener)
        }
        listeners = []
    }

    /// Connections without a request under way get a moment for one that is on its way, then their end.
    private mutating func closeQuietConnections() {
        guard nowMilliseconds >= drainStartedAt + settings.drainQuietMilliseconds else { return }
        for slot in 0..<connections.capacity
        where connections[slot].phase == .idle && connections[slot].unsent == nil && connections[slot].stash == nil {
            startLingering(slot)
        }
    }

    private mutating func closeEverything() {
        for slot in 0..<connections.capacity where connections[slot].phase != .free { close(slot) }
        for listener in listeners { _ = cl_close(listener) }
        // The journal still reads what is in flight.
        while inFlightCount > 0 {
            takeHelped()
            endTurn()
            takeAnswers()
            _ = poller.wait(timeoutMilliseconds: 1)
        }
        control.hasEnded.store(true, ordering: .releasing)
    }
}
