// ChunkedDecoder: the chunked transfer coding (RFC 9112 section 7.1), decoded in place, resumable after any byte.
//
//   chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF ) 1*("0") [ chunk-ext ] CRLF trailer-section CRLF
//   chunk-size   = 1*16 HEXDIG, leading zeros counted
//   chunk-ext    = *( ";" token [ "=" ( token / quoted-string ) ] ), without the blanks that the RFC calls bad
//
// Extensions are checked and dropped. Trailers are checked like header fields and dropped: they are never merged, so that
// no signature or length can come from behind the body. A line ends with CRLF and nothing else: a decoder that takes a
// line feed inside an extension for the end of the line is how requests are smuggled past it.

/// What one call did.
public struct ChunkProgress: Sendable, Equatable {
    /// Bytes of the source that are done with.
    public var consumed: Int
    /// Body bytes written to the destination.
    public var produced: Int
    /// The body has ended; what follows the consumed bytes is the next request.
    public var isComplete: Bool

    public init(consumed: Int, produced: Int, isComplete: Bool) {
        self.consumed = consumed
        self.produced = produced
        self.isComplete = isComplete
    }
}

/// Decodes one chunked body. A value of fixed size; allocates nothing.
public struct ChunkedDecoder: Sendable {
    private enum Phase: UInt8 {
        /// Before the first digit, behind at least one digit.
        case sizeStart, size
        /// Behind `;`, within the name, behind `=`, within a token value, a quoted value, behind its `\`, behind its end.
        case extensionStart, extensionName, extensionValueStart, extensionToken, extensionQuoted, extensionEscape
        case extensionQuotedEnd
        case lineFeed
        case data, dataCarriageReturn, dataLineFeed
        case trailers
        case done
    }

    private let lineBytesMax: Int
    private let extensionBytesMax: Int
    private let overheadBytesMax: Int
    private let trailerBytesMax: Int
    private let trailerFieldsMax: Int

    /// Size of the chunk while its digits are read, then what is left of its data.
    private var remaining = 0
    private var lineBytes = 0
    private var extensionBytes = 0
    private var overheadBytes = 0
    private var dataBytes = 0
    private var trailerBytes = 0
    private var trailers = FieldSyntax()
    private var phase = Phase.sizeStart
    private var sizeDigits: UInt8 = 0

    public init(limits: RequestLimits = RequestLimits()) {
        lineBytesMax = limits.chunkLineBytesMax
        extensionBytesMax = limits.chunkExtensionBytesMax
        overheadBytesMax = limits.chunkOverheadBytesMax
        trailerBytesMax = limits.trailerBytesMax
        trailerFieldsMax = limits.trailerFieldsMax
    }

    /// Body bytes decoded so far, over all calls.
    public var bodyBytes: Int { dataBytes }
    /// The body has ended.
    public var isComplete: Bool { phase == .done }

    /// Decodes what it can of `source`.
    ///
    /// - Parameters:
    ///   - source: the bytes that follow those consumed so far.
    ///   - destination: where body bytes go. May be the start of `source` itself or any address below it, also overlapping: a body
    ///     never grows when it is decoded.
    ///   - capacity: how many body bytes may still come, which is also the room at `destination`: the body limit less what was
    ///     produced so far.
    /// - Returns: all of `source` consumed unless the body ended within it.
    /// - Throws: `bodyTooLarge` as soon as a chunk's size says that `capacity` will not do; else the first fault. After a
    ///   throw the connection must be closed.
    public mutating func decode(
        from source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawPointer, capacity: Int
    ) throws(HTTPParseError) -> ChunkProgress {
        var index = 0
        var produced = 0
        let count = source.count
        while index < count, phase != .done {
            if phase == .data {
                let run = min(remaining, count &- index)
                // Only a caller whose capacity shrank by more than was produced gets here with too little.
                if run > capacity &- produced { throw .bodyTooLarge }
                // index + run <= count, produced + run <= capacity. Moves, since the two may overlap.
                unsafe destination.advanced(by: produced).copyMemory(
                    from: source.baseAddress.unsafelyUnwrapped + index, byteCount: run)
                index &+= run
                produced &+= run
                dataBytes &+= run
                remaining &-= run
                if remaining == 0 { phase = .dataCarriageReturn }
                continue
            }
            // index < count.
            let byte = unsafe source[index]
            if phase == .trailers { try stepTrailer(byte) } else { try stepFraming(byte, room: capacity &- produced) }
            index &+= 1
        }
        return ChunkProgress(consumed: index, produced: produced, isComplete: phase == .done)
    }

