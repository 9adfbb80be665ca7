// What the dispatcher's thread does not wait for: each runs as a task, and its result comes back as a message.

import Delivery

extension DispatcherWorker {
    enum Errand: Sendable {
        case attempt(StartedAction)
        case planning(QueuedDelivery, any DeliveryPlanner)
        case reading(SpillQuestion, any SpilledDeliveries)
    }

    /// nil in a simulation.
    func send(_ errand: Errand) -> Task<Void, Never>? {
        if let simulation {
            simulation(errand)
            return nil
        }
        let (parts, mailbox) = (parts, mailbox)
        return Task { mailbox.post(await Self.message(of: errand, parts)) }
    }

    private static func message(of errand: Errand, _ parts: Dispatcher.Parts) async -> Dispatcher.Message {
        switch errand {
        case .attempt(let started):
            let (result, report) = await reportedAttempt(started, parts)
            return .finished(started.id, result, report)
        case .planning(let delivery, let planner):
            let (result, ref) = await plan(delivery, planner, parts)
            return .planned(delivery, result, ref: ref)
        case .reading(let question, let reader): return .reread(await reader.read(question))
        }
    }
}
