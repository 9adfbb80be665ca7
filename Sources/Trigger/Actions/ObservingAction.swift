// ObservingAction: says what would have been done, and does nothing. For a server that is tried beside the one it will replace.

internal import Delivery
public import Logging

public struct ObservingAction: ActionRunner {
    /// The reason in the outcome of what was only observed.
    public static let reason = "observed"

    private let logger: Logger

    public init(logger: Logger) { self.logger = logger }

    public func run(_ attempt: ActionAttempt) async -> ActionResult {
        logger.info(
            "would act",
            metadata: [
                "sequence": "\(attempt.sequence)", "route": "\(attempt.route)",
                "action": "\(PlannedAction(attempt.action).name)",
                "target": "\(PlannedAction(attempt.action).targetText)",
            ])
        return .ignored(reason: Self.reason)
    }
}
