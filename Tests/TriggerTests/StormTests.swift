import Delivery
import Testing

@testable import Trigger

@Suite("Storms")
struct StormTests {
    @Test("100,000 triggers of one namespace delay another's by one running action at most")
    func fairness() {
        for places in [1, 4] {
            var settings = DispatcherSettings()
            settings.runningMax = places
            settings.runningPerNamespaceMax = 4
            let simulation = CoreSimulation(settings: settings)
            simulation.world = { _, _ in (.done, second) }
            simulation.define(route(hook("storm", namespace: "noisy"), [post("http://a.test/")]))
            for target in 0..<100 {
                let identity = hook("h\(target)", namespace: "noisy")
                simulation.define(route(identity, [.exec(command: ["./\(target)"], timeoutNanoseconds: second)]))
            }
            for index in 0..<100_000 {
                let name = index % 2 == 0 ? "storm" : "h\(index % 100)"
                let route = hook(name, namespace: "noisy")
                simulation.core.plan(
                    simulation.delivery(UInt64(index + 1), route, simulation.now),
                    definition: simulation.definitions[route], ref: nil, now: simulation.now)
            }
            simulation.pump()
            simulation.run(for: 5 * second / 2)
            #expect(simulation.core.waitingCount > 99_000 - 10 * places)
            simulation.define(route(hook("q", namespace: "quiet"), [reconcile("app", namespace: "quiet")]))
            for wait in 0..<10 {
                let asked = simulation.now
                let sequence = 200_000 + UInt64(wait)
                simulation.deliver(sequence, to: hook("q", namespace: "quiet"))
                simulation.run(for: 2 * second)
                let start = simulation.started.first { $0.action.sequence == sequence }?.at ?? .max
                #expect(start <= asked + second, "places \(places): started \(start - asked) ns later")
            }
        }
    }
}
