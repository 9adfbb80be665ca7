// One attempt, from the current route and the record to the runner.

import Delivery
import Kubernetes

extension DispatcherWorker {
    /// One attempt, with what is told of it.
    static func reportedAttempt(
        _ started: StartedAction, _ parts: Dispatcher.Parts
    ) async -> (ActionResult, AttemptReport) {
        let trace = ExchangeTrace()
        let clock = ContinuousClock()
        let began = clock.now
        let result = await ExchangeTrace.$current.withValue(trace) { await attempt(started, parts) }
        let (seconds, attoseconds) = (clock.now - began).components
        let nanoseconds = UInt64(clamping: seconds) * 1_000_000_000 + UInt64(clamping: attoseconds / 1_000_000_000)
        return (
            result,
            AttemptReport(
                endedNanoseconds: DispatcherClock.wall, durationNanoseconds: nanoseconds, exchange: trace.last)
        )
    }

    /// One attempt, from the current route and the record to the runner.
    static func attempt(_ started: StartedAction, _ parts: Dispatcher.Parts) async -> ActionResult {
        guard let runner = parts.runners[started.action] else { return ActionRunners.switchedOff(started.action) }
        // Looked up once: the action and who wrote it belong together.
        let definition = parts.routes.definition(of: started.route)
        var action: Action
        var payload: DeliveryPayload?
        var event = Event()
        var key: RepeatKey?
        switch started.action {
        case .openshiftBuild, .s2iRun:
            // Without it a repetition would not find what an attempt before has made.
            do throws(DeliveryLogError) {
                key = try parts.log.origin(sequence: started.sequence, location: started.location).map {
                    RepeatKey($0, started.action.encoded)
                }
            } catch {
                return .failed(Self.unreadable(error))
            }
        case .reconcile, .kpackRefresh, .http, .exec, .log, .dockerHubCallback, .openshiftRelay: break
        }
        switch started.action {
        case .reconcile, .openshiftBuild, .s2iRun, .dockerHubCallback:
            guard let whole = started.action.selfContained else { return ActionRunners.switchedOff(started.action) }
            action = whole
        case .kpackRefresh(let target, let image, let forceBuild):
            action = .kpackRefresh(target, image: image, forceBuild: forceBuild)
            // Says which digest the image has now. The refresh does without, too.
            payload = try? parts.log.payload(sequence: started.sequence, location: started.location)
            if let payload, !(definition?.rules is BuildServiceRules) { event = parts.decodeEvent(payload) }
        case .openshiftRelay(let target, let type):
            action = .openshiftRelay(target, type: type)
            do throws(ActionFailure) {
                payload = try Self.payload(started.sequence, started.location, parts)
            } catch {
                return .failed(error)
            }
        case .http, .exec, .log:
            let current = definition?.actions.first { started.action.matches($0) }
            guard let current else {
                return .ignored(reason: IgnoredReason.routeRemoved)
            }
            action = current
            do throws(ActionFailure) {
                let record = try Self.payload(started.sequence, started.location, parts)
                if case .http = started.action {} else { event = parts.decodeEvent(record) }
                payload = record
            } catch {
                return .failed(error)
            }
        }
        return await runner.run(
            ActionAttempt(
                sequence: started.sequence, planIndex: started.planIndex, number: started.attempt,
                route: started.route, receivedNanoseconds: started.receivedNanoseconds, action: action,
                payload: payload, event: event, rules: definition?.rules, isOfTenant: definition?.isOfTenant ?? false,
                // Of a Hook that is gone nobody can say what it was allowed.
                isConfined: definition?.isConfined ?? (started.route.kind == .hook), key: key,
                isRepeat: started.isRepeat))
    }

    /// The record of a delivery. A disk or a process that is short of something may recover; a record that is gone does not.
    static func payload(
        _ sequence: UInt64, _ location: DeliveryLocation, _ parts: Dispatcher.Parts
    ) throws(ActionFailure) -> DeliveryPayload {
        do throws(DeliveryLogError) {
            if let payload = try parts.log.payload(sequence: sequence, location: location) { return payload }
        } catch {
            throw unreadable(error)
        }
        throw ActionFailure(.final, scope: .none, reason: "the delivery's record is no longer in the journal")
    }

    private static func unreadable(_ error: DeliveryLogError) -> ActionFailure {
        ActionFailure(.healable, scope: .none, reason: "the delivery's record cannot be read now: \(error.reason)")
    }
}
