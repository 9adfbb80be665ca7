// Generator: one thread, one epoll instance, many connections.
//
// Open loop: the schedule says when a delivery arrives; it is sent on a free connection, and its latency counts from the
// scheduled time even when it had to wait for one. Closed loop: each connection sends the next delivery as soon as the
// last one is answered. A run has three spans: warming up (not counted), the measured time, and the drain, in which what
// arrived within the measured time is still sent and answered.
//
// Each connection owns a copy of the request and changes it in place, so nothing is allocated for a delivery.

import CLoad
import Glibc
import Histogram

/// The peer that deliveries go to.
public struct Address: Sendable {
    private var raw = load_address()

    /// - Throws: `GeneratorError.unresolved` when the host has no address.
    public init(host: String, port: UInt16) throws(GeneratorError) {
        let status = load_resolve(host, "\(port)", &raw)
        guard status == 0 else { throw .unresolved(host: host, reason: String(cString: gai_strerror(status))) }
    }

    /// A connection on its way to it, or -errno.
    fileprivate func connect() -> Int32 {
        withUnsafePointer(to: raw) { load_connect($0) }
    }
}

public enum GeneratorError: Error, CustomStringConvertible {
    case unresolved(host: String, reason: String)
    case unreachable(errno: Int32)
    case epoll(errno: Int32)

    public var description: String {
        switch self {
        case .unresolved(let host, let reason): "\(host) has no address: \(reason)"
        case .unreachable(let number): "no connection: \(String(cString: strerror(number)))"
        case .epoll(let number): "epoll: \(String(cString: strerror(number)))"
        }
    }
}

/// Runs a plan against a peer. Not to be shared between threads.
public final class Generator {
    private let address: Address
    private let template: RequestTemplate
    private let plan: Plan
    private let epoll: Int32
    private let slots: UnsafeMutableBufferPointer<Slot>
    private let scratch: UnsafeMutableBufferPointer<UInt8>
    private var idle: IndexQueue
    private var generator: SplitMix64
    private var number: UInt64
    private var measurement = Measurement()
    private var busyCount = 0
    private var measureFrom: UInt64 = 0
    private var measureUntil: UInt64 = .max
    /// Slots whose connection failed, and when each is tried again. Short: failures are rare.
    private var broken: [(slot: Int, at: UInt64)] = []

    private static let scratchByteCount = 64 * 1024
    /// A peer that refuses is not asked again sooner.
    private static let retryNanoseconds: UInt64 = 10_000_000

    private struct Slot {
        enum Phase { case closed, connecting, idle, busy }
        var fd: Int32 = -1
        var phase = Phase.closed
        /// A delivery waits for the connection to be made.
        var isOwed = false
        var sentByteCount = 0
        var arrivedAt: UInt64 = 0
        var waitsForWrite = false
        /// The request in the buffer carries a signature that fits its body.
        var isSigned = false
        var request: UnsafeMutablePointer<UInt8>
        var reader = AnswerReader()
    }

    public init(address: Address, template: RequestTemplate, plan: Plan) throws(GeneratorError) {
        self.address = address
        self.template = template
        self.plan = plan
        epoll = load_epoll_create()
        guard epoll >= 0 else { throw .epoll(errno: -epoll) }
        slots = .allocate(capacity: plan.connectionCount)
        for index in 0..<plan.connectionCount {
            let request = UnsafeMutablePointer<UInt8>.allocate(capacity: template.bytes.count)
            request.initialize(from: template.bytes, count: template.bytes.count)
            (slots.baseAddress! + index).initialize(to: Slot(request: request))
        }
        scratch = .allocate(capacity: Self.scratchByteCount)
        scratch.initialize(repeating: 0)
        idle = IndexQueue(capacity: plan.connectionCount)
        generator = SplitMix64(plan.seed)
        number = plan.firstID
    }

    deinit {
        for slot in slots {
            if slot.fd >= 0 { load_close(slot.fd) }
            slot.request.deallocate()
        }
        slots.deinitialize().deallocate()
        scratch.deallocate()
        load_close(epoll)
    }

