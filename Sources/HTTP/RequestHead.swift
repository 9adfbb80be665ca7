// RequestHead: what a head says once it is parsed and judged. Offsets into the buffer, no copies.

/// One header field. The name is a token and not empty; the value has no blanks around it and may be empty.
public struct HeaderField: Sendable {
    public var name: ByteRange
    public var value: ByteRange
    public var known: KnownField

    public init(name: ByteRange, value: ByteRange, known: KnownField) {
        self.name = name
        self.value = value
        self.known = known
    }

    /// To fill a table before it is used.
    public static let empty = HeaderField(name: .empty, value: .empty, known: .other)
}

/// How long the body is (RFC 9112 section 6.3).
public enum BodyFraming: Sendable, Equatable {
    /// Neither Content-Length nor Transfer-Encoding.
    case none
    /// Content-Length, at most `RequestLimits.bodyBytesCeiling`; may be 0.
    case length(Int)
    /// `Transfer-Encoding: chunked`.
    case chunked
}

/// A complete, valid head. All ranges are relative to the first byte of the buffer that was parsed.
public struct RequestHead: Sendable {
    public var method: Method
    /// 0 or 1: the request is HTTP/1.0 or HTTP/1.1.
    public var minorVersion: UInt8
    /// Whether the connection may serve another request after this one (RFC 9112 section 9.3).
    public var keepsAlive: Bool
    /// The sender waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1); only with a body to come.
    public var expectsContinue: Bool
    /// A `?` is in the target, though the query behind it may be empty.
    public var hasQuery: Bool
    public var methodRange: ByteRange
    /// The request target as it was sent, in whatever form.
    public var target: ByteRange
    /// The target's path as it was sent, not decoded. Begins with `/`, or is `*` (OPTIONS only), or is empty in an absolute
    /// form without a path, which means `/`.
    public var path: ByteRange
    /// What follows the first `?`, without it.
    public var query: ByteRange
    /// Host without port, as it was sent (the caller lowers the case): from an absolute-form target, else from the Host
    /// field. An IPv6 address has its brackets. Empty only in HTTP/1.0 without Host.
    public var host: ByteRange
    public var framing: BodyFraming
    /// Fields in the caller's table.
    public var fieldCount: Int
    /// Bytes of a skipped leading CRLF: 0 or 2. The request line begins here.
    public var startOffset: Int
    /// All bytes up to and with the empty line, those before `startOffset` included: the body begins here.
    public var headBytes: Int
}

/// How far a head has come.
public enum HeadProgress: Sendable {
    /// What came so far is a valid beginning.
    case needMoreBytes
    case head(RequestHead)
}
