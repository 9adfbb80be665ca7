// Outcome: how a plan entry ended, as the journal stores it. All but `failed` are final.

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
