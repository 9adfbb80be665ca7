// VerifyBatch: the HMACs of one loop turn, computed together.
//
// Every request whose proof awaits a digest is added as it becomes complete; `run` hashes all of them side by side (libipsec-mb, where
// the processor and the lengths allow) and compares. A batch of one goes to libcrypto. What a route's first secret does not
// prove is tried with its other secrets one by one: that is the rare case of a rotation under way.
// One per loop; nothing is allocated after `init`.

internal import CCrypto

/// The turn's batch. Owned by one loop.
@safe
public struct VerifyBatch: ~Copyable {
    private let items: UnsafeMutablePointer<cc_hmac_item>
    private let owners: UnsafeMutablePointer<Int32>
    private let capacity: Int
    private var count = 0
    private let state: UnsafeMutableRawPointer

    /// Room for `capacity` requests a turn.
    public init(capacity: Int) {
        self.capacity = capacity
        unsafe items = .allocate(capacity: capacity)
        unsafe owners = .allocate(capacity: capacity)
        guard let state = unsafe cc_batch_create() else { preconditionFailure("no memory for the verification batch") }
        unsafe self.state = state
    }

    deinit {
        unsafe items.deallocate()
        unsafe owners.deallocate()
        unsafe cc_batch_destroy(state)
    }

    /// Adds the request with number `owner` of this turn. SHA-1 and SHA-512 are computed at once, SHA-256 waits for `run`.
    /// `proof` awaits a digest; body stays where it is until `run` returned.
    public mutating func add(
        _ proof: inout Proof, owner: Int, route: Int, of table: RouteTable, body: UnsafeRawBufferPointer
    ) {
        let range = table.secrets(of: route)
        guard range.count > 0 else {
            proof.state = .refused
            proof.cause = .secretUnusable
            return
        }
        if proof.algorithm == UInt8(CC_SHA256) && count < capacity {
            unsafe (items + count).initialize(
                to: cc_hmac_item(
                    key: table.secretTable.key(range.start), bytes: body.baseAddress, count: body.count,
                    digest: (
                        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
                    )))
            unsafe owners[count] = Int32(owner)
            count += 1
        } else {
            unsafe Self.settle(&proof, secrets: range, from: 0, of: table, body: body)
        }
    }

    /// Computes all digests and settles each proof; `proofs` is indexed by owner, `route` gives an owner's route.
    public mutating func run(
        table: RouteTable, proofs: UnsafeMutablePointer<Proof>, route: UnsafePointer<Int32>
    ) {
        guard count > 0 else { return }
        unsafe cc_hmac_sha256_batch(state, items, count)
        for index in 0..<count {
            let owner = unsafe Int(owners[index])
            let proof = unsafe proofs + owner
            let equal = unsafe withUnsafeBytes(of: &items[index].digest) { computed in
                unsafe withUnsafeBytes(of: &proof.pointee.digest) { claimed in
                    unsafe cc_equal(computed.baseAddress!, claimed.baseAddress!, 32) == 1
                }
            }
            if equal {
                unsafe proof.pointee.state = .proven
            } else {
                let range = unsafe table.secrets(of: Int(route[owner]))
                let body = unsafe UnsafeRawBufferPointer(start: items[index].bytes, count: items[index].count)
                unsafe Self.settle(&proof.pointee, secrets: range, from: 1, of: table, body: body)
            }
        }
        count = 0
    }

    /// Settles one proof that awaits a digest, from any thread.
    public static func settleAlone(
        _ proof: inout Proof, route: Int, of table: RouteTable, body: UnsafeRawBufferPointer
    ) {
        let range = table.secrets(of: route)
        guard range.count > 0 else {
            proof.state = .refused
            proof.cause = .secretUnusable
            return
        }
        unsafe settle(&proof, secrets: range, from: 0, of: table, body: body)
    }

    /// Tries the secrets from number `from` on, one by one.
    private static func settle(
        _ proof: inout Proof, secrets: SecretTable.Range, from: Int, of table: RouteTable, body: UnsafeRawBufferPointer
    ) {
        var computed = InlineArray<64, UInt8>(repeating: 0)
        let digestBytes = cc_digest_bytes(Int32(proof.algorithm))
        var isProven = false
        for index in from..<max(from, secrets.count) {
            unsafe withUnsafeMutableBytes(of: &computed) { computed in
                unsafe cc_hmac(
                    table.secretTable.key(secrets.start + index), Int32(proof.algorithm), body.baseAddress, body.count,
                    computed.baseAddress!.assumingMemoryBound(to: UInt8.self))
                unsafe withUnsafeBytes(of: &proof.digest) { claimed in
                    if unsafe cc_equal(computed.baseAddress!, claimed.baseAddress!, digestBytes) == 1 {
                        isProven = true
                    }
                }
            }
        }
        proof.state = isProven ? .proven : .refused
        proof.cause = isProven ? .none : .signatureWrong
    }
}
