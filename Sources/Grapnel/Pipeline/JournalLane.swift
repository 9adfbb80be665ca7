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
    private let wakeup: Int32
    private let lanes = Mutex<[JournalLane]>([])
    private let isStopping = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)
    private let isStarted = Atomic<Bool>(false)

    init?(desk: JournalDesk) {
        let descriptor = cl_eventfd()
        guard descriptor >= 0 else { return nil }
        wakeup = descriptor
        self.desk = desk
        bell = Doorbell { _ = cl_eventfd_signal(descriptor) }
    }

    /// Before `start`.
    func add(_ lane: JournalLane) { lanes.withLock { $0.append(lane) } }

    var isRunning: Bool { isStarted.load(ordering: .acquiring) }

    /// The desk is this thread's from here on.
    func start() {
        guard !isStarted.exchange(true, ordering: .acquiringAndReleasing) else { return }
        NamedThread.start("journal") { self.run() }
    }

    /// From any thread: it looks at its mail.
    func wake() { _ = cl_eventfd_signal(wakeup) }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    private func run() {
        let lanes = lanes.withLock { $0 }
        // (lane, slot, generation, verdict) of the group under way; reserved once.
        var group: [(lane: Int, verdict: LaneVerdict)] = []
        group.reserveCapacity(Self.groupRecordsMax)
        while true {
            gather(lanes, &group)
            let now = cl_now_realtime()
            if group.isEmpty {
                desk.keepHouse(nowUnixNanoseconds: now)
                if isStopping.load(ordering: .acquiring), lanes.allSatisfy({ $0.requests.depth == 0 }) { break }
                sleep(lanes)
                continue
            }
            let isDurable = desk.commit(nowUnixNanoseconds: now)
            for index in 0..<group.count {
                var verdict = group[index].verdict
                if !isDurable { verdict.verdict.result = .unavailable }
                // Cannot be full: see the head of this file.
                precondition(lanes[group[index].lane].verdicts.push(verdict), "a lane's verdicts overflowed")
            }
            group.removeAll(keepingCapacity: true)
            for lane in lanes { lane.bell.ring() }
            desk.tickIfDue(nowUnixNanoseconds: now)
        }
        hasEnded.store(true, ordering: .releasing)
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

    private func sleep(_ lanes: [JournalLane]) {
        bell.prepareToSleep()
        if lanes.contains(where: { $0.requests.depth > 0 }) || isStopping.load(ordering: .acquiring) {
            bell.cancelSleep()
            return
        }
        // Plans and outcomes go within a second.
        _ = NamedThread.wait(on: wakeup, milliseconds: desk.mailbox.isEmpty ? 1000 : 200)
        bell.cancelSleep()
    }
}
