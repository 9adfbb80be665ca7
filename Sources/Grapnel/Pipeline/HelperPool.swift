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
            control.post(HelperResult(task: task, finding: Self.find(task)))
            return
        }
        Task.detached { [verifyToken] in
            var finding = Self.find(task)
            if case .ruling(let ruling) = finding, case .awaitsToken(let demand) = ruling.decision,
                case .ruling(let head, let rules, let now) = task.work, let rules = rules as? any TokenRules
            {
                let request = Self.whole(head, task)
                if let claims = await verifyToken(demand) {
                    finding = .ruling(rules.rule(on: request, claims: claims, now: now))
                } else {
                    finding = .ruling(rules.refuseToken(request))
                }
            }
            control.post(HelperResult(task: task, finding: finding))
        }
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
