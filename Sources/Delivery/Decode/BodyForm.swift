// BodyForm: whether a body is the JSON object that a filter will read. Asked after verification and before the answer: a body that
// no filter can read is answered 400, and never becomes a failure later.

internal import HTTP

extension HeadView {
    /// A Content-Type names application/json, alone or in a comma list; `+json` types do not count (spec: Flux's `req`).
    public var saysJSON: Bool {
        for index in unsafe 0..<fields.count where unsafe fields[index].known == .contentType {
            let value = unsafe String(decoding: bytes(fields[index].value), as: UTF8.self)
            if namesJSON(value) { return true }
        }
        return false
    }
}

extension InboundRequest {
    /// The same for a request given as values.
    public var saysJSON: Bool { allFields("content-type").contains(where: namesJSON) }
}

private func namesJSON(_ value: String) -> Bool {
    value.utf8.split(separator: UInt8(ascii: ",")).contains { item in
        var type = item.prefix { $0 != UInt8(ascii: ";") }
        while let first = type.first, first == 0x20 || first == 0x09 { type = type.dropFirst() }
        while let last = type.last, last == 0x20 || last == 0x09 { type = type.dropLast() }
        return type.count == 16 && zip(type, "application/json".utf8).allSatisfy { $0 | 0x20 == $1 | 0x20 }
    }
}

/// Whether bytes are one JSON object. simdjson says so first; what it refuses is looked at again by the reader that the filters
/// use, which takes numbers of any size.
@safe
public struct JSONObjectCheck: ~Copyable {
    private var parser: JSONParser?

    public init() { parser = JSONParser() }

    public mutating func isObject(_ body: UnsafeRawBufferPointer) -> Bool {
        if let verdict = unsafe parser?.isObject(body), verdict { return true }
        guard case .object? = unsafe JSONValue(body) else { return false }
        return true
    }
}
