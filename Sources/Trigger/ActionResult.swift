// ActionResult: what an attempt says about itself. The dispatcher decides from it alone whether and when to try again
// (DESIGN section 7), so every action translates its own errors into these few words.

/// The end of one attempt.
public enum ActionResult: Sendable, Equatable {
    case done
    case ignored(reason: String)
    case failed(ActionFailure)
}

/// Why an attempt failed, in terms of what to do about it.
public struct ActionFailure: Error, Sendable, Equatable {
    public enum Verdict: Sendable, Equatable {
        /// Time heals it: uses up no attempt, tried until the delivery reaches `retry.maxAge`.
        case healable
        /// A working server judged the request: uses up an attempt.
        case judged
        /// The target itself does not exist: tried a few times, then given up.
        case objectMissing
        /// No repetition can help.
        case final
    }

    /// Whom the failure accuses; decides which circuit breaker counts it.
    public enum Scope: Sendable, Equatable {
        /// The server as a whole: connection errors, 429, 5xx, 401.
        case server
        /// One resource in one namespace: 403, a path that is not served.
        case resource
        /// This target alone; the server works.
        case target
        /// Says nothing about any server.
        case none
    }

    public var verdict: Verdict
    public var scope: Scope
    public var retryAfterNanoseconds: UInt64?
    /// Short, without secrets.
    public var reason: String
    /// Nobody knows whether it was carried out: the answer was lost, or came from a server in trouble.
    public var mayHaveActed: Bool

    public init(
        _ verdict: Verdict, scope: Scope, retryAfterNanoseconds: UInt64? = nil, reason: String,
        mayHaveActed: Bool = false
    ) {
        self.mayHaveActed = mayHaveActed
        self.verdict = verdict
        self.scope = scope
        self.retryAfterNanoseconds = retryAfterNanoseconds
        self.reason = reason
    }
}
