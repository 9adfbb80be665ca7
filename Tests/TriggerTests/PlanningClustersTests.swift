import Delivery
import Testing

@testable import Trigger

private func delivery(_ sequence: UInt64, cluster: String, namespace: String = "team-a", bytes: UInt32 = 10)
    -> QueuedDelivery
{
    QueuedDelivery(
        sequence: sequence, receivedNanoseconds: 0,
        route: RouteIdentity(cluster: cluster, kind: .hook, namespace: namespace, name: "webapp"),
        location: DeliveryLocation(segment: 1, offset: 0, length: bytes))
}

@Suite("Planning of several clusters")
struct PlanningClustersTests {
    private func taken(_ desk: inout PlanningDesk) -> [UInt64] {
        var sequences: [UInt64] = []
        while let next = desk.next(now: 0) { sequences.append(next.sequence) }
        return sequences
    }

    @Test("a cluster whose plans do not end leaves the others all of their room")
    func room() {
        var desk = PlanningDesk(seed: 1)
        for sequence in 1...100 { desk.add(delivery(UInt64(sequence), cluster: "away"), retry: RetryPolicy()) }
        #expect(taken(&desk).count == PlanningDesk.runningMax)
        for sequence in 101...140 { desk.add(delivery(UInt64(sequence), cluster: "local"), retry: RetryPolicy()) }
        #expect(taken(&desk) == Array(101...132))
        _ = desk.complete(101, .actions([]), now: 0)
        #expect(taken(&desk) == [133])
        _ = desk.complete(1, .actions([]), now: 0)
        #expect(taken(&desk) == [33])
    }

    @Test("a record that is too large for what is left waits for its cluster alone, and is not overtaken there")
    func large() {
        var desk = PlanningDesk(seed: 1)
        let half = UInt32(PlanningDesk.runningBytesMax / 2 + 1)
        desk.add(delivery(1, cluster: "b", bytes: half), retry: RetryPolicy())
        #expect(taken(&desk) == [1])
        desk.add(delivery(2, cluster: "b", bytes: half), retry: RetryPolicy())
        desk.add(delivery(3, cluster: "b", namespace: "team-b"), retry: RetryPolicy())
        desk.add(delivery(4, cluster: "local", bytes: half), retry: RetryPolicy())
        #expect(taken(&desk) == [4])
        _ = desk.complete(1, .actions([]), now: 0)
        #expect(taken(&desk) == [2, 3])
    }

    @Test("one that is larger than all room has its turn when nothing else is under way")
    func alone() {
        var desk = PlanningDesk(seed: 1)
        desk.add(delivery(1, cluster: "b"), retry: RetryPolicy())
        desk.add(delivery(2, cluster: "b", bytes: UInt32(PlanningDesk.runningBytesMax + 1)), retry: RetryPolicy())
        #expect(taken(&desk) == [1])
        _ = desk.complete(1, .actions([]), now: 0)
        #expect(taken(&desk) == [2])
        _ = desk.complete(2, .actions([]), now: 0)
        desk.add(delivery(3, cluster: "b"), retry: RetryPolicy())
        #expect(taken(&desk) == [3])
        #expect(desk.count == 1)
    }
}
