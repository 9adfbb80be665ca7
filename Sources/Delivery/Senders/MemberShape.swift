// MemberShape: what Go's encoding/json takes for a struct, which is what upstream's decoders accept: members may be absent or
// null, names match ignoring case, unknown members are ignored, another type is an error.

indirect enum MemberShape: Sendable {
    case text
    case texts
    case object([(name: String, shape: MemberShape)])

    /// Recursion is bounded by the shape, which is written in our source.
    func fits(_ value: JSONValue) -> Bool {
        if value.isNull { return true }
        switch self {
        case .text: return value.text != nil
        case .texts: return value.elements?.allSatisfy { $0.text != nil || $0.isNull } ?? false
        case .object(let expected):
            guard let members = value.members else { return false }
            for member in members {
                // Every repetition is decoded in turn, so each must fit.
                for (name, shape) in expected where Self.isName(member.name, name) {
                    if !shape.fits(member.value) { return false }
                }
            }
            return true
        }
    }

    private static func isName(_ text: String, _ name: String) -> Bool {
        text.utf8.count <= 2 * name.utf8.count && (text == name || text.lowercased() == name.lowercased())
    }
}

extension InboundRequest {
    /// The body as a Flux Receiver's decoder reads it (the first value, whatever follows) or as a Hook's does (one whole text).
    func json(isFlux: Bool) -> JSONValue? { isFlux ? JSONValue.first(in: body) : JSONValue(body) }
}

extension JSONValue {
    /// The member at the end of a way through objects.
    func at(_ names: String...) -> JSONValue? {
        var value: JSONValue? = self
        for name in names { value = value?[name] }
        return value
    }

    /// A short text that can stand in a log or a label: not empty, at most 4096 bytes, without control characters.
    var plainText: String? {
        guard let text, !text.isEmpty, text.utf8.count <= 4096,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return nil }
        return text
    }

    /// A delivery id: text or whole number, at most `deliveryIDBytesMax` bytes.
    var deliveryID: String? {
        let value: String?
        switch self {
        case .string(let text): value = text
        case .number(let digits): value = digits
        default: value = nil
        }
        return value.flatMap(SenderTable.deliveryID)
    }
}
