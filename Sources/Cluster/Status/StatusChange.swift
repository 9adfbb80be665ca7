// StatusChange: what has to be written to one receiver, worked out from what it is and what was found. Pure.
//
// Source: notification-controller internal/controller/receiver_controller.go, fluxcd/pkg/runtime/conditions; for Hooks the same.

public import Catalog
public import Delivery

/// The writes that one receiver needs now; empty when it says already what it should.
public struct StatusChange: Sendable, Equatable {
    /// New `metadata.finalizers`; nil: as they are.
    public var finalizers: [String]?
    /// Members of `status` to be merged (RFC 7396); empty: none.
    public var status: [JSONValue.Member] = []
    /// What happened, for a Kubernetes Event.
    public var event: Event?

    public struct Event: Sendable, Equatable {
        public var isWarning: Bool
        public var reason: String
        public var message: String
    }

    public var isEmpty: Bool { finalizers == nil && status.isEmpty }

    static let finalizer = "finalizers.fluxcd.io"
    /// The annotation whose value is copied into `lastHandledReconcileAt`.
    static let requestedAt = "reconcile.fluxcd.io/requestedAt"

    /// - Parameters:
    ///   - verdict: nil when nothing was found about the object, as of one that is being deleted.
    ///   - now: RFC 3339, for conditions that change.
    ///   - hasFinalizer: whether receivers of this kind carry Flux's finalizer.
    public init(of facts: ObjectFacts, _ verdict: ReceiverVerdict?, now: String, hasFinalizer: Bool) {
        if facts.isBeingDeleted {
            let rest = facts.finalizers.filter { $0 != Self.finalizer }
            if rest != facts.finalizers { finalizers = rest }
            return
        }
        if hasFinalizer, !facts.finalizers.contains(Self.finalizer) { finalizers = facts.finalizers + [Self.finalizer] }
        let present = facts.status
        var conditions = Conditions(present["conditions"], generation: facts.generation, now: now)
        var wanted: [JSONValue.Member] = []
        var happened: Event?
        switch verdict {
        case nil, .suspended: return
        case .ready(let path):
            conditions.set("Ready", "True", reason: "Succeeded", "Receiver initialized for path: \(path)")
            conditions.remove("Reconciling")
            conditions.remove("Stalled")
            wanted = Self.path(.string(path), facts) + [Self.generation(facts)]
            happened = Event(isWarning: false, reason: "Succeeded", message: Self.finished(facts))
        case .terminal(let reason, let message):
            let text = "Reconciliation failed terminally due to configuration error: \(message)"
            conditions.set("Ready", "False", reason: reason.rawValue, text)
            conditions.set("Stalled", "True", reason: reason.rawValue, text)
            conditions.remove("Reconciling")
            wanted = [Self.generation(facts)]
            happened = Event(isWarning: true, reason: reason.rawValue, message: message)
        case .waiting(let reason, let message):
            conditions.set("Ready", "False", reason: reason.rawValue, message)
            conditions.set("Reconciling", "True", reason: "ProgressingWithRetry", message)
            conditions.remove("Stalled")
            wanted = Self.path(.null, facts)
            happened = Event(isWarning: true, reason: "Failed", message: message)
        }
        if let handled = facts.annotations[Self.requestedAt] {
            wanted.append(.init(name: "lastHandledReconcileAt", value: .string(handled)))
        }
        status = wanted.filter { (present[$0.name] ?? .null) != $0.value }
        if conditions.isChanged { status.append(.init(name: "conditions", value: conditions.value)) }
        if conditions.isChanged { event = happened }
    }

    /// Versions before v1 have `url` as well (spec/flux.md section 6).
    private static func path(_ path: JSONValue, _ facts: ObjectFacts) -> [JSONValue.Member] {
        let isOld = facts.kind == "Receiver" && !facts.apiVersion.hasSuffix("/v1")
        return (isOld ? ["webhookPath", "url"] : ["webhookPath"]).map { .init(name: $0, value: path) }
    }

    private static func finished(_ facts: ObjectFacts) -> String {
        facts.interval.map { "Reconciliation finished, next run in \($0)" } ?? "Reconciliation finished"
    }

    private static func generation(_ facts: ObjectFacts) -> JSONValue.Member {
        .init(name: "observedGeneration", value: .number(String(facts.generation)))
    }
}

/// `status.conditions` (metav1.Condition): the order stays, a time of transition changes with the status alone.
private struct Conditions {
    private var list: [[JSONValue.Member]]
    private let generation: Int
    private let now: String
    private(set) var isChanged = false

    init(_ value: JSONValue?, generation: Int, now: String) {
        list = (value?.elements ?? []).compactMap(\.members)
        self.generation = generation
        self.now = now
    }

    var value: JSONValue { .array(list.map { .object($0) }) }

    private func index(_ type: String) -> Int? {
        list.firstIndex { JSONValue.object($0)["type"]?.text == type }
    }

    mutating func set(_ type: String, _ status: String, reason: String, _ message: String) {
        let old = index(type).map { JSONValue.object(list[$0]) }
        let keepsTime = old?["status"]?.text == status
        var members: [JSONValue.Member] = [
            .init(name: "type", value: .string(type)), .init(name: "status", value: .string(status)),
            .init(name: "reason", value: .string(reason)),
            .init(name: "message", value: .string(Self.bounded(message))),
            .init(
                name: "lastTransitionTime",
                value: keepsTime ? old?["lastTransitionTime"] ?? .string(now) : .string(now)),
        ]
        if generation > 0 {
            members.append(.init(name: "observedGeneration", value: .number(String(generation))))
        }
        let isSame = members.allSatisfy { old?[$0.name] == $0.value }
        if isSame { return }
        isChanged = true
        if let index = index(type) {
            list[index] = members
        } else if type == "Ready" {
            list.append(members)
        } else {
            // Flux writes Reconciling and Stalled before Ready.
            list.insert(members, at: 0)
        }
    }

    mutating func remove(_ type: String) {
        guard let index = index(type) else { return }
        list.remove(at: index)
        isChanged = true
    }

    /// The schema allows 32,768 characters.
    private static func bounded(_ message: String) -> String {
        message.count <= 4_096 ? message : String(message.prefix(4_095)) + "…"
    }
}
