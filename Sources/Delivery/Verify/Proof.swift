// Proof: what a request's head says about who sent it, before the body is hashed.
//
// `prove` of each sender (Senders/) reads the header table once and leaves a Proof: proven or refused at once (a token), or a
// digest that the batch at the end of the turn compares (an HMAC). Plain bytes: it lives in the turn's table.

public import HTTP

/// The state of one request's verification.
public struct Proof: Sendable {
    public enum State: UInt8, Sendable { case proven, refused, awaitsDigest }

    public var state: State
    public var cause: VerifyCause
    /// CC_SHA1, CC_SHA256 or CC_SHA512 when `awaitsDigest`.
    public var algorithm: UInt8
    /// The digest that the request claims; its length is the algorithm's.
    public var digest: InlineArray<64, UInt8>

    public static var proven: Proof { Proof(state: .proven, cause: .none) }
    public static func refused(_ cause: VerifyCause) -> Proof { Proof(state: .refused, cause: cause) }

    init(state: State, cause: VerifyCause, algorithm: UInt8 = 0) {
        self.state = state
        self.cause = cause
        self.algorithm = algorithm
        self.digest = InlineArray(repeating: 0)
    }
}

/// A request's head as the senders' rules read it. Valid while the bytes and the loop's header table are.
@safe
public struct HeadView {
    /// The first byte of the request; all ranges are relative to it.
    public let base: UnsafeRawPointer
    public let fields: UnsafeBufferPointer<HeaderField>

    /// `fields` are those of this head only.
    public init(base: UnsafeRawPointer, fields: UnsafeBufferPointer<HeaderField>) {
        unsafe self.base = base
        unsafe self.fields = fields
    }

    /// The bytes of a range that the parser gave for this head.
    public func bytes(_ range: ByteRange) -> UnsafeRawBufferPointer {
        // Sound: the parser gives only ranges inside the head.
        unsafe UnsafeRawBufferPointer(start: base + Int(range.offset), count: Int(range.count))
    }

    /// The first field with that name, and whether there is a second one.
    func first(_ known: KnownField) -> (value: ByteRange?, isRepeated: Bool) {
        var found: ByteRange?
        for index in unsafe 0..<fields.count where unsafe fields[index].known == known {
            if found != nil { return (found, true) }
            found = unsafe fields[index].value
        }
        return (found, false)
    }

    /// The same for a name the parser does not know; `lowerName` is lower case.
    func first(named lowerName: UnsafeRawBufferPointer) -> (value: ByteRange?, isRepeated: Bool) {
        var found: ByteRange?
        for index in unsafe 0..<fields.count {
            let field = unsafe fields[index]
            guard Int(field.name.count) == lowerName.count,
                unsafe equalsIgnoringASCIICase(bytes(field.name), lowerName)
            else { continue }
            if found != nil { return (found, true) }
            found = field.value
        }
        return (found, false)
    }
}
