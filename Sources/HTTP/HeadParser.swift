// HeadParser: the incremental parser of request heads (RFC 9112). Pure: bytes in, offsets out; no I/O, no clock, no heap.
//
// The usual case is a complete head in one call: `HeadReader` passes through it once with vector scans. When the head is
// not complete yet, or not plain, `HeadSyntax` judges it byte by byte from the line where the reader stopped, remembers
// where it is, and goes on from there in the next call; when it has seen the end, the reader fills the table. A sender
// of single bytes so costs linear time: each byte is judged once, and the whole is read once more at the end.
//
// One mode. Nothing is repaired, joined, folded or guessed.

/// Parses one request head after another on one connection. 12 bytes of state: where it is, never what it saw.
public struct HeadParser: Sendable {
    private var syntax = HeadSyntax()

    public init() {}

    /// Forgets the request; the next call begins a new one.
    public mutating func reset() {
        syntax = HeadSyntax()
    }

    /// Whether no byte of the present request has been judged: the connection is idle between requests.
    public var isIdle: Bool { syntax.offset == 0 }

    /// Goes on with the head that begins at the first of `bytes`.
    ///
    /// - Parameters:
    ///   - bytes: all bytes received of this request so far, in every call from the same start; what lies behind the head
    ///     is not looked at.
    ///   - fields: room for the fields; holds the first `fieldCount` of them when a head is returned, and nothing of
    ///     meaning otherwise. What it cannot hold is refused as too many.
    ///   - limits: the same in all calls for one head.
    /// - Throws: the first fault, as soon as a byte shows it; faults that only a complete head can have (Host, length,
    ///   target form) when it is complete. After a throw the connection must be closed.
    public mutating func parse(
        _ bytes: UnsafeRawBufferPointer, fields: UnsafeMutableBufferPointer<HeaderField>, limits: RequestLimits
    ) throws(HTTPParseError) -> HeadProgress {
        try unsafe parse(VectorScan.self, bytes, fields: fields, limits: limits)
    }

    /// The same with scalar scans: the oracle for the vector ones.
    package mutating func parseScalar(
        _ bytes: UnsafeRawBufferPointer, fields: UnsafeMutableBufferPointer<HeaderField>, limits: RequestLimits
    ) throws(HTTPParseError) -> HeadProgress {
        try unsafe parse(ScalarScan.self, bytes, fields: fields, limits: limits)
    }

    @inline(__always)
    private mutating func parse<Scan: ByteScan>(
        _ scan: Scan.Type, _ buffer: UnsafeRawBufferPointer, fields: UnsafeMutableBufferPointer<HeaderField>,
        limits: RequestLimits
    ) throws(HTTPParseError) -> HeadProgress {
        guard let bytes = unsafe HeadBytes(buffer) else { return .needMoreBytes }
        let headBytesMax = min(limits.headBytesMax, RequestLimits.headBytesCeiling)
        let fieldCountMax = min(limits.fieldCountMax, fields.count)
        let end = min(bytes.count, headBytesMax)
        if syntax.offset == 0 {
            let reading = try unsafe HeadReader<Scan>.read(
                bytes, to: end, into: fields, requestLineBytesMax: limits.requestLineBytesMax,
                fieldCountMax: fieldCountMax)
            switch reading {
            case .complete(let head): return .head(head)
            case .stopped(let lineStart, let fieldCount):
                if lineStart > 0 { syntax = HeadSyntax(atFieldLine: lineStart, fieldCount: fieldCount) }
            }
        }
        let isComplete = try syntax.advance(
            bytes, to: end, requestLineBytesMax: limits.requestLineBytesMax, fieldCountMax: fieldCountMax)
        guard isComplete else {
            // Nothing may follow the greatest head, so it need not be waited for.
            if end == headBytesMax { throw .headTooLarge }
            return .needMoreBytes
        }
        let reading = try unsafe HeadReader<Scan>.read(
            bytes, to: Int(syntax.offset), into: fields, requestLineBytesMax: limits.requestLineBytesMax,
            fieldCountMax: fieldCountMax)
        guard case .complete(let head) = reading else {
            preconditionFailure("a head of valid syntax could not be read")
        }
        return .head(head)
    }
}
