// JournalLane: one loop's way to the journal's thread and back, and that thread.
//
//   loop 0 --requests--> \                                  / --verdicts--> loop 0
//   loop 1 --requests-->  journal thread: group, write, sync   --verdicts--> loop 1
//
// Both rings of a lane hold as many elements as the loop has connections, and a connection has one request in flight, so neither can be
// full. The memory that a request points to stays the loop's until its verdict is back. One group in flight: while a sync runs, the
// next group gathers in the rings. Verdicts come in the order of the requests.

internal import CLinuxIO
internal import Journal
internal import Ring
internal import Synchronization

/// A proven delivery on its way to the journal.
@safe
struct LaneRequest: BitwiseCopyable {
    let slot: UInt32
    let generation: UInt32
    private let first: DeliveryRecord
    // A SiblingRecords, retained here; `take`, called once, gives it back.
    private let others: UnsafeMutableRawPointer?

    init(slot: UInt32, generation: UInt32, _ records: DeliveryRecords) {
        self.slot = slot
        self.generation = generation
        first = records.first
        unsafe others = records.others.map { unsafe Unmanaged.passRetained($0).toOpaque() }
    }

    /// Once.
    func take() -> DeliveryRecords {
        DeliveryRecords(
            first: first,
            others: unsafe others.map { unsafe Unmanaged<SiblingRecords>.fromOpaque($0).takeRetainedValue() })
    }
}

/// What became of it.
struct LaneVerdict: BitwiseCopyable {
    var slot: UInt32
    var generation: UInt32
    var verdict: Verdict
}

/// One loop's two rings.
final class JournalLane: Sendable {
    let requests: SPSCRing<LaneRequest>
    let verdicts: SPSCRing<LaneVerdict>
    let thread: JournalThread
    /// Wakes the loop.
    let bell: Doorbell

    init(capacity: Int, thread: JournalThread, wake: @escaping @Sendable () -> Void) {
        requests = SPSCRing(capacity: capacity)
        verdicts = SPSCRing(capacity: capacity)
        self.thread = thread
        bell = Doorbell(signal: wake)
    }
}

/// The journal's thread. Groups what gathered in all lanes.
final class JournalThread: Sendable {
    /// Records of one group: enough to share a sync, few enough to bound its time.
    private static let groupRecordsMax = 1024

    let desk: JournalDesk
    let bell: Doorbell
    let wakeup: Int32
    private let clock: LoopClock
    private let spawn: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let lanes = Mutex<[JournalLane]>([])
    private let isStopping = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)
    private let isStarted = Atomic<Bool>(false)

    /// `spawn` starts the thread; a simulation goes through the turns itself.
    init?(
        desk: JournalDesk, clock: LoopClock = LoopClock(),
        spawn: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { NamedThread.start("journal", $0) }
    ) {
        let descriptor = cl_eventfd()
        guard descriptor >= 0 else { return nil }
        wakeup = descriptor
        self.desk = desk
        self.clock = clock
        self.spawn = spawn
        bell = Doorbell { _ = cl_eventfd_signal(descriptor) }
    }

    /// Before `start`.
    func add(_ lane: JournalLane) { lanes.withLock { $0.append(lane) } }

    /// Lets go of the lanes, which hold this: at an end without `start`.
    func removeLanes() { lanes.withLock { $0 = [] } }

    var isRunning: Bool { isStarted.load(ordering: .acquiring) }

    /// The desk is this thread's from here on.
    func start() {
        guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        spawn { self.run() }
    }

    /// From any thread: it looks at its mail.
    func wake() { _ = cl_eventfd_signal(wakeup) }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    /// What of the lanes is in the group under way; the room is reserved once.
    struct Group {
        fileprivate var members: [(lane: Int, verdict: LaneVerdict)] = []

        init() { members.reserveCapacity(JournalThread.groupRecordsMax) }
    }

    private func run() {
        var group = Group()
        while let patience = turn(&group) {
            guard patience > 0 else { continue }
            _ = NamedThread.wait(on: wakeup, milliseconds: patience)
            bell.cancelSleep()
        }
        hasEnded.store(true, ordering: .releasing)
    }

    /// One group, or what is due without one. Gives how many milliseconds to sleep unless woken: 0 for not at all, nil at the end.
    func turn(_ group: inout Group) -> Int32? {
        let lanes = lanes.withLock { $0 }
        gather(lanes, &group.members)
        let now = clock.realtime()
        if group.members.isEmpty {
            desk.keepHouse(nowUnixNanoseconds: now)
            if isStopping.load(ordering: .acquiring), lanes.allSatisfy({ $0.requests.depth == 0 }) { return nil }
            return patience(lanes)
        }
        let isDurable = desk.commit(nowUnixNanoseconds: now)
        for member in group.members {
            var verdict = member.verdict
            if !isDurable { verdict.verdict.result = .unavailable }
            // Cannot be full: see the head of this file.
            precondition(lanes[member.lane].verdicts.push(verdict), "a lane's verdicts overflowed")
        }
        group.members.removeAll(keepingCapacity: true)
        for lane in lanes { lane.bell.ring() }
        desk.tickIfDue(nowUnixNanoseconds: now)
        return 0
    }

    /// Appends what waits in the lanes, one request of each lane in turn, so that no loop is favoured.
    private func gather(_ lanes: [JournalLane], _ group: inout [(lane: Int, verdict: LaneVerdict)]) {
        var isAnyLeft = true
        while isAnyLeft && group.count < Self.groupRecordsMax {
            isAnyLeft = false
            for (index, lane) in lanes.enumerated() where group.count < Self.groupRecordsMax {
                guard let request = lane.requests.pop() else { continue }
                isAnyLeft = true
                let verdict = desk.append(request.take())
                group.append((index, LaneVerdict(slot: request.slot, generation: request.generation, verdict: verdict)))
            }
        }
    }

    /// Arms the bell, unless there is something to do.
    private func patience(_ lanes: [JournalLane]) -> Int32 {
        bell.prepareToSleep()
        if lanes.contains(where: { $0.requests.depth > 0 }) || isStopping.load(ordering: .acquiring) {
            bell.cancelSleep()
            return 0
        }
        // Plans and outcomes go within a second.
        return desk.mailbox.isEmpty ? 1000 : 200
    }
}
