// EventHub: new deliveries and outcomes for clients that listen (server-sent events).
//
//   journal ──(a look every 200 ms, while somebody listens)──> delivery, outcome ──> each client whose filter means it
//
// The thread exists while there are clients. A client has at most `pendingBytesMax` under way: one that does not keep up gets a last
// event `gap` and is dropped. Each event has an `id`; who comes again with the last one as `Last-Event-ID` is told what lay between
// (`EventFollower`), or gets `gap` first where that is too much or gone.
// Source: HTML standard, "Server-sent events".

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import Journal
internal import Synchronization

final class EventHub: Sendable {
    static let clientsMax = 16
    private static let lookMilliseconds: UInt32 = 200
    /// Of one follower at one look.
    private static let tellNanoseconds: UInt64 = 300_000_000

    private struct State {
        var clients: [EventClient] = []
        /// Those of them that the thread has not seen, and how far the journal was when they came.
        var joining: [(client: EventClient, durable: UInt64)] = []
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

    /// What becomes durable from here on is told; the place where that begins. nil: there are enough.
    func add(_ client: EventClient) -> EventPlace? {
        let durable = durableSequence()
        let starts: Bool? = state.withLock { state in
            guard state.clients.count < Self.clientsMax else { return nil }
            state.clients.append(client)
            state.joining.append((client, durable))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard let starts else { return nil }
        if starts { NamedThread.start("events") { self.run() } }
        return client.after ?? EventPlace(durable)
    }

    func remove(_ client: EventClient) {
        state.withLock { state in
            state.clients.removeAll { $0 === client }
            state.joining.removeAll { $0.client === client }
        }
    }

    /// Nobody listens any more.
    func stop() {
        let clients = state.withLock { state in
            defer { (state.clients, state.joining) = ([], []) }
            return state.clients
        }
        for client in clients { client.end(EventFeed.gap(.serverEnds)) }
    }

    // MARK: - The thread

    private func run() {
        var feed = EventFeed(report: report)
        var followers: [EventFollower] = []
        while let (clients, joining) = present() {
            let there = Set(clients.map(ObjectIdentifier.init))
            let last = durableSequence()
            for (client, durable) in joining { followers.append(follower(client, durable, followers)) }
            for index in followers.indices {
                followers[index].keep { there.contains(ObjectIdentifier($0)) }
                followers[index].look(&feed, through: last, deadline: cl_now_monotonic() + Self.tellNanoseconds)
            }
            Self.join(&followers)
            usleep(Self.lookMilliseconds * 1000)
        }
    }

    /// Clients that are there and those among them that are new; nil: there are none, and the thread ends.
    private func present() -> ([EventClient], [(client: EventClient, durable: UInt64)])? {
        state.withLock { state in
            state.clients.removeAll { $0.isOver }
            guard !state.clients.isEmpty else {
                state.joining = []
                state.isRunning = false
                return nil
            }
            defer { state.joining = [] }
            return (state.clients, state.joining)
        }
    }

    private func follower(_ client: EventClient, _ durable: UInt64, _ others: [EventFollower]) -> EventFollower {
        let oldest = reader.segments.first?.baseSequence ?? 0
        let (place, gap) = EventFollower.begin(of: client, last: durable, oldest: oldest)
        let tail = others.lazy.compactMap { $0.tail(before: place) }.first
        var follower = EventFollower(
            client, at: place, tail: tail ?? JournalTail(reader: reader, through: place.wholeThrough))
        if let gap { follower.offerAll(EventFeed.gap(gap, id: place)) }
        return follower
    }

    /// Those that are at one place become one.
    private static func join(_ followers: inout [EventFollower]) {
        for index in followers.indices.dropFirst() {
            for other in 0..<index where !followers[other].isEmpty {
                var joining = followers[index]
                guard followers[other].join(&joining) else { continue }
                followers[index] = joining
                break
            }
        }
        followers.removeAll(where: \.isEmpty)
    }
}
