// What operators pause and let go on, one by one, and a route that goes and comes again.

import Delivery
import Journal
import Trigger

@testable import Grapnel

extension PipelineSimulation {
    func changePauses() {
        let held = SimulatedRoutes.pausable.filter(paused.contains)
        let spilled = life.dispatcher.spilledCount > 0
        if let subject = held.randomElement(using: &staff.random), staff.random.chance(50) {
            staff.seen.see(spilled ? .resumedSpilled : Self.sight(of: subject, isPaused: false))
            if spilled { staff.seen.see(Self.sight(of: subject, isPaused: false)) }
            if staff.random.chance(20) {
                staff.seen.see(.resumedAll)
                paused = []
            } else {
                paused.remove(subject)
            }
        } else {
            let subject = SimulatedRoutes.pausable.randomElement(using: &staff.random)!
            staff.seen.see(Self.sight(of: subject, isPaused: true))
            if spilled { staff.seen.see(.pausedSpilled) }
            paused.insert(subject)
        }
        if !paused.isEmpty { triggers.wasPaused = true }
        life.dispatcher.setPaused(paused)
    }

    private static func sight(of subject: PauseSubject, isPaused: Bool) -> OperatorSight {
        switch subject {
        case .route: isPaused ? .pausedRoute : .resumedRoute
        case .namespace: isPaused ? .pausedNamespace : .resumedNamespace
        case .target: isPaused ? .pausedTarget : .resumedTarget
        }
    }

    func toggleCanary() {
        life.toggleCanary()
        guard life.isCanaryGone else { return }
        triggers.goneRoutes.insert(SimulatedRoutes.canary)
        let owed = deliveries.redeliveries.sequences.contains {
            deliveries.redeliveries.route(of: $0) == SimulatedRoutes.canary && !triggers.isFinal($0)
        }
        if owed { staff.seen.see(.removed) }
    }
}