    /// Runs the plan. May be called once.
    /// - Throws: `GeneratorError.unreachable` when the first connection cannot be made.
    public func run() throws(GeneratorError) -> Measurement {
        let probe = address.connect()
        guard probe >= 0 else { throw .unreachable(errno: -probe) }
        load_close(probe)
        let start = load_now()
        for index in 0..<plan.connectionCount {
            if plan.opensEach { idle.append(index) } else { open(index, now: start) }
        }
        measureFrom = start + plan.warmUpNanoseconds
        let end = measureFrom + plan.measuredNanoseconds
        measureUntil = end
        var schedule = plan.rate.map { Schedule(rate: $0, arrivals: plan.arrivals, start: start, seed: plan.seed) }
        var next = schedule?.next() ?? .max
        var began: Readings?
        var isOver = false

        withUnsafeTemporaryAllocation(of: load_event.self, capacity: 512) { events in
            while true {
                var now = load_now()
                if began == nil, now >= measureFrom { began = Readings(plan.serverProcesses, now) }
                if !isOver, now >= end {
                    isOver = true
                    finish(began ?? Readings(plan.serverProcesses, now), Readings(plan.serverProcesses, now))
                }
                // What is due goes out; what arrived before the end is still sent after it.
                if schedule != nil {
                    while next <= now, next < end, let index = idle.popFirst() {
                        begin(index, arrivedAt: next, now: now)
                        next = schedule!.next()
                    }
                    if next <= now, next < end, let rate = plan.rate {
                        let due = Double(min(now, end) - next) * rate / 1e9
                        measurement.waitingMost = max(measurement.waitingMost, UInt64(due))
                    }
                } else if !isOver {
                    while let index = idle.popFirst() { begin(index, arrivedAt: now, now: now) }
                }
                if isOver, busyCount == 0, next >= end { break }
                if now >= end + plan.drainNanoseconds {
                    while next < end {
                        count(arrivedAt: next, \.unanswered)
                        next = schedule?.next() ?? .max
                    }
                    for index in slots.indices where slots[index].phase == .busy || slots[index].isOwed {
                        count(arrivedAt: slots[index].arrivedAt, \.unanswered)
                    }
                    break
                }
                mend(now)

                now = load_now()
                var patience: UInt64 = 20_000_000
                if next < end, !idle.isEmpty { patience = min(patience, next > now ? next - now : 0) }
                if !isOver { patience = min(patience, end > now ? end - now : 0) }
                if began == nil { patience = min(patience, measureFrom > now ? measureFrom - now : 0) }
                let eventCount = load_epoll_wait(epoll, events.baseAddress!, Int32(events.count), patience)
                if eventCount <= 0 { continue }
                for position in 0..<Int(eventCount) {
                    let event = events[position]
                    handle(Int(event.slot), isReadable: event.readable != 0, isWritable: event.writable != 0)
                }
            }
        }
        return measurement
    }

    // MARK: - The measured time

    private struct Readings {
        let time: UInt64
        let server: UInt64?
        let own: UInt64

        init(_ processes: [Int32], _ now: UInt64) {
            time = now
            server = processes.isEmpty ? nil : ProcessorTime.used(by: processes)
            own = load_own_processor_time()
        }
    }

    private func finish(_ first: Readings, _ last: Readings) {
        measurement.elapsedNanoseconds = last.time - first.time
        measurement.ownProcessorNanoseconds = last.own - first.own
        if let before = first.server, let after = last.server {
            measurement.serverProcessorNanoseconds = after - before
            measurement.serverResidentBytes = ProcessorTime.residentBytes(of: plan.serverProcesses)
        }
    }

    private func isCounted(_ arrivedAt: UInt64) -> Bool { arrivedAt >= measureFrom && arrivedAt < measureUntil }

    private func count(arrivedAt: UInt64, _ error: WritableKeyPath<Measurement.Errors, UInt64>) {
        if isCounted(arrivedAt) {
            measurement.arrived += 1
            measurement.errors[keyPath: error] += 1
        }
    }

    // MARK: - Connections

    private func open(_ index: Int, now: UInt64) {
        let fd = address.connect()
        guard fd >= 0 else { return fail(index, \.connect, now: now) }
        slots[index].fd = fd
        slots[index].phase = .connecting
        slots[index].reader.reset()
        slots[index].waitsForWrite = true
        _ = load_epoll_watch(epoll, fd, UInt32(index), 1, 1)
    }

    private func close(_ index: Int) {
        load_close(slots[index].fd)
        slots[index].fd = -1
        slots[index].phase = .closed
    }

    /// A connection that came to a bad end; the delivery on it is lost, the connection is made again.
    private func fail(_ index: Int, _ error: WritableKeyPath<Measurement.Errors, UInt64>, now: UInt64) {
        if slots[index].phase == .busy || slots[index].isOwed {
            count(arrivedAt: slots[index].arrivedAt, error)
            busyCount -= 1
            slots[index].isOwed = false
        } else if error == \.connect {
            measurement.errors.connect += 1
        }
        if slots[index].fd >= 0 { close(index) }
        broken.append((index, now + Self.retryNanoseconds))
    }

    private func mend(_ now: UInt64) {
        if broken.isEmpty { return }
        let due = broken.filter { $0.at <= now }
        broken.removeAll { $0.at <= now }
        for entry in due {
            if plan.opensEach { idle.append(entry.slot) } else { open(entry.slot, now: now) }
        }
    }

    // MARK: - One delivery

