// Delivery: finding the route, reading the proof, verifying the turn's batch, judging.

import Delivery
import HTTP

func deliveryOperations() -> [Operation] {
    [
        Operation("Delivery: find one of 5,000 routes") {
            let table = routes(5000)
            let paths = [7, 4321, 2048, 999].map { number in
                UnsafeRawBufferPointer(pinned(Array("/hooks/team-a/webapp-\(number)".utf8)))
            }
            let host = UnsafeRawBufferPointer(pinned(Array("webhook-receiver.example.com".utf8)))
            precondition(table.find(path: paths[1], host: host) == 4321, "the route is not found")
            return { count in
                for index in 0..<count { consume(table.find(path: paths[index & 3], host: host)) }
            }
        },
        verify("one delivery of 8 KiB", batch: 1),
        verify("16 deliveries of 8 KiB", batch: 16),
        verify("64 deliveries of 8 KiB", batch: 64),
    ]
}

private func routes(_ count: Int) -> RouteTable {
    let definitions = (0..<count).map { number in
        RouteDefinition(
            identity: RouteIdentity(kind: .hook, namespace: "team-a", name: "webapp-\(number)"),
            path: "/hooks/team-a/webapp-\(number)", sender: .github, secrets: [SecretBytes(Samples.secret)],
            events: ["ping", "push"])
    }
    return RouteTable(definitions, bodyBytesMax: 25 << 20)
}

/// Proof out of the head, HMAC of the batch, comparison: per batch, not per delivery.
private func verify(_ name: String, batch size: Int) -> Operation {
    Operation("Delivery: verify \(name)") {
        let table = routes(1)
        let head = UnsafeRawBufferPointer(pinned(Samples.pushHead))
        let fields = UnsafeMutableBufferPointer<HeaderField>.allocate(capacity: 101)
        fields.initialize(repeating: .empty)
        var parser = HeadParser()
        guard case .head(let parsed)? = try? parser.parse(head, fields: fields, limits: RequestLimits()) else {
            preconditionFailure("the sample's head does not parse")
        }
        let view = HeadView(
            base: head.baseAddress!, fields: UnsafeBufferPointer(rebasing: fields[..<parsed.fieldCount]))
        // Each delivery of a turn has a body of its own, as in the server: none comes from the cache of another.
        let bodies = (0..<size).map { _ in UnsafeRawBufferPointer(pinned(Samples.pushBody)) }
        let proofs = UnsafeMutablePointer<Proof>.allocate(capacity: size)
        let owners = UnsafeMutablePointer<Int32>.allocate(capacity: size)
        owners.initialize(repeating: 0, count: size)
        for index in 0..<size { (proofs + index).initialize(to: table.prove(view, route: 0)) }
        precondition(proofs[0].state == .awaitsDigest, "the sample's signature is not read")
        let room = BatchRoom(capacity: size)
        return { count in
            for _ in 0..<count {
                for index in 0..<size {
                    proofs[index] = table.prove(view, route: 0)
                    room.batch.add(&proofs[index], owner: index, route: 0, of: table, body: bodies[index])
                }
                room.batch.run(table: table, proofs: proofs, route: owners)
                consume(Int(proofs[size - 1].state.rawValue))
            }
        }
    }
}

/// Keeps a batch, which cannot be copied, for a closure.
private final class BatchRoom {
    var batch: VerifyBatch
    init(capacity: Int) { batch = VerifyBatch(capacity: capacity) }
}
