import Delivery
import Testing

@testable import Trigger

@Suite("Keys by which a repetition is recognised")
struct RepeatKeyTests {
    private let entry = PlannedAction(build("app")).encoded
    private func key(_ journal: UInt64, _ sequence: UInt64, _ entry: EncodedPlanEntry? = nil) -> RepeatKey {
        RepeatKey(DeliveryOrigin(journal: journal, sequence: sequence), entry ?? self.entry)
    }

    @Test("The same entry of the same delivery has the same key; anything else has another")
    func keys() {
        #expect(key(1, 2) == key(1, 2))
        let others = [key(1, 3), key(2, 2), key(2, 1), key(1, 2, PlannedAction(build("other")).encoded)]
        #expect(Set(others + [key(1, 2)]).count == 5)
        for key in others + [key(.max, .max), key(0, 0)] {
            let text = key.description
            #expect(text.utf8.count == 13 && text.allSatisfy { ("a"..."v").contains($0) || ("0"..."9").contains($0) })
        }
        #expect(Set((0..<100_000).map { self.key(7, $0) }).count == 100_000)
    }

    @Test("The label joins what is there; what is no object stays as it is")
    func labels() {
        let key = key(1, 2)
        let labelled = key.labelling(Array(#"{"kind":"X","metadata":{"name":"n","labels":{"a":"b"}},"z":1}"#.utf8))
        #expect(
            String(decoding: labelled, as: UTF8.self)
                == #"{"kind":"X","metadata":{"name":"n","labels":{"a":"b","grapnel.dev/delivery":"\#(key)"}},"z":1}"#)
        #expect(
            String(decoding: key.labelling(Array("{}".utf8)), as: UTF8.self)
                == #"{"metadata":{"labels":{"grapnel.dev/delivery":"\#(key)"}}}"#)
        for text in ["", "[]", "{", "nonsense"] { #expect(key.labelling(Array(text.utf8)) == Array(text.utf8)) }
    }
}
