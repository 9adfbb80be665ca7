// EventHub: new deliveries and outcomes for clients that listen (server-sent events).
//
//   journal ──(a look every 200 ms, while somebody listens)──> delivery, outcome ──> each client whose filter means it
//
// The thread exists while there are clients. A client has at most `pendingBytesMax` under way: one that does not keep up gets a last
// event `gap` and is dropped, so it knows to list what it missed. More deliveries than can be told at one look are left out, and every
// client gets `gap` with their number.
// Source: HTML standard, "Server-sent events".

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import Journal
internal import Synchronization

/// One listener. Bytes leave through `send`, on the connection's own thread.
final class EventClient: Sendable {
    static let pendingBytesMax = 1 << 20

    /// Bytes, whether they are the last, and who is to be told when they were taken.
    typealias Send = @Sendable ([UInt8], Bool, @escaping @Sendable (Int) -> Void) -> Void

    let filter: DeliveryFilter
    private let sendBytes: Send
    private let pending = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)

    init(filter: DeliveryFilter, send: @escaping Send) {
        self.filter = filter
        sendBytes = send
    }

    /// False: the client was too slow and is dropped.
    func offer(_ text: String) -> Bool {
        guard !isOver.load(ordering: .relaxed) else { return false }
        let bytes = Array(text.utf8)
        guard pending.load(ordering: .relaxed) + bytes.count <= Self.pendingBytesMax else {
            end(EventHub.event("gap", ["reason": "slow-client", "skipped": .null]))
            return false
        }
        pending.add(bytes.count, ordering: .relaxed)
        sendBytes(bytes, false) { [weak self] count in self?.pending.subtract(count, ordering: .relaxed) }
        return true
    }

    func end(_ text: String) {
        guard !isOver.exchange(true, ordering: .relaxed) else { return }
        sendBytes(Array(text.utf8), true) { _ in }
    }
}

final class EventHub: Sendable {
    static let clientsMax = 16
    /// Deliveries that are told at one look.
    private static let deliveriesMax = 500
    private static let outcomesMax = 2000
    private static let lookMilliseconds: UInt32 = 200
    /// Looks without anything to tell before a comment keeps the connection alive: 10 s.
    private static let quietLooksMax = 50
    /// Routes of deliveries remembered, for outcomes that follow.
    private static let recentMax = 20_000

    private struct State {
        var clients: [EventClient] = []
        var isRunning = false
    }

    private let reader: JournalReader
    private let durableSequence: @Sendable () -> UInt64
    private let report: DeliveryReport
    private let state = Mutex(State())

    init(reader: JournalReader, durableSequence: @escaping @Sendable () -> UInt64, report: DeliveryReport) {
        self.reader = reader
        self.durableSequence = durableSequence
        self.report = report
    }

