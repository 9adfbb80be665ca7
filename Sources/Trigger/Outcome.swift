// Outcome: how a plan entry ended, as the journal stores it. All but `failed` are final.

public import Kubernetes

/// What became of one entry of a plan.
public enum OutcomeCode: UInt8, Sendable, CaseIterable {
    case done = 1
    /// Deliberately not carried out; the reason says why.
    case ignored = 2
    /// A later delivery did it; the detail is that delivery's sequence.
    case merged = 3
    /// Given up; the detail is the number of attempts that counted.
    case dead = 4
    /// One attempt; the detail is how many have counted so far (0: none of them, time heals it).
    case failed = 5

    public var isFinal: Bool { self != .failed }

    /// The word for logs and for the metric label `outcome`.
    public var name: String {
        switch self {
        case .done: "done"
        case .ignored: "ignored"
        case .merged: "merged"
        case .dead: "dead"
        case .failed: "failed"
        }
    }
}

/// What is told of an outcome beside what counts.
public struct OutcomeDetails: Sendable, Equatable {
    /// When it happened, by the wall clock; nanoseconds since 1970, 0: not known.
    public var atNanoseconds: UInt64 = 0
    /// How long the attempt took that ended so; 0: none did.
    public var durationNanoseconds: UInt64 = 0
    /// Made so far since the delivery came or the server started, whether they counted or not.
    public var attempts: UInt32 = 0
    /// Deliveries that were merged into this one.
    public var merged: UInt32 = 0
    /// The last request of the attempt and its answer, without secrets; nil: none was sent.
    public var exchange: ExchangeRecord?

    public init() {}

    init(_ attempt: AttemptReport?, attempts: UInt32, merged: UInt32) {
        self.attempts = attempts
        self.merged = merged
        guard let attempt else { return }
        atNanoseconds = attempt.endedNanoseconds
        durationNanoseconds = attempt.durationNanoseconds
        exchange = attempt.exchange
    }
}

/// How an attempt went, beside its result.
package struct AttemptReport: Sendable, Equatable {
    /// By the wall clock.
    package var endedNanoseconds: UInt64
    /// At least 1.
    package var durationNanoseconds: UInt64
    package var exchange: ExchangeRecord?

    package init(endedNanoseconds: UInt64, durationNanoseconds: UInt64, exchange: ExchangeRecord? = nil) {
        self.endedNanoseconds = endedNanoseconds
        self.durationNanoseconds = max(1, durationNanoseconds)
        self.exchange = exchange
    }
}

/// When a delivery came how far: nanoseconds since 1970 by the wall clock, 0: not known.
public struct PlanTimes: Sendable, Equatable {
    public var plannedNanoseconds: UInt64
    public var durableNanoseconds: UInt64

    public init(plannedNanoseconds: UInt64, durableNanoseconds: UInt64) {
        self.plannedNanoseconds = plannedNanoseconds
        self.durableNanoseconds = durableNanoseconds
    }
}

/// One outcome, naming (sequence, plan index).
public struct OutcomeEntry: Sendable, Equatable {
    /// Stands for the delivery as a whole, when there is no plan: the route is gone or has no actions.
    public static let wholeDelivery: UInt16 = 0xffff
    /// `reason` is cut to this many bytes.
    public static let reasonBytesMax = 255

    public var sequence: UInt64
    public var planIndex: UInt16
    public var code: OutcomeCode
    public var detail: UInt64
    /// Short, without secrets, for operators.
    public var reason: String
    /// For operators; decides nothing.
    public var details = OutcomeDetails()

    public init(sequence: UInt64, planIndex: UInt16, code: OutcomeCode, detail: UInt64 = 0, reason: String = "") {
        self.sequence = sequence
        self.planIndex = planIndex
        self.code = code
        self.detail = detail
        self.reason = Self.cut(reason)
    }

    /// At most `reasonBytesMax` bytes; cut before a character, not inside one.
    static func cut(_ reason: String) -> String {
        if reason.utf8.count <= reasonBytesMax { return reason }
        var result = ""
        for character in reason {
            if result.utf8.count + character.utf8.count > reasonBytesMax - 3 { break }
            result.append(character)
        }
        return result + "…"
    }
}

/// The reasons of outcome `ignored`: a closed set, also used as a metric label.
public enum IgnoredReason {
    /// The route is gone, or no longer has the planned action. Can be redelivered.
    public static let routeRemoved = "route-removed"
    public static let noActions = "no-actions"
}
