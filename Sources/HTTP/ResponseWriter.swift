// ResponseWriter: one answer, written straight into the buffer it is sent from (RFC 9112 section 4, RFC 9110 section 6).
//
// begin, any number of fields, finish. Date and Content-Length are always there, `Connection: close` when the connection
// closes. Nothing that came with a request may be handed in as a name; values are kept to what a field value may hold.

/// Writes one response at a time into memory that the caller lends. Allocates nothing.
///
/// What does not fit is not written, and `finish` returns 0: `headBytesMax` and the body's size are always enough for an
/// answer whose own fields take no more than 512 bytes.
@safe
public struct ResponseWriter {
    /// Room that a head takes at most: status line, Date, Content-Length, Connection, and 512 bytes of other fields.
    public static let headBytesMax = 704

    /// The interim answer to `Expect: 100-continue`, complete.
    public static let continueResponse: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"

    // 0 <= count <= capacity; base ..< base + capacity is writable while this value lives.
    private let base: UnsafeMutableRawPointer?
    private let capacity: Int
    private let date: DateCache
    private var count = 0
    private var status: UInt16 = 0
    private var fits = true

    /// Writes to the start of `buffer`, which must outlive this value.
    public init(_ buffer: UnsafeMutableRawBufferPointer, date: DateCache) {
        unsafe base = buffer.baseAddress
        capacity = buffer.count
        self.date = date
    }

    /// Begins a final response with status line and Date, forgetting what was written before. `status` is from 200 to 599.
    public mutating func begin(status: UInt16) {
        precondition(status >= 200 && status <= 599, "not the status of a final response")
        self.status = status
        count = 0
        fits = true
        put("HTTP/1.1 ")
        putByte(ASCII.zero + UInt8(truncatingIfNeeded: status / 100))
        putByte(ASCII.zero + UInt8(truncatingIfNeeded: status / 10 % 10))
        putByte(ASCII.zero + UInt8(truncatingIfNeeded: status % 10))
        // The space is there even when no phrase follows (RFC 9112 section 4).
        putByte(ASCII.space)
        put(reasonPhrase(status))
        put("\r\nDate: ")
        putDate()
        put("\r\n")
    }

    /// Adds a field.
    public mutating func field(_ name: StaticString, _ value: StaticString) {
        put(name)
        put(": ")
        put(value)
        put("\r\n")
    }

    /// Adds a field with a number.
    public mutating func field(_ name: StaticString, decimal value: UInt64) {
        put(name)
        put(": ")
        putDecimal(value)
        put("\r\n")
    }

    /// Adds a field whose value is only known at run time. Bytes that no value may hold (CR, LF, NUL, other controls) are
    /// written as `?`: whatever goes in, one field comes out.
    public mutating func field(_ name: StaticString, bytes value: UnsafeRawBufferPointer) {
        put(name)
        put(": ")
        for index in 0..<value.count {
            // index < count.
            let byte = unsafe value[index]
            putByte(isFieldValueCharacter(byte) ? byte : ASCII.questionMark)
        }
        put("\r\n")
    }

    /// Adds a field whose name and value are texts of the server's own; what a field may not hold is written as `?`.
    public mutating func field(_ name: String, text value: String) {
        for byte in name.utf8 { putByte(isTokenCharacter(byte) ? byte : ASCII.questionMark) }
        put(": ")
        for byte in value.utf8 { putByte(isFieldValueCharacter(byte) ? byte : ASCII.questionMark) }
        put("\r\n")
    }

    /// Ends the head and adds the body.
    ///
    /// - Parameters:
    ///   - body: its size is announced in Content-Length (not with 204, which has none: RFC 9110 section 8.6); its bytes are
    ///     left out for HEAD, 204 and 304.
    ///   - closing: the connection closes after this answer, and says so.
    ///   - isHead: the request's method is HEAD.
    ///   - announcesKeepAlive: the request is HTTP/1.0 and its connection persists (RFC 9112 section 9.3).
    /// - Returns: bytes to send from the start of the buffer; 0 when they did not fit.
    public mutating func finish(
        body: UnsafeRawBufferPointer, closing: Bool, isHead: Bool, announcesKeepAlive: Bool = false
    ) -> Int {
        precondition(status != 0, "finish without begin")
        if status != 204 { field("Content-Length", decimal: UInt64(body.count)) }
        if closing {
            put("Connection: close\r\n")
        } else if announcesKeepAlive {
            put("Connection: keep-alive\r\n")
        }
        put("\r\n")
        if !isHead, status != 204, status != 304 { unsafe putBytes(body.baseAddress, body.count) }
        status = 0
        return fits ? count : 0
    }

    // MARK: - Bytes

    /// Reserves `length` bytes; nil, and for good, when they do not fit.
    @inline(__always)
    private mutating func reserve(_ length: Int) -> UnsafeMutableRawPointer? {
        guard fits, length <= capacity &- count, let base = unsafe base else {
            fits = false
            return nil
        }
        let start = unsafe base + count
        count &+= length
        return unsafe start
    }

    @inline(__always)
    private mutating func put(_ text: StaticString) {
        unsafe putBytes(UnsafeRawPointer(text.utf8Start), text.utf8CodeUnitCount)
    }

    /// `source` holds `length` bytes outside the buffer; nil means none.
    @inline(__always)
    private mutating func putBytes(_ source: UnsafeRawPointer?, _ length: Int) {
        guard let source = unsafe source, length > 0, let start = unsafe reserve(length) else { return }
        unsafe start.copyMemory(from: source, byteCount: length)
    }

    @inline(__always)
    private mutating func putByte(_ byte: UInt8) {
        guard let start = unsafe reserve(1) else { return }
        unsafe start.storeBytes(of: byte, as: UInt8.self)
    }

    @inline(__always)
    private mutating func putDate() {
        guard let start = unsafe reserve(DateCache.byteCount) else { return }
        // Same size, any alignment: bytes.
        unsafe start.storeBytes(of: date.text, as: InlineArray<29, UInt8>.self)
    }

    private mutating func putDecimal(_ value: UInt64) {
        var digits = 1
        var rest = value / 10
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        guard let start = unsafe reserve(digits) else { return }
        rest = value
        for index in stride(from: digits &- 1, through: 0, by: -1) {
            unsafe start.storeBytes(
                of: ASCII.zero &+ UInt8(truncatingIfNeeded: rest % 10), toByteOffset: index, as: UInt8.self)
            rest /= 10
        }
    }
}
