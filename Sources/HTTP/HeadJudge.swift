// HeadJudge: what the fields of a complete head mean for HTTP itself: host, body length, persistence, expectation. The
// order in which it finds fault is fixed, so that a head with two faults always gets the same answer.

struct HeadJudge {
    private var hostCount = 0
    private var lengthCount = 0
    private var codingCount = 0
    private var host = ByteRange.empty
    private var length = ByteRange.empty
    private var coding = ByteRange.empty
    private var saysClose = false
    private var saysKeepAlive = false
    private var expectsContinue = false
    private var expectsOther = false

    @inline(__always)
    init() {}

    /// Takes note of one field.
    @inline(__always)
    mutating func note(_ known: KnownField, _ value: ByteRange, _ bytes: HeadBytes) {
        switch known {
        case .host:
            hostCount &+= 1
            host = value
        case .contentLength:
            lengthCount &+= 1
            length = value
        case .transferEncoding:
            codingCount &+= 1
            coding = value
        case .connection:
            noteConnection(value, bytes)
        case .expect:
            if value.count == 12, bytes.equalIgnoringCase(at: Int(value.offset), "100-continue") {
                expectsContinue = true
            } else {
                expectsOther = true
            }
        default: break
        }
    }

    /// Connection is a list of options, in one field or several (RFC 9110 section 7.6.1).
    private mutating func noteConnection(_ value: ByteRange, _ bytes: HeadBytes) {
        let end = Int(value.offset) &+ Int(value.count)
        var index = Int(value.offset)
        while index < end {
            var optionEnd = index
            while optionEnd < end, bytes[optionEnd] != ASCII.comma { optionEnd &+= 1 }
            let next = optionEnd &+ 1
            while index < optionEnd, isBlank(bytes[index]) { index &+= 1 }
            while optionEnd > index, isBlank(bytes[optionEnd &- 1]) { optionEnd &-= 1 }
            if optionEnd &- index == 5, bytes.equalIgnoringCase(at: index, "close") { saysClose = true }
            if optionEnd &- index == 10, bytes.equalIgnoringCase(at: index, "keep-alive") { saysKeepAlive = true }
            index = next
        }
    }

    /// Fills what the fields decide. `head` has its version and, if the target is in absolute form, its host.
    @inline(__always)
    func finish(_ head: inout RequestHead, _ bytes: HeadBytes) throws(HTTPParseError) {
        try judgeHost(&head, bytes)
        try judgeLength(&head, bytes)
        let isOld = head.minorVersion == 0
        // RFC 9112 section 9.3.
        head.keepsAlive = !saysClose && (!isOld || saysKeepAlive)
        // RFC 9110 section 10.1.1: HTTP/1.0 has no expectations.
        if isOld { return }
        if expectsOther { throw .unknownExpectation }
        head.expectsContinue = expectsContinue && head.framing != .none && head.framing != .length(0)
    }

    /// RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one before; the authority of an absolute form wins, but the
    /// field has to be right all the same.
    @inline(__always)
    private func judgeHost(_ head: inout RequestHead, _ bytes: HeadBytes) throws(HTTPParseError) {
        if hostCount == 0 {
            if head.minorVersion != 0 { throw .missingHost }
            return
        }
        if hostCount > 1 { throw .repeatedHost }
        let start = Int(host.offset)
        guard let hostEnd = Authority.hostEnd(bytes, from: start, to: start &+ Int(host.count)) else {
            throw .invalidHost
        }
        if head.host.isEmpty { head.host = ByteRange(from: start, to: hostEnd) }
    }

    /// RFC 9112 section 6.3. Whatever could be read in two ways is refused: that is how requests are smuggled.
    @inline(__always)
    private func judgeLength(_ head: inout RequestHead, _ bytes: HeadBytes) throws(HTTPParseError) {
        if codingCount > 0 {
            if lengthCount > 0 { throw .contentLengthWithTransferEncoding }
            if codingCount > 1 { throw .repeatedTransferEncoding }
            if head.minorVersion == 0 { throw .transferEncodingInOldVersion }
            guard coding.count == 7, bytes.equalIgnoringCase(at: Int(coding.offset), "chunked") else {
                throw .unsupportedTransferEncoding
            }
            head.framing = .chunked
            return
        }
        if lengthCount == 0 { return }
        if lengthCount > 1 { throw .repeatedContentLength }
        // 1*19 digits: their value fits 64 bits unsigned.
        guard length.count >= 1, length.count <= 19 else { throw .invalidContentLength }
        var value: UInt64 = 0
        for index in length.indices {
            let byte = bytes[index]
            guard isDigit(byte) else { throw .invalidContentLength }
            value = value &* 10 &+ UInt64(byte &- ASCII.zero)
        }
        guard value <= UInt64(RequestLimits.bodyBytesCeiling) else { throw .bodyTooLarge }
        head.framing = .length(Int(value))
    }
}
