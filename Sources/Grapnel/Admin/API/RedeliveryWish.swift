// RedeliveryWish: what a redelivery is asked to do with a delivery: all of it, a part of its plan, or something else in its place.
//
//   {}                                        what its route says now
//   {"target": "…", "planIndex": 1}           those entries of its plan, as they were planned
//   {"to": "Hook/team-a/canary"}              what that route says now
//   {"to": "GitRepository/team-a/canary"}     its planned reconciles of that kind and namespace, at that object
//
// Decision record 0009 says why nothing else can be named.

internal import Delivery

struct RedeliveryWish: Sendable, Equatable {
    /// The members that a body may have for it.
    static let names: Set<String> = ["target", "planIndex", "to"]

    /// As the plan names it.
    var target: String?
    var planIndex: Int?
    var to: Aim?

    enum Aim: Sendable, Equatable {
        /// `cluster` nil: that of the delivery's own route.
        case route(cluster: String?, kind: ReceiverKind, namespace: String, name: String)
        case object(kind: String, namespace: String, name: String)
    }

    /// Whether only some entries of the plan are meant.
    var isOfPlan: Bool {
        if case .object = to { return true }
        return target != nil || planIndex != nil
    }

    static let form =
        "target is a text as in the delivery's plan, planIndex a number as there, to another route such as "
        + "Hook/team-a/canary (then without the other two) or another object such as GitRepository/team-a/canary"

    /// nil: one of the members cannot be understood; `form` says what would be right.
    init?(_ body: JSONValue) {
        if let target = body["target"] {
            guard let text = target.text, !text.isEmpty else { return nil }
            self.target = text
        }
        if let index = body["planIndex"] {
            guard case .number(let text) = index, let number = UInt16(text) else { return nil }
            planIndex = Int(number)
        }
        if let to = body["to"] {
            guard let aim = to.text.flatMap(Self.aim) else { return nil }
            if case .route = aim, target != nil || planIndex != nil { return nil }
            self.to = aim
        }
    }

    /// `[cluster:]Kind/namespace/name`; a kind that defines routes means a route.
    private static func aim(_ text: String) -> Aim? {
        guard text.utf8.count <= 1024 else { return nil }
        let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let cluster = halves.count > 1 ? String(halves[0]) : nil
        let parts = halves[halves.count - 1].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }), cluster?.isEmpty != true else { return nil }
        if let kind = ReceiverKind.allCases.first(where: { $0.name.lowercased() == parts[0].lowercased() }) {
            return .route(cluster: cluster, kind: kind, namespace: parts[1], name: parts[2])
        }
        return cluster == nil ? .object(kind: parts[0], namespace: parts[1], name: parts[2]) : nil
    }
}
