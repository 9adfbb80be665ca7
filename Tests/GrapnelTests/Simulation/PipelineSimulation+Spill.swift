// Lives in which the dispatcher holds so few deliveries that most of what a route owes is left to the journal, and read again from there.

@testable import Grapnel

extension PipelineSimulation {
    /// Three in seven; none of the kept ones, which found what they found without.
    static func spills(_ seed: UInt64) -> Bool { [0, 1, 4].contains(seed % 7) }

    /// Anew for each life, as an operator may change it.
    func drawSpilling() {
        guard shape.spills else { return }
        shape.limits.heldDeliveriesMax = Int.random(
            in: 2...(spillRandom.chance(70) ? 12 : 64), using: &spillRandom)
        shape.gatedMax = spillRandom.chance(40) ? Int.random(in: 1...8, using: &spillRandom) : nil
    }

    /// Now and then, before a step.
    func disturbReading() {
        switch Int.random(in: 0..<1000, using: &spillRandom) {
        case 0..<10: life.list("local")
        case 125..<130: life.list("b")
        case 130..<145: life.search()
        // Targets that are away have more wait.
        case 10..<13: life.dispatcher.world.isAway.toggle()
        // For some steps: until the disk is well again.
        case 13..<25: disk.withFaults { if $0.dieAfter == .max { $0.failedReadPercent = 50 } }
        case 25..<45: storm()
        case 85..<125: if options.maxBytes < 1 << 20 { storm() }
        case 45..<85: handOverBlindly()
        default: break
        }
    }

    /// What is handed over now comes later.
    private func handOverBlindly() {
        let percent = disk.withFaults { faults in
            defer { faults.failedReadPercent = 100 }
            return faults.failedReadPercent
        }
        life.turn(1)
        disk.withFaults { $0.failedReadPercent = percent }
        // When it comes, its route may wait for a cluster.
        if spillRandom.chance(20) { life.search() }
    }

    /// A client that has much to say about one thing.
    private func storm() {
        guard peers.count(where: { !$0.isFinished }) < 10, let loop = life.loops.randomElement(using: &spillRandom)
        else { return }
        let route = Int.random(in: 0..<SimulatedRoutes.all.count, using: &spillRandom)
        let requests = (0..<Int.random(in: 3...8, using: &spillRandom)).map { _ in
            sender.good(&spillRandom, route: route)
        }
        var peer = SimulatedPeer(loop.network, window: .max, requests, deliveries)
        peer.write(upTo: 200_000)
        peers.append(peer)
    }
}