    private func begin(_ index: Int, arrivedAt: UInt64, now: UInt64) {
        let request = slots[index].request
        number &+= 1
        template.setID(number & 0xffff_ffff_ffff, in: request)
        let isGood = plan.badShare <= 0 || generator.unit() >= plan.badShare
        if plan.signsEach || !slots[index].isSigned || (plan.badShare > 0 && plan.badShare < 1) {
            template.sign(marker: number, isGood: isGood, in: request)
            slots[index].isSigned = true
        }
        slots[index].arrivedAt = arrivedAt
        slots[index].sentByteCount = 0
        busyCount += 1
        if slots[index].phase == .closed {
            slots[index].isOwed = true
            open(index, now: now)
        } else {
            slots[index].phase = .busy
            send(index)
        }
    }

    private func send(_ index: Int) {
        let total = template.bytes.count
        while slots[index].sentByteCount < total {
            let sent = slots[index].sentByteCount
            let result = load_send(slots[index].fd, slots[index].request + sent, UInt64(total - sent))
            if result == Int64(-EAGAIN) { break }
            // A reset shows at the next receive, behind an answer that may already be there.
            if result < 0 { return }
            slots[index].sentByteCount += Int(result)
        }
        let waits = slots[index].sentByteCount < total
        if waits != slots[index].waitsForWrite {
            slots[index].waitsForWrite = waits
            _ = load_epoll_watch(epoll, slots[index].fd, UInt32(index), 0, waits ? 1 : 0)
        }
    }

    private func handle(_ index: Int, isReadable: Bool, isWritable: Bool) {
        if slots[index].phase == .connecting {
            guard load_connect_error(slots[index].fd) == 0 else { return fail(index, \.connect, now: load_now()) }
            guard isWritable else { return }
            if slots[index].isOwed {
                slots[index].isOwed = false
                slots[index].phase = .busy
                send(index)
            } else {
                slots[index].phase = .idle
                slots[index].waitsForWrite = false
                _ = load_epoll_watch(epoll, slots[index].fd, UInt32(index), 0, 0)
                idle.append(index)
            }
            return
        }
        if isWritable, slots[index].phase == .busy { send(index) }
        if isReadable, slots[index].fd >= 0 { receive(index) }
    }

    private func receive(_ index: Int) {
        let result = load_receive(slots[index].fd, scratch.baseAddress!, UInt64(scratch.count))
        if result == Int64(-EAGAIN) { return }
        let now = load_now()
        guard result > 0 else {
            if slots[index].phase == .idle {
                // Closed between two deliveries, as servers do after a while: no delivery is lost.
                idle.remove(index)
                close(index)
                open(index, now: now)
            } else {
                fail(index, \.closed, now: now)
            }
            return
        }
        switch slots[index].reader.read(UnsafeBufferPointer(start: scratch.baseAddress!, count: Int(result))) {
        case .needsMore:
            return
        case .malformed:
            if slots[index].phase == .idle { idle.remove(index) }
            fail(index, \.malformed, now: now)
        case .answer(let status, let closes, let consumed):
            guard slots[index].phase == .busy, consumed == Int(result), status < 1000 else {
                if slots[index].phase == .idle { idle.remove(index) }
                return fail(index, \.malformed, now: now)
            }
            busyCount -= 1
            slots[index].phase = .idle
            if isCounted(slots[index].arrivedAt) {
                measurement.arrived += 1
                measurement.statuses[status] += 1
                measurement.latency.record(max(1, now - slots[index].arrivedAt))
            }
            if now >= measureFrom, now < measureUntil { measurement.answeredInTime += 1 }
            if closes || plan.opensEach || slots[index].sentByteCount < template.bytes.count {
                close(index)
                if plan.opensEach { idle.append(index) } else { open(index, now: now) }
            } else {
                idle.append(index)
            }
        }
    }
}

/// A queue of slot indices, first in, first out, so that all connections take part.
struct IndexQueue {
    private var ring: [Int]
    private var head = 0
    private(set) var count = 0

    init(capacity: Int) { ring = Array(repeating: 0, count: max(1, capacity)) }

    var isEmpty: Bool { count == 0 }

    mutating func append(_ index: Int) {
        precondition(count < ring.count, "each slot is in the queue at most once")
        ring[(head + count) % ring.count] = index
        count += 1
    }

    mutating func popFirst() -> Int? {
        if count == 0 { return nil }
        let index = ring[head]
        head = (head + 1) % ring.count
        count -= 1
        return index
    }

    /// Takes `index` out, wherever it stands. Linear; for connections that end between deliveries.
    mutating func remove(_ index: Int) {
        var kept: [Int] = []
        while let other = popFirst() {
            if other != index { kept.append(other) }
        }
        for other in kept { append(other) }
    }
}
