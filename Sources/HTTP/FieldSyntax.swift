// FieldSyntax: field lines, byte by byte, up to and with the empty line (RFC 9112 section 5). Serves header and trailer
// fields alike. It checks and counts; it keeps nothing.
//
//   lineStart -- token ----> name -- ":" --> value -- CR --> valueLineFeed -- LF --> lineStart
//   lineStart -- CR -------> finalLineFeed -- LF --> done

enum ASCII {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d
    static let space: UInt8 = 0x20
    static let quote: UInt8 = 0x22
    static let percent: UInt8 = 0x25
    static let asterisk: UInt8 = 0x2a
    static let comma: UInt8 = 0x2c
    static let dot: UInt8 = 0x2e
    static let slash: UInt8 = 0x2f
    static let zero: UInt8 = 0x30
    static let colon: UInt8 = 0x3a
    static let semicolon: UInt8 = 0x3b
    static let equals: UInt8 = 0x3d
    static let questionMark: UInt8 = 0x3f
    static let openingBracket: UInt8 = 0x5b
    static let backslash: UInt8 = 0x5c
    static let closingBracket: UInt8 = 0x5d
}

/// Where in a block of field lines the next byte stands.
struct FieldSyntax: Equatable {
    enum Phase: UInt8 { case lineStart, name, value, valueLineFeed, finalLineFeed, done }

    var phase: Phase = .lineStart
    /// Field lines begun.
    var count: UInt16 = 0

    /// Takes one byte. `tooMany` is thrown for the first byte of field line `countMax + 1`.
    @inline(__always)
    mutating func step(
        _ byte: UInt8, countMax: Int, tooMany: HTTPParseError
    ) throws(HTTPParseError) {
        switch phase {
        case .lineStart:
            switch byte {
            case ASCII.carriageReturn: phase = .finalLineFeed
            case ASCII.lineFeed: throw .bareLineFeed
            case ASCII.space, ASCII.tab: throw count == 0 ? .blankBeforeFirstField : .obsoleteLineFolding
            default:
                if Int(count) >= countMax { throw tooMany }
                if byte == ASCII.colon { throw .emptyFieldName }
                if !isTokenCharacter(byte) { throw .invalidFieldName }
                count &+= 1
                phase = .name
            }
        case .name:
            if isTokenCharacter(byte) { return }
            switch byte {
            case ASCII.colon: phase = .value
            case ASCII.space, ASCII.tab: throw .blankBeforeColon
            case ASCII.carriageReturn: throw .missingColon
            case ASCII.lineFeed: throw .bareLineFeed
            default: throw .invalidFieldName
            }
        case .value:
            if isFieldValueCharacter(byte) { return }
            switch byte {
            case ASCII.carriageReturn: phase = .valueLineFeed
            case ASCII.lineFeed: throw .bareLineFeed
            default: throw .invalidFieldValue
            }
        case .valueLineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            phase = .lineStart
        case .finalLineFeed:
            if byte != ASCII.lineFeed { throw .bareCarriageReturn }
            phase = .done
        case .done:
            preconditionFailure("the field block has ended")
        }
    }
}
