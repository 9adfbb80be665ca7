import Delivery
import Journal
import Testing

@testable import Grapnel

@Suite("What the API tells of a delivery's past")
struct DeliveryHistoryTests {
    private func history(_ entries: [OutcomeEntry], plan: Int = 1) -> DeliveryHistory {
        var header = RecordHeader()
        header.decision = .accepted
        var story = DeliveryStory(header)
        story.take(plan: (0..<plan).map { _ in PlanEntry(actionKind: 4, target: []) }, at: 1)
        for entry in entries { story.take(entry, at: 1) }
        return DeliveryHistory(story)
    }

    private func entry(
        _ outcome: Outcome, attempts: UInt32?, index: UInt16 = 0, detail: UInt64 = 0, took: UInt32 = 1,
        merged: UInt32 = 0
    ) -> OutcomeEntry {
        OutcomeEntry(
            sequence: 1, planIndex: index, outcome: outcome, detail: detail,
            details: attempts.map {
                OutcomeDetails(timeUnixNanoseconds: 5_000_000, durationMicroseconds: took, attempts: $0, merged: merged)
            })
    }

    private func attempts(_ entries: [OutcomeEntry]) -> JSONValue? {
        history(entries).planJSON.elements?.first?["attempts"]
    }

    @Test("attempts are counted from what was recorded, over restarts, whether each was recorded or not")
    func attempts() {
        #expect(attempts([]) == .number("0"))
        #expect(attempts([entry(.done, attempts: 1)]) == .number("1"))
        // Seven that time healed are recorded once.
        #expect(attempts([entry(.failed, attempts: 1), entry(.done, attempts: 8)]) == .number("8"))
        #expect(
            attempts([entry(.failed, attempts: 1), entry(.failed, attempts: 2), entry(.dead, attempts: 3)])
                == .number("3"))
        // Counting begins anew with each start.
        #expect(
            attempts([entry(.failed, attempts: 2), entry(.failed, attempts: 1), entry(.done, attempts: 3)])
                == .number("5"))
        // Merged while it waited to be tried again: no attempt of its own.
        #expect(attempts([entry(.failed, attempts: 1), entry(.merged, attempts: 1, took: 0)]) == .number("1"))
        #expect(attempts([entry(.merged, attempts: 0, took: 0)]) == .number("0"))
    }

    @Test("records that tell nothing beside what counts are counted by their entries")
    func older() {
        #expect(attempts([entry(.done, attempts: nil)]) == .number("1"))
        let counted = (1...3).map { entry(.failed, attempts: nil, detail: UInt64($0)) }
        #expect(attempts(counted + [entry(.dead, attempts: nil, detail: 4)]) == .number("4"))
        #expect(attempts([entry(.ignored, attempts: nil)]) == .number("0"))
        let event = history([entry(.done, attempts: nil)]).eventsJSON.elements?.first
        for member in ["began", "seconds", "request", "status", "answer", "attempt"] {
            #expect(event?[member] == .null)
        }
    }

    @Test("what was said of one action tells more than what was said of the whole delivery")
    func whole() {
        let final = OutcomeEntry(sequence: 1, outcome: .dead)
        let plan = history([entry(.done, attempts: 2), final], plan: 2).planJSON.elements
        #expect(plan?[0]["outcome"] == .string("done"))
        #expect(plan?[0]["attempts"] == .number("2"))
        #expect(plan?[1]["outcome"] == .string("dead"))
    }

    @Test("merged is the most that one action stood for")
    func merged() {
        let told = history(
            [entry(.done, attempts: 1, merged: 3), entry(.dead, attempts: 1, index: 1, merged: 5)], plan: 2)
        #expect(told.mergedCount == 5)
        #expect(told.planJSON.elements?.map { $0["merged"] } == [.number("3"), .number("5")])
    }
}

@Suite("RecordedProof")
struct RecordedProofTests {
    private func proof(
        _ kind: ReceiverKind, _ sender: SenderType, _ fields: [(String, String)] = []
    ) -> RecordedProof {
        RecordedProof(
            RouteIdentity(kind: kind, namespace: "a", name: "b"), sender,
            fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, nil)
    }

    @Test("kind, sender and the recorded fields say what proved a delivery, also of a route that is gone")
    func kinds() {
        #expect(proof(.hook, .unverified) == .none)
        #expect(proof(.receiver, .generic) == .path)
        #expect(proof(.buildConfig, .github, [("X-Hub-Signature-256", "sha256=00")]) == .path)
        #expect(proof(.hook, .github, [("X-Hub-Signature-256", "sha256=00")]) == .hmacSHA256)
        #expect(proof(.receiver, .github, [("x-hub-signature", "sha1=00")]) == .hmacSHA1)
        #expect(proof(.receiver, .genericHMAC, [("X-Signature", "sha512=00")]) == .hmacSHA512)
        #expect(proof(.hook, .nexus, [("X-Nexus-Webhook-Signature", String(repeating: "0", count: 40))]) == .hmacSHA1)
        #expect(proof(.hook, .gitlab, [("X-Gitlab-Token", "****")]) == .token)
        #expect(proof(.hook, .genericOIDC, [("Authorization", "*****")]) == .oidc)
        #expect(proof(.hook, .jfrog, [("X-JFrog-Event-Auth", "****")]) == .token)
        #expect(proof(.s2iBuilder, .github) == .token)
    }
}
