// TurnTable: the requests that became complete in this turn, in the order they came.
//
// Three parallel columns, because the verification batch works on proofs and routes alone. Fixed capacity: a turn that
// fills it ends early.

internal import Delivery
internal import HTTP

/// What became of a delivery, as the answer says it.
struct Verdict: BitwiseCopyable {
    enum Result: UInt8, BitwiseCopyable {
        case none, accepted, stored, ignored, duplicate, refused, malformed, unavailable
    }

    var result = Result.none
    var ignoredReason = IgnoredReason.eventNotListed
    var sequence: UInt64 = 0
}

/// One complete request of a turn.
@safe
struct PendingDelivery {
    var slot: UInt32
    var generation: UInt32
    /// The request's first byte; the body lies behind the head.
    var base: UnsafeMutableRawPointer
    var headBytes: Int
    var body: UnsafeRawBufferPointer
    var labels: DeliveryLabels
    var judgement: Judgement
    /// A filter reads the body: it must be an object.
    var checksBody = false
    var verdict = Verdict()
}

/// The turn's requests. Owned by one loop.
@safe
struct TurnTable: ~Copyable {
    let capacity: Int
    private(set) var count = 0
    let pending: UnsafeMutablePointer<PendingDelivery>
    let proofs: UnsafeMutablePointer<Proof>
    let routes: UnsafeMutablePointer<Int32>

    init(capacity: Int) {
        self.capacity = capacity
        unsafe pending = .allocate(capacity: capacity)
        unsafe proofs = .allocate(capacity: capacity)
        unsafe routes = .allocate(capacity: capacity)
    }

    deinit {
        // PendingDelivery and Proof are plain values: nothing to deinitialize.
        unsafe pending.deallocate()
        unsafe proofs.deallocate()
        unsafe routes.deallocate()
    }

    var isFull: Bool { count == capacity }

    /// Adds a request; gives its number.
    mutating func append(_ delivery: PendingDelivery, _ proof: Proof, route: Int) -> Int {
        precondition(count < capacity)
        unsafe (pending + count).initialize(to: delivery)
        unsafe (proofs + count).initialize(to: proof)
        unsafe routes[count] = Int32(route)
        count += 1
        return count - 1
    }

    mutating func removeAll() { count = 0 }
}
