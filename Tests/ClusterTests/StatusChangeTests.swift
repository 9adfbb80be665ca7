import Catalog
import Delivery
import Testing

@testable import Cluster

private let now = "2026-05-01T12:00:00Z"
private let before = "2026-04-01T12:00:00Z"

private func facts(
    generation: Int = 3, finalizers: [String] = ["finalizers.fluxcd.io"], status: String = "{}",
    isBeingDeleted: Bool = false, annotations: [String: String] = [:]
) throws -> ObjectFacts {
    var facts = ObjectFacts(
        apiVersion: "notification.toolkit.fluxcd.io/v1", kind: "Receiver", namespace: "team-a", name: "webapp")
    facts.generation = generation
    facts.finalizers = finalizers
    facts.isBeingDeleted = isBeingDeleted
    facts.annotations = annotations
    facts.status = try #require(JSONValue(Array(status.utf8)))
    return facts
}

private func change(_ facts: ObjectFacts, _ verdict: ReceiverVerdict?, hasFinalizer: Bool = true) -> StatusChange {
    StatusChange(of: facts, verdict, now: now, hasFinalizer: hasFinalizer)
}

extension StatusChange {
    subscript(_ name: String) -> JSONValue? { status.first { $0.name == name }?.value }

    func condition(_ type: String) -> JSONValue? {
        self["conditions"]?.elements?.first { $0["type"]?.text == type }
    }
}

@Suite("Status of a receiver")
struct StatusChangeTests {
    @Test("a new receiver gets the finalizer, its path, the generation and Ready as Flux words it")
    func fresh() throws {
        let change = change(try facts(finalizers: ["other"]), .ready(path: "/hook/abc"))
        #expect(change.finalizers == ["other", "finalizers.fluxcd.io"])
        #expect(change["webhookPath"] == "/hook/abc")
        #expect(change["observedGeneration"] == .number("3"))
        let ready = try #require(change.condition("Ready"))
        #expect(ready["status"] == "True" && ready["reason"] == "Succeeded")
        #expect(ready["message"] == "Receiver initialized for path: /hook/abc")
        #expect(ready["lastTransitionTime"] == .string(now) && ready["observedGeneration"] == .number("3"))
        #expect(change.condition("Stalled") == nil && change.condition("Reconciling") == nil)
        #expect(change.event?.isWarning == false)
    }

    @Test("a receiver that says already what it should is not written again")
    func idempotent() throws {
        let verdicts: [ReceiverVerdict] = [
            .ready(path: "/hook/abc"), .terminal(reason: .invalidExpression, message: "invalid filter"),
            .waiting(reason: .tokenNotFound, message: "no secret"),
        ]
        for verdict in verdicts {
            var object = try facts()
            let first = change(object, verdict)
            #expect(!first.isEmpty)
            object.status = .object(first.status)
            let second = change(object, verdict)
            #expect(second.isEmpty && second.event == nil, "\(verdict)")
        }
    }

    @Test("conditions of others stay, times change with the status alone, success removes Stalled and Reconciling")
    func merged() throws {
        let status = """
            {"webhookPath":"/hook/abc","observedGeneration":2,"conditions":[
              {"type":"Stalled","status":"True","reason":"x","message":"x","lastTransitionTime":"\(before)"},
              {"type":"Custom","status":"Unknown","reason":"r","message":"m","lastTransitionTime":"\(before)"},
              {"type":"Ready","status":"True","reason":"Succeeded","message":"old","lastTransitionTime":"\(before)"}]}
            """
        let change = change(try facts(status: status), .ready(path: "/hook/abc"))
        #expect(change["webhookPath"] == nil, "what stays is not written")
        #expect(change["conditions"]?.elements?.count == 2)
        #expect(change.condition("Custom")?["reason"] == "r")
        #expect(change.condition("Ready")?["lastTransitionTime"] == .string(before))
    }

    @Test("a configuration error is terminal: Ready False and Stalled True, the generation seen, the path kept")
    func terminal() throws {
        let status = #"{"webhookPath":"/hook/abc","observedGeneration":1}"#
        let change = change(
            try facts(status: status),
            .terminal(reason: .invalidExpression, message: "invalid resourceFilter expression: no"))
        for type in ["Ready", "Stalled"] {
            let condition = try #require(change.condition(type))
            #expect(condition["reason"] == "InvalidCELExpression")
            #expect(
                condition["message"]
                    == "Reconciliation failed terminally due to configuration error: invalid resourceFilter expression: no"
            )
        }
        #expect(change.condition("Ready")?["status"] == "False" && change.condition("Stalled")?["status"] == "True")
        #expect(change["webhookPath"] == nil && change["observedGeneration"] == .number("3"))
        #expect(change.event?.isWarning == true)
    }

    @Test("a missing token clears the path and is tried again: the generation does not count as seen")
    func waiting() throws {
        let status = #"{"webhookPath":"/hook/abc","observedGeneration":1}"#
        let change = change(try facts(status: status), .waiting(reason: .tokenNotFound, message: "m"))
        #expect(change["webhookPath"] == .null)
        #expect(change["observedGeneration"] == nil)
        #expect(change.condition("Ready")?["reason"] == "TokenNotFound")
        #expect(change.condition("Reconciling")?["reason"] == "ProgressingWithRetry")
    }

    @Test("suspended: the status stays, the finalizer is kept up; deleted: only the finalizer goes")
    func suspendedAndDeleted() throws {
        #expect(change(try facts(), .suspended).isEmpty)
        #expect(change(try facts(finalizers: []), .suspended).finalizers == ["finalizers.fluxcd.io"])
        let deleted = change(
            try facts(finalizers: ["a", "finalizers.fluxcd.io"], isBeingDeleted: true), .ready(path: "/hook/abc"))
        #expect(deleted.finalizers == ["a"] && deleted.status.isEmpty)
        #expect(change(try facts(finalizers: ["a"], isBeingDeleted: true), nil).isEmpty)
    }

    @Test("versions before v1 have the path in `url` as well; the Event says when Flux would look again")
    func oldVersions() throws {
        var object = try facts()
        object.interval = "10m0s"
        #expect(change(object, .ready(path: "/hook/a"))["url"] == nil)
        #expect(change(object, .ready(path: "/hook/a")).event?.message == "Reconciliation finished, next run in 10m0s")
        for version in ["v1beta2", "v1beta1", "v1alpha1"] {
            object.apiVersion = "notification.toolkit.fluxcd.io/\(version)"
            #expect(change(object, .ready(path: "/hook/a"))["url"] == "/hook/a")
        }
    }

    @Test("the value of the annotation is told back; a Hook has no finalizer")
    func annotation() throws {
        let object = try facts(finalizers: [], annotations: ["reconcile.fluxcd.io/requestedAt": "t1"])
        let change = change(object, .ready(path: "/hooks/team-a/webapp"), hasFinalizer: false)
        #expect(change["lastHandledReconcileAt"] == "t1")
        #expect(change.finalizers == nil)
    }
}
