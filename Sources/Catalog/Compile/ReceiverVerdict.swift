// ReceiverVerdict: what the compiler found about one receiver, as its status tells it (spec/flux.md section 7).

/// The result for one Receiver or Hook.
public enum ReceiverVerdict: Sendable, Equatable {
    /// Serves on this path.
    case ready(path: String)
    /// `spec.suspend`: nothing is said, the status stays as it is.
    case suspended
    /// Wrong as it is written; only a change of the object can mend it. The path that it had stays in the status.
    case terminal(reason: Reason, message: String)
    /// Something else is missing, which may come: tried again when it changes.
    case waiting(reason: Reason, message: String)

    /// Condition reasons; the first three are Flux's (fluxcd/pkg/apis/meta, notification-controller api/v1).
    public enum Reason: String, Sendable {
        case invalidExpression = "InvalidCELExpression"
        case validationFailed = "ValidationFailed"
        case tokenNotFound = "TokenNotFound"
        case pathTaken = "PathAlreadyClaimed"
        case notPermitted = "NotPermitted"
    }
}
