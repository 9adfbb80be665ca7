// SimulatedWorld: what the simulated API server and the other targets answer, and when.

import Delivery

@testable import Trigger

struct SimulatedWorld {
    var random: SeededGenerator
    /// Everything works at once.
    var isCalm = false
    /// Nothing answers.
    var isAway = false

    mutating func attempt() -> (milliseconds: Int, result: ActionResult) {
        func failed(
            _ verdict: ActionFailure.Verdict, _ scope: ActionFailure.Scope, _ reason: String, after: UInt64? = nil
        ) -> ActionResult {
            .failed(ActionFailure(verdict, scope: scope, retryAfterNanoseconds: after, reason: reason))
        }
        if isCalm { return (Int.random(in: 1...20, using: &random), .done) }
        if isAway { return (Int.random(in: 1...50, using: &random), failed(.healable, .server, "connection refused")) }
        let soon = Int.random(in: 1...300, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<55: return (soon, .done)
        case 55..<62: return (Int.random(in: 2_000...15_000, using: &random), .done)
        case 62..<72: return (soon, failed(.judged, .target, "409"))
        case 72..<79: return (soon, failed(.healable, .server, "500"))
        case 79..<84:
            let asked = UInt64.random(in: 1...3, using: &random) * SimulatedRoutes.second
            return (soon, failed(.healable, .server, "429", after: asked))
        case 84..<90: return (soon, failed(.objectMissing, .target, "404"))
        case 90..<92: return (soon, failed(.healable, .resource, "403"))
        case 92..<95: return (soon, failed(.final, .target, "422"))
        case 95..<97: return (soon, .ignored(reason: "nothing to do"))
        // Never: the client gives up.
        default: return (30_000, failed(.healable, .server, "timeout"))
        }
    }

    mutating func planning(_ definition: RouteDefinition) -> (milliseconds: Int, result: PlanningResult) {
        let soon = Int.random(in: 0...40, using: &random)
        if isCalm { return (soon, .actions(definition.actions)) }
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return (soon, .ignored(reason: "filter"))
        case 1, 2: return (soon, .failed(ActionFailure(.healable, scope: .server, reason: "500")))
        case 3: return (soon, .failed(ActionFailure(.objectMissing, scope: .none, reason: "404")))
        default: return (soon, .actions(definition.actions))
        }
    }
}
