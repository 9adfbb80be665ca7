// Breaker: leaves a server alone that does not work. One for each API server and each HTTP origin (scope `server`), and
// one for each resource in each namespace of an API server (scope `resource`), so that ten thousand waiting targets cost
// one probe and not ten thousand calls, and one tenant without rights does not stop the others.
//
//     closed --[failures in a row]--> open(until) --[time]--> half-open --[probe succeeds]--> closed
//                                        ^                        |
//                                        +----[probe fails]-------+        the pause doubles up to a maximum
//
// A resource failure counts on the server's breaker only once for each resource: many different resources that fail at
// once, with no success between, are a server that restarts (403 while its RBAC caches fill, 404 before its CRDs load).

struct Breaker: Sendable {
    enum State: Sendable, Equatable {
        case closed
        case open(until: UInt64)
        /// One attempt at a time may pass; `isProbing` while it runs.
        case halfOpen(isProbing: Bool)
    }

    let key: String
    /// Queues that ask this breaker.
    var users = 0
    private(set) var state = State.closed
    /// Grows at each opening: older timers are then void.
    private(set) var generation: UInt32 = 0
    private var failures = 0
    private var failingResources: [Int] = []
    private var pauses = 0
    /// Queues that wait for this breaker.
    var parked = IndexList()
    /// Why it opened; the reason given to what waits too long behind it.
    private(set) var reason = ""
    /// When what waits behind it was last searched for deliveries that are too old.
    var sweptAt: UInt64 = 0

    init(key: String, generation: UInt32) {
        self.key = key
        self.generation = generation
    }

    var isOpen: Bool { state != .closed }

    /// Whether an attempt may start at `now`. `true` in the half-open state makes it the probe: call `beginProbe`.
    mutating func admits(_ now: UInt64) -> Bool {
        switch state {
        case .closed: return true
        case .open(let until):
            guard now >= until else { return false }
            state = .halfOpen(isProbing: false)
            return true
        case .halfOpen(let isProbing): return !isProbing
        }
    }

    /// Returns whether the attempt that starts now is the probe.
    mutating func beginProbe() -> Bool {
        guard state == .halfOpen(isProbing: false) else { return false }
        state = .halfOpen(isProbing: true)
        return true
    }

    /// The probe ended without saying anything about the server.
    mutating func endProbe() {
        if state == .halfOpen(isProbing: true) { state = .halfOpen(isProbing: false) }
    }

    /// Returns true when this closed the breaker.
    mutating func succeed() -> Bool {
        failures = 0
        failingResources = []
        pauses = 0
        defer { state = .closed }
        return state != .closed
    }

    /// Counts a failure; `resource` names the resource when it is the resource that failed and not the server. Returns
    /// the time until which the breaker is now open, or nil when it did not open by this failure.
    mutating func fail(
        _ reason: String, resource: Int?, wasProbe: Bool, retryAfter: UInt64?, now: UInt64,
        settings: DispatcherSettings, random: inout SeededRandom
    ) -> UInt64? {
        switch state {
        case .open: return nil
        case .halfOpen: guard wasProbe else { return nil }
        case .closed:
            if let resource {
                if !failingResources.contains(resource) { failingResources.append(resource) }
            } else {
                failures += 1
            }
            guard failures + failingResources.count >= settings.breakerFailuresMax else { return nil }
        }
        if resource != nil { pauses = min(pauses, 1) }
        let limit = settings.breakerPauseMaxNanoseconds
        let pause = min(limit, settings.breakerPauseNanoseconds << UInt64(min(pauses, 20)))
        pauses += 1
        // Half of the pause is certain, half is jitter.
        let jittered = pause / 2 + random.next() % (pause / 2 + 1)
        let until = now + max(jittered, min(retryAfter ?? 0, 10 * limit))
        self.reason = reason
        failures = 0
        failingResources = []
        generation &+= 1
        state = .open(until: until)
        return until
    }
}
