// RefusedRequests: the last refused requests of each known route, for operators who ask why a sender is turned away.
//
// In memory alone. A route has at most `perRouteMax`; when `allMax` are kept in all, the route that has most gives its oldest one,
// so a flood on one route pushes out its own. Filled once a second from the loops' samples (`RefusalTally`), which are few.

internal import Delivery
internal import Synchronization

struct RefusedRequest: Sendable, Equatable {
    /// Nanoseconds since 1970.
    var at: UInt64
    var source: String
    var cause: VerifyCause
    /// As they came, without values; perhaps not all.
    var headerNames: [String]
    var bodyBytes: Int
    /// Hexadecimal SHA-256 of the body as it was received, credentials in forms overwritten; nil: the body is too large for a loop.
    var bodySHA256: String?

    var json: JSONValue {
        [
            "time": .string(APITime.text(at)), "source": .string(source), "cause": .string(cause.name),
            "hint": .string(cause.hint), "headerNames": .array(headerNames.map { .string(Plain.text($0, max: 128)) }),
            "bodyBytes": .number("\(bodyBytes)"), "bodySHA256": bodySHA256.map { .string($0) } ?? .null,
        ]
    }
}

final class RefusedRequests: Sendable {
    static let perRouteMax = 50
    static let allMax = 20_000

    private struct State {
        /// Oldest first.
        var requests: [RouteIdentity: [RefusedRequest]] = [:]
        var count = 0
    }

    private let state = Mutex(State())

    func note(_ request: RefusedRequest, of route: RouteIdentity) {
        state.withLock { state in
            state.requests[route, default: []].append(request)
            state.count += 1
            if state.requests[route]!.count > Self.perRouteMax {
                state.requests[route]!.removeFirst()
                state.count -= 1
            } else if state.count > Self.allMax, let most = state.requests.max(by: { $0.value.count < $1.value.count })
            {
                state.requests[most.key]!.removeFirst()
                if state.requests[most.key]!.isEmpty { state.requests[most.key] = nil }
                state.count -= 1
            }
        }
    }

    /// Newest first.
    func last(of route: RouteIdentity) -> [RefusedRequest] {
        state.withLock { Array(($0.requests[route] ?? []).reversed()) }
    }

    /// Forgets routes that are gone.
    func keep(_ isKnown: (RouteIdentity) -> Bool) {
        state.withLock { state in
            for (route, list) in state.requests where !isKnown(route) {
                state.count -= list.count
                state.requests[route] = nil
            }
        }
    }
}
