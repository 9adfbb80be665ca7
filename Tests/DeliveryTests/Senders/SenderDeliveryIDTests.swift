// Ids by which senders name a delivery, in every attempt the same.

import Testing

@testable import Delivery

@Suite("Delivery ids of Pub/Sub and CloudEvents")
struct SenderDeliveryIDTests {
    private let keys = SenderKeys(
        isFlux: false, secrets: [], configuration: SenderConfiguration(), events: [], now: senderNow)

    private func gcr(_ message: String) -> SenderReading? {
        GCR.read(senderRequest(body: Array(#"{"message":{"data":"eyJ0YWciOiJ4In0=",\#(message)}}"#.utf8)), keys)
    }

    @Test("gcr: an id that is empty, too long or not visible is none")
    func badMessageID() {
        #expect(gcr(#""publishTime":"2026-01-01T00:00:00Z""#)?.deliveryID == nil)
        for id in ["", "a b", "\\u00e9", String(repeating: "1", count: 257)] {
            let reading = gcr(#""messageId":"\#(id)""#)
            #expect(reading != nil && reading?.deliveryID == nil, "\(id)")
        }
        #expect(gcr(#""messageId":7"#) == nil, "a wrong type is no envelope, as before")
    }

    @Test("gcr: message.messageId") func messageID() {
        #expect(gcr(#""messageId":"136969346945""#)?.deliveryID == "136969346945")
    }

    private func cdEvents(_ fields: [(String, String)], id: String = "ctx-1") -> SenderReading? {
        let body = """
            {"context":{"version":"0.4.1","id":"\(id)","source":"/s","type":"dev.cdevents.artifact.published.0.2.0"},\
            "subject":{"id":"pkg:oci/app","type":"artifact","content":{}}}
            """
        return CDEvents.read(senderRequest(fields, body: Array(body.utf8)), keys)
    }

    @Test("cdevents: Ce-Id, else the context's; what is no id is none")
    func cloudEventID() {
        #expect(cdEvents([("Ce-Id", "ce-1")])?.deliveryID == "ce-1")
        #expect(cdEvents([])?.deliveryID == "ctx-1")
        #expect(cdEvents([("Ce-Id", "")], id: "a b")?.deliveryID == nil)
        #expect(cdEvents([], id: String(repeating: "x", count: 257))?.deliveryID == nil)
    }

    @Test("cdevents: the envelope of structured mode has an id of its own")
    func structured() {
        let body = """
            {"specversion":"1.0","id":"env-1","type":"dev.cdevents.artifact.published.0.2.0","source":"/s","data":{\
            "context":{"version":"0.4.1","id":"ctx-1","source":"/s","type":"dev.cdevents.artifact.published.0.2.0"},\
            "subject":{"id":"pkg:oci/app","type":"artifact","content":{}}}}
            """
        #expect(CDEvents.read(senderRequest(body: Array(body.utf8)), keys)?.deliveryID == "env-1")
    }

    @Test("the rules hand the id on, for Hooks and for Flux Receivers") func ruling() throws {
        let body = """
            {"context":{"version":"0.4.1","id":"ctx-1","source":"/s","type":"dev.cdevents.artifact.published.0.2.0"},\
            "subject":{"id":"pkg:oci/app","type":"artifact","content":{}}}
            """
        let fields = [("Ce-Id", "ce-1"), ("Ce-Type", "dev.cdevents.artifact.published.0.2.0")]
        let hook = try senderHook(.cdEvents, ["t0ken"])
        let ruling = hook.rule(
            on: senderRequest(fields, body: Array(body.utf8), query: "token=t0ken"), now: senderNow)
        #expect(ruling.senderAccepts && ruling.deliveryID == "ce-1")
        let flux = try #require(SenderRules(sender: .cdEvents, isFlux: true, secrets: [senderSecret("t")]))
        let received = flux.rule(on: senderRequest(fields, body: Array(body.utf8), path: "/hook/x"), now: senderNow)
        #expect(received.senderAccepts && received.deliveryID == "ce-1")
    }

    @Test("types that say they have an id have one, the others never") func table() {
        #expect(
            SenderTable.hasDeliveryID(.gcr) && SenderTable.hasDeliveryID(.cdEvents)
                && SenderTable.hasDeliveryID(.github))
        for type in [SenderType.token, .basic, .unverified, .hmac, .genericHMAC, .genericOIDC, .harbor, .quay, .nexus] {
            #expect(!SenderTable.hasDeliveryID(type), "\(type)")
        }
    }
}
