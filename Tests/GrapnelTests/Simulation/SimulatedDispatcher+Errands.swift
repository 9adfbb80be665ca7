// What the dispatcher's worker sends out: the simulated world says how long it takes and what comes of it.

import Delivery

@testable import Grapnel
@testable import Trigger

extension SimulatedDispatcher {
    /// During a turn of the worker.
    func begin(_ errand: DispatcherWorker.Errand) {
        switch errand {
        case .reading(let question, _): reader?.begin(question)
        case .planning(let delivery, _):
            guard let definition = routes.definition(of: delivery.route) else { return }
            var (milliseconds, result) = world.planning(definition)
            var ref: String?
            switch record(delivery.sequence, delivery.location) {
            case .success(let payload): ref = ActionSet.decodeEvent(payload).ref
            case .failure(let failure): (milliseconds, result) = (0, .failed(failure))
            }
            plannings.append((time.now + UInt64(milliseconds) * 1_000_000, delivery, result, ref))
        case .attempt(let action):
            checkLimits(action)
            ledger.start(action)
            probes.inspect(action)
            var (milliseconds, result) = world.attempt()
            // Those that need the record.
            if action.action.needsRoute || action.action.isBuild,
                case .failure(let failure) = record(action.sequence, action.location)
            {
                (milliseconds, result) = (0, .failed(failure))
            }
            attempts.append((time.now + UInt64(milliseconds) * 1_000_000, action, result))
        }
    }

    /// What is owed has its record: where it cannot be read now it can be later.
    private func record(_ sequence: UInt64, _ location: DeliveryLocation) -> Result<DeliveryPayload, ActionFailure> {
        do throws(DeliveryLogError) {
            if let payload = try ledger.payload(sequence: sequence, location: location) { return .success(payload) }
        } catch {
            return .failure(ActionFailure(.healable, scope: .none, reason: error.reason))
        }
        ledger.verify(probes.isDiskGone(), "the record of \(sequence), which is owed, is gone")
        return .failure(ActionFailure(.final, scope: .none, reason: "gone"))
    }

    private func checkLimits(_ action: StartedAction) {
        let text = "\(action.sequence)/\(action.planIndex) was started"
        let cluster = action.action.target?.cluster ?? action.route.cluster
        let subjects: [PauseSubject] = [
            .route(action.route), .namespace(cluster: action.route.cluster, namespace: action.route.namespace),
            .target(cluster: cluster, text: action.action.targetText),
        ]
        ledger.verify(paused.isDisjoint(with: subjects), "\(text) while it was paused")
        ledger.verify(attempts.count < settings.runningMax, "\(text) beside \(attempts.count) others")
        guard let target = action.action.target else { return }
        let onCluster = attempts.count { $0.action.action.target?.cluster == cluster }
        ledger.verify(onCluster < settings.runningPerClusterMax, "\(text) beside \(onCluster) others of its cluster")
        let onTarget = attempts.count { $0.action.action.target == target }
        let onTargetMax = action.action.isBuild ? settings.runningPerTargetMax : 1
        ledger.verify(onTarget < onTargetMax, "\(text) beside \(onTarget) others of its target")
    }
}