    /// False: there are enough.
    func add(_ client: EventClient) -> Bool {
        let starts: Bool? = state.withLock { state in
            guard state.clients.count < Self.clientsMax else { return nil }
            state.clients.append(client)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard let starts else { return false }
        // What is durable from here on is told.
        let begin = durableSequence()
        if starts { NamedThread.start("events") { self.run(from: begin) } }
        return true
    }

    func remove(_ client: EventClient) {
        state.withLock { $0.clients.removeAll { $0 === client } }
    }

    /// Nobody listens any more.
    func stop() {
        let clients = state.withLock { state in
            defer { state.clients = [] }
            return state.clients
        }
        for client in clients { client.end(Self.event("gap", ["reason": "server-ends", "skipped": .null])) }
    }

    static func event(_ name: String, id: UInt64? = nil, _ data: JSONValue) -> String {
        let data = String(decoding: data.serialized, as: UTF8.self)
        return "event: \(name)\n" + (id.map { "id: \($0)\n" } ?? "") + "data: \(data)\n\n"
    }

    // MARK: - The thread

    private func run(from begin: UInt64) {
        var tail = JournalTail(reader: reader, through: begin)
        var recent = RecentRoutes(capacity: Self.recentMax)
        var quiet = 0
        while true {
            let clients: [EventClient]? = state.withLock { state in
                if state.clients.isEmpty { state.isRunning = false }
                return state.clients.isEmpty ? nil : state.clients
            }
            guard let clients else { return }
            var gone: [ObjectIdentifier] = []
            func tell(_ text: String, _ isMeant: (EventClient) -> Bool) {
                for client in clients where isMeant(client) && !client.offer(text) {
                    gone.append(ObjectIdentifier(client))
                }
            }
            let told = look(&tail, &recent, tell)
            quiet = told ? 0 : quiet + 1
            if quiet >= Self.quietLooksMax {
                quiet = 0
                tell(": still here\n\n") { _ in true }
            }
            if !gone.isEmpty {
                state.withLock { $0.clients.removeAll { gone.contains(ObjectIdentifier($0)) } }
            }
            usleep(Self.lookMilliseconds * 1000)
        }
    }

    /// True when there was something to tell.
    private func look(
        _ tail: inout JournalTail, _ recent: inout RecentRoutes, _ tell: (String, (EventClient) -> Bool) -> Void
    ) -> Bool {
        var deliveries: [(IndexedDelivery, RouteIdentity)] = []
        var outcomes: [OutcomeEntry] = []
        var skipped = 0
        tail.advance(through: durableSequence()) { record in
            switch record.header.type {
            case .delivery where !record.header.isCopied:
                guard let texts = record.texts, let kind = ReceiverKind(rawValue: record.header.receiverKind),
                    let delivery = IndexedDelivery(record, route: 0, idHash: 0)
                else { return }
                let identity = RouteIdentity(
                    cluster: texts.cluster, kind: kind, namespace: texts.namespace, name: texts.name)
                recent.note(delivery.sequence, identity)
                if deliveries.count < Self.deliveriesMax {
                    deliveries.append((delivery, identity))
                } else {
                    skipped += 1
                }
            case .outcome:
                guard outcomes.count < Self.outcomesMax else {
                    skipped += 1
                    return
                }
                outcomes += record.outcomes ?? []
            default: break
            }
        }
        let deadline = cl_now_monotonic() + 500_000_000
        for (delivery, identity) in deliveries {
            var known: Event??
            let text = Self.event(
                "delivery", id: delivery.sequence, report.row(delivery, of: identity, deadline: deadline))
            tell(text) { client in
                guard client.filter.matches(delivery, of: identity) else { return false }
                guard client.filter.readsBody else { return true }
                let event = known ?? report.event(delivery)
                known = .some(event)
                return event.map { client.filter.matches($0) } ?? false
            }
        }
        for outcome in outcomes {
            let identity = recent.route(of: outcome.sequence)
            tell(Self.event("outcome", Self.json(outcome, identity))) { $0.filter.isMeant(identity) }
        }
        if skipped > 0 {
            tell(Self.event("gap", ["reason": "too-many", "skipped": .number("\(skipped)")])) { _ in true }
        }
        return !deliveries.isEmpty || !outcomes.isEmpty
    }

    private static func json(_ outcome: OutcomeEntry, _ route: RouteIdentity?) -> JSONValue {
        [
            "sequence": .number("\(outcome.sequence)"), "route": route.map(DeliveryReport.json) ?? .null,
            "planIndex": outcome.planIndex == OutcomeEntry.wholeDelivery ? .null : .number("\(outcome.planIndex)"),
            "outcome": .string(outcome.outcome.name),
            "attempt": outcome.outcome == .failed ? .number("\(outcome.detail)") : .null,
            "mergedInto": outcome.outcome == .merged ? .number("\(outcome.detail)") : .null,
            "reason": outcome.reason.isEmpty ? .null : .string(Plain.text(outcome.reason)),
        ]
    }
}

/// Routes of the latest deliveries.
private struct RecentRoutes {
    let capacity: Int
    private var routes: [UInt64: RouteIdentity] = [:]
    private var order: [UInt64] = []
    private var next = 0

    init(capacity: Int) { self.capacity = capacity }

    mutating func note(_ sequence: UInt64, _ route: RouteIdentity) {
        routes[sequence] = route
        guard order.count >= capacity else {
            order.append(sequence)
            return
        }
        routes[order[next]] = nil
        order[next] = sequence
        next = (next + 1) % capacity
    }

    func route(of sequence: UInt64) -> RouteIdentity? { routes[sequence] }
}

/// Follows the journal from a sequence on, record by record.
struct JournalTail {
    private let reader: JournalReader
    private var segment: UInt64?
    private var offset = JournalReader.firstRecordOffset
    private var passed: UInt64

    /// Begins behind `through`.
    init(reader: JournalReader, through: UInt64) {
        self.reader = reader
        passed = through
        segment = reader.segments.last?.number
    }

    /// Every record above the last one passed, through `last`. What cannot be read is left out.
    mutating func advance(through last: UInt64, _ body: (GlancedRecord) -> Void) {
        for span in reader.segments where span.number >= segment ?? 0 {
            if span.number != segment {
                segment = span.number
                offset = JournalReader.firstRecordOffset
            }
            let passed = passed
            var newest = passed
            let end = try? reader.glance(over: span, from: offset, through: last) { record in
                if record.sequence > passed {
                    newest = max(newest, record.sequence)
                    body(record)
                }
                return true
            }
            if let end { offset = end }
            self.passed = max(self.passed, newest)
        }
    }
}
