import Testing

@testable import Delivery

@Suite("CDEvents schemas")
struct CDEventsSchemaTests {
    private func isValid(_ type: String, _ version: String, content: String, subjectType: String?) -> Bool {
        let named = subjectType.map { #","type":"\#($0)""# } ?? ""
        let text = """
            {"context":{"\(version)":"x","id":"1","source":"/s","type":"\(type)"},\
            "subject":{"id":"s"\(named),"content":\(content)}}
            """
        return JSONValue(Array(text.utf8)).map(CDEvents.isValid) ?? false
    }

    /// Content that meets every demand of any type.
    private let whole = """
        {"change":{"id":"c"},"environment":{"id":"e"},"signature":"s","artifactId":"a","outcome":"error","outputType":"log",\
        "name":"n","url":"u","uri":"u","ticketURI":"t","creator":"c","resolution":"r"}
        """

    @Test("Every type is accepted in its version of 0.4 and of 0.5, and in no other")
    func versions() {
        #expect(CDEventRule.all.count == 45)
        for rule in CDEventRule.all {
            let name = "dev.cdevents.\(rule.subject).\(rule.predicate)."
            let type = rule.subjectType
            #expect(isValid(name + rule.version04, "version", content: whole, subjectType: type), "\(name)")
            #expect(isValid(name + rule.version05, "specversion", content: whole, subjectType: nil), "\(name)")
            #expect(!isValid(name + rule.version05, "version", content: whole, subjectType: type), "\(name)")
            #expect(!isValid(name + rule.version04, "specversion", content: whole, subjectType: type), "\(name)")
            #expect(!isValid(name + rule.version04, "version", content: whole, subjectType: nil), "\(name)")
            #expect(!isValid(name + "1.0.0", "version", content: whole, subjectType: type), "\(name)")
            // What is demanded must be there; where nothing is, empty content is enough.
            let isEmptyEnough = isValid(name + rule.version04, "version", content: "{}", subjectType: type)
            #expect(isEmptyEnough == rule.demands.isEmpty, "\(name)")
            #expect(!isValid(name + rule.version04, "version", content: "[]", subjectType: type), "\(name)")
            let wrong = #"{"repository":"x"}"#
            #expect(!isValid(name + rule.version04, "version", content: wrong, subjectType: type), "\(name)")
        }
    }

    @Test("Custom types have a tool before their subject")
    func custom() {
        for (type, isRight) in [
            ("dev.cdeventsx.tool-thing.done.0.1.0", true), ("dev.cdeventsx.thing.done.0.1.0", false),
            ("dev.cdeventsx.tool-thing.done.0.1", false), ("dev.cdeventsx.tool-a-b.done.0.1.0", false),
            ("dev.cdevents.tool-thing.done.0.1.0", false), ("dev.cdeventsx.tool-thing..0.1.0", false),
        ] {
            #expect(isValid(type, "version", content: #"{"any":1}"#, subjectType: "tool-thing") == isRight, "\(type)")
        }
    }
}