    private mutating func stepTrailer(_ byte: UInt8) throws(HTTPParseError) {
        try trailers.step(byte, countMax: trailerFieldsMax, tooMany: .tooManyTrailerFields)
        switch trailers.phase {
        case .done: phase = .done
        case .finalLineFeed: break
        default:
            trailerBytes &+= 1
            if trailerBytes > trailerBytesMax { throw .trailerTooLarge }
        }
    }

    /// Takes one byte of a chunk line or of the CRLF behind data. `room`: body bytes that may still come.
    private mutating func stepFraming(_ byte: UInt8, room: Int) throws(HTTPParseError) {
        overheadBytes &+= 1
        if overheadBytes > 2 &* dataBytes &+ overheadBytesMax { throw .chunkOverheadTooLarge }
        switch phase {
        case .lineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            phase = remaining == 0 ? .trailers : .data
        case .dataCarriageReturn:
            if byte != ASCII.carriageReturn { throw byte == ASCII.lineFeed ? .bareLineFeed : .missingChunkEnd }
            phase = .dataLineFeed
        case .dataLineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            lineBytes = 0
            sizeDigits = 0
            phase = .sizeStart
        default:
            try stepLine(byte, room: room)
        }
    }

    /// Takes one byte of a chunk line before its line feed.
    private mutating func stepLine(_ byte: UInt8, room: Int) throws(HTTPParseError) {
        if byte != ASCII.carriageReturn {
            lineBytes &+= 1
            if lineBytes > lineBytesMax { throw .chunkLineTooLong }
            // The `;` that begins the extensions and all after it.
            if phase != .sizeStart, phase != .size || byte == ASCII.semicolon {
                extensionBytes &+= 1
                if extensionBytes > extensionBytesMax { throw .chunkExtensionsTooLong }
            }
        }
        if byte == ASCII.lineFeed { throw .bareLineFeed }
        switch phase {
        case .sizeStart, .size:
            if isHexDigit(byte) {
                try addSizeDigit(byte)
                return
            }
            if phase == .sizeStart { throw .invalidChunkSize }
            if remaining > min(room, RequestLimits.bodyBytesCeiling) { throw .bodyTooLarge }
            switch byte {
            case ASCII.carriageReturn: phase = .lineFeed
            case ASCII.semicolon: phase = .extensionStart
            default: throw .invalidChunkSize
            }
        case .extensionStart:
            guard isTokenCharacter(byte) else { throw .invalidChunkExtension }
            phase = .extensionName
        case .extensionName:
            if isTokenCharacter(byte) { return }
            if byte == ASCII.equals { phase = .extensionValueStart } else { try endExtension(byte) }
        case .extensionValueStart:
            if byte == ASCII.quote {
                phase = .extensionQuoted
            } else {
                guard isTokenCharacter(byte) else { throw .invalidChunkExtension }
                phase = .extensionToken
            }
        case .extensionToken:
            if !isTokenCharacter(byte) { try endExtension(byte) }
        case .extensionQuoted:
            if isQuotedTextCharacter(byte) { return }
            switch byte {
            case ASCII.quote: phase = .extensionQuotedEnd
            case ASCII.backslash: phase = .extensionEscape
            default: throw .invalidChunkExtension
            }
        case .extensionEscape:
            // quoted-pair takes what a field value takes.
            guard isFieldValueCharacter(byte) else { throw .invalidChunkExtension }
            phase = .extensionQuoted
        case .extensionQuotedEnd:
            try endExtension(byte)
        case .lineFeed, .data, .dataCarriageReturn, .dataLineFeed, .trailers, .done:
            preconditionFailure("the chunk line has ended")
        }
    }

    private mutating func endExtension(_ byte: UInt8) throws(HTTPParseError) {
        switch byte {
        case ASCII.carriageReturn: phase = .lineFeed
        case ASCII.semicolon: phase = .extensionStart
        default: throw .invalidChunkExtension
        }
    }

    private mutating func addSizeDigit(_ byte: UInt8) throws(HTTPParseError) {
        if phase == .sizeStart { remaining = 0 }
        phase = .size
        sizeDigits &+= 1
        if sizeDigits > 16 { throw .chunkSizeTooLong }
        // Compared before it is shifted; beyond the ceiling it stays at what no room can hold, while the digits are counted.
        if remaining > RequestLimits.bodyBytesCeiling >> 4 {
            remaining = Int.max
        } else {
            remaining = remaining << 4 | Int(hexDigitValue(byte))
        }
    }
}
