// What the index keeps of all deliveries it has read, whichever digests it let go: the latest of each route, and why deliveries were
// ignored.

internal import CLinuxIO
internal import Delivery
internal import Journal
internal import Synchronization

extension DeliveryIndex {
    /// The latest that the journal knows of a route.
    struct Latest: Sendable {
        /// nil: its record is gone.
        var delivery: IndexedDelivery?
        /// When a sender's delivery came last, redeliveries left out: nanoseconds since 1970; 0: none.
        var received: UInt64 = 0
    }

    /// The latest of these routes, read from the newest segment on until all are known or the journal ends. `isComplete` is false when
    /// the deadline came first: what is missing may be there. What was read is kept, so that asking again goes on. A journal that was
    /// read once costs a look at its end. Throws when the disk cannot be read.
    func latest(
        of wanted: [RouteIdentity], deadline: UInt64
    ) throws(JournalError) -> (latest: [RouteIdentity: Latest], isComplete: Bool) {
        let through = durableSequence()
        return try state.withLock { state throws(JournalError) in
            let segments = reader.segments
            state.forget(all: segments)
            var missing = wanted[...]
            var isComplete = true
            for segment in segments.reversed() where !state.isHeard(segment) {
                guard try state.digest(segment, through, reader, deadline) else {
                    isComplete = false
                    break
                }
                state.trim(keeping: segment.number)
                missing = missing.drop { state.latest.isKnown(state.routes.number(of: $0)) }
                if missing.isEmpty { break }
            }
            // What is owed and older than every segment was carried forward.
            var carried: [UInt32: IndexedDelivery] = [:]
            for delivery in state.carried.values where delivery.sequence > carried[delivery.route]?.sequence ?? 0 {
                carried[delivery.route] = delivery
            }
            var found: [RouteIdentity: Latest] = [:]
            for route in wanted {
                guard let number = state.routes.number(of: route) else { continue }
                var latest = state.latest[number] ?? Latest()
                if let delivery = latest.delivery, state.isGone(delivery) { latest.delivery = nil }
                if latest.delivery == nil, let delivery = carried[number] {
                    latest.delivery = delivery
                    latest.received = max(latest.received, delivery.received)
                }
                found[route] = latest
            }
            return (found, isComplete)
        }
    }

    /// Why it was ignored when it was carried out; nil: it was not, or without a reason.
    func ignoredReason(_ delivery: IndexedDelivery) -> String? {
        guard delivery.state == .ignored, delivery.progress.reason != 0 else { return nil }
        return state.withLock { $0.reasons[delivery.progress.reason] }
    }

    /// By route number.
    struct LatestByRoute {
        private var routes: [UInt32: Latest] = [:]
        /// By the sequence of each delivery in `routes`.
        private var numbers: [UInt64: UInt32] = [:]

        subscript(_ route: UInt32) -> Latest? { routes[route] }

        func isKnown(_ route: UInt32?) -> Bool { route.flatMap { routes[$0] }.map { $0.received != 0 } ?? false }

        /// Copies say nothing new: a route's later deliveries may lie in earlier segments.
        mutating func take(_ delivery: IndexedDelivery) {
            guard !delivery.flags.contains(.copied) else { return }
            var latest = routes[delivery.route] ?? Latest()
            if !delivery.flags.contains(.redelivered) { latest.received = max(latest.received, delivery.received) }
            let known = latest.delivery?.sequence ?? 0
            if delivery.sequence > known {
                numbers[known] = nil
                numbers[delivery.sequence] = delivery.route
                latest.delivery = delivery
            }
            routes[delivery.route] = latest
        }

        /// Something new was said of a delivery.
        mutating func change(_ sequence: UInt64, _ change: (inout DeliveryProgress) -> Void) {
            guard let route = numbers[sequence], routes[route]?.delivery != nil else { return }
            change(&routes[route]!.delivery!.progress)
        }

        /// Forgets records of segments that are gone.
        mutating func keep(_ isThere: (UInt64) -> Bool) {
            for (route, latest) in routes {
                guard let delivery = latest.delivery, !isThere(delivery.segment) else { continue }
                numbers[delivery.sequence] = nil
                routes[route]!.delivery = nil
            }
        }
    }

    /// Reasons by number, from 1: few texts stand in very many outcomes.
    struct ReasonTexts {
        static let countMax = 1000

        private var numbers: [String: UInt16] = [:]
        private var texts: [String] = []

        /// 0: it has no text, or there are too many different ones.
        mutating func number(_ text: String) -> UInt16 {
            guard !text.isEmpty else { return 0 }
            if let number = numbers[text] { return number }
            guard texts.count < Self.countMax else { return 0 }
            texts.append(text)
            numbers[text] = UInt16(texts.count)
            return UInt16(texts.count)
        }

        subscript(_ number: UInt16) -> String? {
            number > 0 && number <= texts.count ? texts[Int(number) - 1] : nil
        }
    }
}
