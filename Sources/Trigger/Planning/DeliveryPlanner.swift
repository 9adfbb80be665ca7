// DeliveryPlanner: finds the triggers of a delivery whose route does not name them all: filters, labels, repository matches and
// receivers with rules of their own.

public import Delivery

/// What planning one delivery came to.
public enum PlanningResult: Sendable, Equatable {
    /// In order; none: nothing is to be done.
    case actions([Action])
    /// Nothing is to be done, and why.
    case ignored(reason: String)
    /// Could not be found out.
    case failed(ActionFailure)
}

/// Runs as a task, several at once; must end by itself, and soon when its task is cancelled.
public protocol DeliveryPlanner: Sendable {
    func plan(
        _ delivery: QueuedDelivery, _ definition: RouteDefinition, _ payload: DeliveryPayload
    ) async -> PlanningResult
}
