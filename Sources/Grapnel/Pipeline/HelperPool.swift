// HelperPool: what a loop does not do itself: hashing and judging of large bodies, and ID tokens whose keys may have to be fetched.
//
// The loop lends the request's memory, which stays where it is while the connection waits; the result comes back through the
// loop's control and joins the turn in which it is taken. Tasks of the standard library's pool carry the work.

internal import CCrypto
internal import Delivery
internal import HTTP
internal import Synchronization

/// What a helper is to find out about one complete request.
@safe
struct HelperTask: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: the loop neither moves nor frees `base` and `body` before it took the result, and the
    // helper writes nothing there.

    enum Work: Sendable {
        /// Hash, compare, and look whether the body is an object where a filter reads it.
        case proof(Proof, Judgement, checksBody: Bool)
        /// Have the receiver's rules decide.
        case ruling(InboundRequest, any ReceiverRules, now: UInt64)
    }

    var slot: UInt32
    var generation: UInt32
    var base: UnsafeMutableRawPointer
    var headBytes: Int
    var body: UnsafeRawBufferPointer
    var labels: DeliveryLabels
    /// A filter reads the body: it must be an object.
    var checksBody = false
    var places: RequestPlaces
    var route: Int
    /// The table that `route` counts in.
    var table: RouteTable
    var work: Work
}

/// What was found.
struct HelperResult: Sendable {
    enum Finding: Sendable {
        case proof(Proof, Judgement)
        case ruling(Ruling)
    }

    var task: HelperTask
    var finding: Finding
    /// With a ruling: those of the receiver's siblings in other clusters. Their routes count in the task's table.
    var siblings: [SiblingRuling] = []
}

/// Verifies ID tokens; nil when the token does not prove what is demanded.
typealias TokenVerifier = @Sendable (IDTokenDemand) async -> JSONValue?

/// Carries out helper tasks.
struct HelperPool: Sendable {
    let verifyToken: TokenVerifier
    /// For simulations: carried out at once, on the caller's thread; no token is good.
    let isImmediate: Bool

    init(isImmediate: Bool = false, verifyToken: @escaping TokenVerifier) {
        self.isImmediate = isImmediate
        self.verifyToken = verifyToken
    }

    func submit(_ task: HelperTask, to control: LoopControl) {
        if isImmediate {
            var result = HelperResult(task: task, finding: Self.find(task))
            if case .ruling(let head, _, let now) = task.work, task.table.sibling(of: task.route) >= 0 {
                result.siblings = task.table.siblingRulings(of: task.route, on: Self.whole(head, task), now: now)
            }
            control.post(result)
            return
        }
        Task.detached { [self] in
            var result = HelperResult(task: task, finding: Self.find(task))
            guard case .ruling(let head, let rules, let now) = task.work, case .ruling(let ruling) = result.finding
            else { return control.post(result) }
            let request = Self.whole(head, task)
            result.finding = .ruling(await settled(ruling, rules, request, now))
            if task.table.sibling(of: task.route) >= 0 {
                for sibling in task.table.siblingRulings(of: task.route, on: request, now: now) {
                    guard let rules = task.table.rules(of: sibling.route) else { continue }
                    let ruling = await settled(sibling.ruling, rules, request, now)
                    result.siblings.append(SiblingRuling(route: sibling.route, ruling: ruling))
                }
            }
            control.post(result)
        }
    }

    /// The ruling once its ID token is judged, where it waits for that.
    private func settled(
        _ ruling: Ruling, _ rules: any ReceiverRules, _ request: InboundRequest, _ now: UInt64
    ) async -> Ruling {
        guard case .awaitsToken(let demand) = ruling.decision, let rules = rules as? any TokenRules else {
            return ruling
        }
        guard let claims = await verifyToken(demand) else { return rules.refuseToken(request) }
        return rules.rule(on: request, claims: claims, now: now)
    }

    private static func find(_ task: HelperTask) -> HelperResult.Finding {
        switch task.work {
        case .proof(var proof, var judgement, let checksBody):
            if proof.state == .awaitsDigest {
                unsafe VerifyBatch.settleAlone(&proof, route: task.route, of: task.table, body: task.body)
            }
            if checksBody, proof.state == .proven, judgement == .accepted {
                var check = JSONObjectCheck()
                if unsafe !check.isObject(task.body) { judgement = .refused(.bodyMalformed) }
            }
            return .proof(proof, judgement)
        case .ruling(let head, let rules, let now):
            let ruling = rules.rule(on: whole(head, task), now: now)
            if task.checksBody, ruling.decision == .accepted {
                var check = JSONObjectCheck()
                if unsafe !check.isObject(task.body) {
                    return .ruling(Ruling(.refused(.bodyMalformed), answer: Answer(400)))
                }
            }
            return .ruling(ruling)
        }
    }

    /// The request with its body, which the task only lends.
    private static func whole(_ head: InboundRequest, _ task: HelperTask) -> InboundRequest {
        var request = head
        request.body = unsafe Array(task.body)
        return request
    }
}

extension RouteTable {
    /// What the siblings of a route, without itself, make of a request, each by its own rules. Those that are not ready are left out.
    func siblingRulings(of route: Int, on request: InboundRequest, now: UInt64) -> [SiblingRuling] {
        siblings(of: route).dropFirst().compactMap { sibling in
            guard isReady(sibling), let rules = rules(of: sibling) else { return nil }
            return SiblingRuling(route: sibling, ruling: rules.rule(on: request, now: now))
        }
    }
}
