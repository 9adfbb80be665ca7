// SourceText: an expression as code points, and the positions its errors name.

struct SourceText {
    /// An expression is read once and kept; this bounds the work and the memory of that.
    static let bytesMax = 64 << 10

    let scalars: [Unicode.Scalar]

    init(_ text: String) throws(CELCompileError) {
        guard text.utf8.count <= Self.bytesMax else {
            throw CELCompileError("expression is larger than \(Self.bytesMax) bytes")
        }
        scalars = Array(text.unicodeScalars)
    }

    subscript(offset: Int) -> Unicode.Scalar? { offset < scalars.count ? scalars[offset] : nil }

    func text(_ range: Range<Int>) -> String {
        var result = ""
        result.unicodeScalars.append(contentsOf: scalars[range])
        return result
    }

    func error(at offset: Int, _ text: String) -> CELCompileError {
        var line = 1
        var lineStart = 0
        for index in 0..<min(offset, scalars.count) where scalars[index] == "\n" {
            line += 1
            lineStart = index + 1
        }
        return CELCompileError(line: line, column: offset - lineStart + 1, text)
    }
}
