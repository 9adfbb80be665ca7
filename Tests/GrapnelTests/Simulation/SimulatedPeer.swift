// SimulatedPeer: one client's connection in a simulated pipeline, with the numbers of its requests.

import EventLoop

@testable import Grapnel

struct SimulatedPeer {
    let network: SimulatedNetwork
    var client: SimulatedClient
    /// Numbers in the ledger.
    let requests: [Int]
    private var checked = 0
    private var lastSequence: UInt64 = 0

    init(_ network: SimulatedNetwork, window: Int, _ requests: [SimulatedRequest], _ ledger: DeliveryLedger) {
        self.network = network
        self.requests = requests.map { ledger.add($0) }
        client = SimulatedClient(network.connect(window: window), [])
        client.outgoing = requests.flatMap(\.bytes)
    }

    mutating func write(upTo count: Int) { client.write(network, upTo: count) }

    var hasSentAll: Bool { client.sent == client.outgoing.count }
    var isFinished: Bool { client.isGone || checked == requests.count || network.hasEnded(client.descriptor) }

    /// Reads answers and holds them against the requests.
    mutating func read(_ ledger: DeliveryLedger, _ problems: SimulationProblems, isStrict: Bool) {
        let isAnswer = client.read(network)
        problems.verify(isAnswer, "the server sent something that is no answer")
        while checked < client.answers.count {
            let (status, fields) = client.answers[checked]
            guard checked < requests.count else {
                problems.verify(false, "an answer that nobody asked for: \(status)")
                return
            }
            ledger.answer(
                requests[checked], status: status, fields: fields, last: &lastSequence, isStrict: isStrict)
            checked += 1
        }
    }

    mutating func reset() {
        network.reset(client.descriptor)
        client.isGone = true
    }

    mutating func leave() {
        network.halfClose(client.descriptor)
    }
}
