import Testing

@testable import LoadKit

@Suite struct AnswerReaderTests {
    private func outcomes(_ text: String, piece: Int) -> [AnswerReader.Outcome] {
        var reader = AnswerReader()
        var found: [AnswerReader.Outcome] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let bytes = Array(rest.prefix(piece))
            let outcome = bytes.withUnsafeBufferPointer { reader.read($0) }
            switch outcome {
            case .needsMore: rest = rest.dropFirst(bytes.count)
            case .answer(_, _, let consumed):
                found.append(outcome)
                rest = rest.dropFirst(consumed)
            case .malformed:
                found.append(outcome)
                return found
            }
        }
        return found
    }

    @Test("answers are found however their bytes are split", arguments: 1...120)
    func split(piece: Int) {
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            + "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length:5\r\nX: y\r\n\r\nhello"
            + "HTTP/1.1 503 Busy\r\nCONTENT-LENGTH: 2\r\nConnection: close\r\n\r\n{}"
        let answers = outcomes(text, piece: piece).compactMap { outcome -> [Int]? in
            if case .answer(let status, let closes, _) = outcome { return [status, closes ? 1 : 0] }
            return nil
        }
        #expect(answers == [[200, 0], [404, 0], [503, 1]])
    }

    @Test(
        "what is no HTTP is malformed",
        arguments: ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "\r\n\r\n"])
    func malformed(text: String) {
        #expect(outcomes(text, piece: 7) == [.malformed])
    }

    @Test("a head without end is malformed")
    func endless() {
        #expect(outcomes("HTTP/1.1 200 OK\r\n" + String(repeating: "a", count: 5000), piece: 100) == [.malformed])
    }
}
