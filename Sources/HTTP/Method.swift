// Method: the request method (RFC 9110 section 9). Methods are case-sensitive.

/// A request method as the parser recognised it; `methodRange` of the head has the bytes.
public enum Method: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, options, patch
    /// Refused by the parser: no head carries it.
    case connect
    /// Refused by the parser: no head carries it.
    case trace
    /// Any other token.
    case other

    /// As it is written in a request; `OTHER` for unknown ones, so that metric labels stay a closed set.
    public var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .connect: "CONNECT"
        case .trace: "TRACE"
        case .other: "OTHER"
        }
    }

    /// The method spelt by `bytes[range]`.
    @inline(__always)
    init(_ bytes: HeadBytes, from start: Int, to end: Int) {
        switch end &- start {
        case 3:
            if bytes.equal(at: start, "GET") { self = .get; return }
            if bytes.equal(at: start, "PUT") { self = .put; return }
        case 4:
            if bytes.equal(at: start, "POST") { self = .post; return }
            if bytes.equal(at: start, "HEAD") { self = .head; return }
        case 5:
            if bytes.equal(at: start, "PATCH") { self = .patch; return }
            if bytes.equal(at: start, "TRACE") { self = .trace; return }
        case 6:
            if bytes.equal(at: start, "DELETE") { self = .delete; return }
        case 7:
            if bytes.equal(at: start, "OPTIONS") { self = .options; return }
            if bytes.equal(at: start, "CONNECT") { self = .connect; return }
        default: break
        }
        self = .other
    }
}
