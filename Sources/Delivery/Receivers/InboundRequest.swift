// InboundRequest: one whole request as a receiver's rules read it.
//
// The four systems' receivers and the senders with rules of their own decide by more than path and signature. They get the request as
// plain values: copied once, so that the rules may run on any thread, and again later on the stored record. The fast senders
// (GitHub, GitLab and the plain signed types) never make one.

/// A request: its head as texts, its body as bytes.
public struct InboundRequest: Sendable {
    public struct Field: Sendable, Equatable {
        /// Lower case.
        public var name: String
        /// Without surrounding blanks.
        public var value: String

        public init(name: String, value: String) {
            self.name = name.lowercased()
            self.value = value
        }
    }

    /// As it stood on the wire: `POST`.
    public var method: String
    /// The request target up to the first `?`, still percent-encoded.
    public var path: String
    /// What followed the `?`, still percent-encoded; nil when there was none.
    public var query: String?
    /// In the order of the request.
    public var fields: [Field]
    /// Decoded of chunks; otherwise as it came.
    public var body: [UInt8]

    public init(method: String, path: String, query: String? = nil, fields: [Field] = [], body: [UInt8] = []) {
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.body = body
    }

    /// The first field of that name (lower case), or nil.
    public func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    /// All fields of that name (lower case), in order.
    public func allFields(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Media type of the first Content-Type, lower case, without parameters; nil when absent. Not checked for its form.
    public var mediaType: String? {
        field("content-type").map { value in
            let type = value.prefix { $0 != ";" }.drop { $0 == " " || $0 == "\t" }
            var end = type.endIndex
            while end > type.startIndex, type[type.index(before: end)] == " " || type[type.index(before: end)] == "\t" {
                end = type.index(before: end)
            }
            return type[..<end].lowercased()
        }
    }
}

/// A part of a request that proves something and must not reach the disk: it is overwritten before the record is written.
public enum CredentialPlace: Sendable, Equatable {
    /// The value of `fields[index]`.
    case field(Int)
    /// UTF-8 offsets within the value of `fields[index]`.
    case fieldPart(Int, Range<Int>)
    /// UTF-8 offsets within `path`.
    case path(Range<Int>)
    /// UTF-8 offsets within `query`.
    case query(Range<Int>)
    /// Byte offsets within `body`.
    case body(Range<Int>)
}
