// YAMLStream: cuts a file into its documents, so that a document that cannot be read harms no other.
//
// A line that begins with `---` and a blank or the line's end begins a document, one that begins with `...` ends it, wherever
// it stands: YAML 1.2 section 9.1.2 forbids such lines even inside quoted and block scalars. Lines of directives and
// comments belong to the document that follows.

/// A piece of a file that holds at most one document.
struct YAMLPiece: Equatable {
    /// Offsets of bytes.
    var range: Range<Int>
    /// Line of the file, from 1, on which the piece begins.
    var line: Int
}

enum YAMLStream {
    /// The pieces that hold more than blanks and comments, in order.
    static func pieces(of bytes: [UInt8]) -> [YAMLPiece] {
        var pieces: [YAMLPiece] = []
        var start = 0
        var startLine = 1
        // Whether a line of content was seen since `start`; until then `---` begins no further piece.
        var hasContent = false
        var hasDirective = false
        var line = 1
        var position = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
        start = position

        func close(at end: Int) {
            if hasContent { pieces.append(YAMLPiece(range: start..<end, line: startLine)) }
            hasContent = false
            hasDirective = false
        }

        while position < bytes.count {
            let end = bytes[position...].firstIndex(of: newline) ?? bytes.count
            switch kind(of: bytes[position..<end]) {
            case .blank: break
            case .directive where !hasContent: hasDirective = true
            case .documentStart:
                if !hasDirective || hasContent {
                    close(at: position)
                    start = position
                    startLine = line
                }
                hasDirective = false
                // `--- {a: b}` and `--- |` have content on the line itself.
                hasContent = !isBlankOrComment(bytes[(position + 3)..<end])
            case .documentEnd:
                close(at: position)
                start = min(end + 1, bytes.count)
                startLine = line + 1
            case .directive, .content: hasContent = true
            }
            position = end + 1
            line += 1
        }
        close(at: bytes.count)
        return pieces
    }

    private enum LineKind { case blank, directive, documentStart, documentEnd, content }

    private static func kind(of line: ArraySlice<UInt8>) -> LineKind {
        switch line.first {
        case UInt8(ascii: "%"): return .directive
        case UInt8(ascii: "-") where isMarker(line, UInt8(ascii: "-")): return .documentStart
        case UInt8(ascii: ".") where isMarker(line, UInt8(ascii: ".")): return .documentEnd
        default: return isBlankOrComment(line) ? .blank : .content
        }
    }

    private static func isMarker(_ line: ArraySlice<UInt8>, _ byte: UInt8) -> Bool {
        let head = line.prefix(3)
        guard head.count == 3, head.allSatisfy({ $0 == byte }) else { return false }
        return line.dropFirst(3).first.map(isBlank) ?? true
    }

    private static func isBlankOrComment(_ line: ArraySlice<UInt8>) -> Bool {
        let rest = line.drop(while: isBlank)
        return rest.isEmpty || rest.first == UInt8(ascii: "#")
    }

    private static let newline: UInt8 = 0x0a

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }
}
