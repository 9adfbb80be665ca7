import Foundation
import HTTP
import Testing

/// The raw requests of Tests/Fixtures/http (its README says how they are named).
@Suite("Raw requests")
struct FixtureTests {
    private static func files(_ folder: String) throws -> [URL] {
        let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/http/\(folder)")
        return try FileManager.default.contentsOfDirectory(at: fixtures, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "http" }
    }

    /// How a whole request fares, body included: the error, or how many bytes were left over.
    private enum Outcome: Equatable {
        case accepted(leftOver: Int)
        case unfinished
        case refused(HTTPParseError)
    }

    private func outcome(_ bytes: [UInt8], inSingleBytes: Bool) -> Outcome {
        switch inSingleBytes ? parseHeadByteByByte(bytes) : parseHead(bytes) {
        case .needMoreBytes: return .unfinished
        case .refused(let error): return .refused(error)
        case .head(let head):
            let rest = Array(bytes[head.headBytes...])
            switch head.framing {
            case .none: return .accepted(leftOver: rest.count)
            case .length(let count): return rest.count < count ? .unfinished : .accepted(leftOver: rest.count - count)
            case .chunked:
                switch decodeChunked(rest, cuts: inSingleBytes ? Array(0..<rest.count) : []) {
                case .needMoreBytes: return .unfinished
                case .refused(let error): return .refused(error)
                case .complete(_, let rest): return .accepted(leftOver: rest.count)
                }
            }
        }
    }

    @Test("Accepted requests are taken to their last byte", arguments: [false, true])
    func accepted(inSingleBytes: Bool) throws {
        let files = try Self.files("accepted")
        #expect(files.count >= 12)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            #expect(
                outcome(bytes, inSingleBytes: inSingleBytes) == .accepted(leftOver: 0), "\(file.lastPathComponent)")
        }
    }

    @Test("Refused requests are refused for the reason in their name", arguments: [false, true])
    func refused(inSingleBytes: Bool) throws {
        let files = try Self.files("refused")
        #expect(files.count >= 60)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            let name = file.lastPathComponent.prefix { $0 != "." }
            guard case .refused(let error) = outcome(bytes, inSingleBytes: inSingleBytes) else {
                Issue.record("\(file.lastPathComponent) was not refused")
                continue
            }
            #expect("\(error.name)" == name, "\(file.lastPathComponent)")
        }
    }
}
