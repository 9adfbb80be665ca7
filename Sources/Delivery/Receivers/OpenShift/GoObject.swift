// GoObject: a JSON object read as Go's encoding/json fills a struct: names match without regard to case, null and absent leave the zero
// value, unknown members are skipped, and a known member of a wrong type fails the whole decoding.

/// A member has another JSON type than its field.
struct WrongJSONType: Error {}

struct GoObject {
    private let value: JSONValue?

    /// Null and absent read as an object without members.
    init(_ value: JSONValue?) throws(WrongJSONType) {
        switch value {
        case nil, .null?: self.value = nil
        case .object?: self.value = value
        default: throw WrongJSONType()
        }
    }

    /// nil when null or absent.
    func member(_ name: String) -> JSONValue? {
        guard let found = value?.member(ignoringCase: name), !found.isNull else { return nil }
        return found
    }

    /// Empty when null or absent.
    func text(_ name: String) throws(WrongJSONType) -> String {
        guard let found = member(name) else { return "" }
        guard let text = found.text else { throw WrongJSONType() }
        return text
    }

    func object(_ name: String) throws(WrongJSONType) -> GoObject { try GoObject(member(name)) }

    /// nil when null or absent.
    func list(_ name: String) throws(WrongJSONType) -> [JSONValue]? {
        guard let found = member(name) else { return nil }
        guard let elements = found.elements else { throw WrongJSONType() }
        return elements
    }

    /// nil when null or absent.
    func boolean(_ name: String) throws(WrongJSONType) -> Bool? {
        guard let found = member(name) else { return nil }
        guard let boolean = found.boolean else { throw WrongJSONType() }
        return boolean
    }
}

extension JSONValue {
    /// The text at the end of a path of member names, for what is read beyond the types that are demanded; nil when it is not there.
    func text(at path: String...) -> String? {
        var value = self
        for name in path {
            guard let next = value.member(ignoringCase: name) else { return nil }
            value = next
        }
        return value.text
    }
}
