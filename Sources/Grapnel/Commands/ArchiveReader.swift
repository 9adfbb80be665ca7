// ArchiveReader: an archive line by line, bounded, with a word on where it ends too early.

import Glibc

/// The lines of an archive, in their order.
struct ArchiveReader {
    let name: String
    /// Why it ended where it should not have.
    private(set) var trouble: String?
    private var lineNumber = 0
    private var deliveries = 0
    private var hasEnded = false

    init(name: String) { self.name = name }

    /// nil at the end. The first line must be the beginning, the last one the end.
    mutating func next(_ reader: inout LineReader) throws(CommandFailure) -> JournalArchive.Line? {
        guard trouble == nil, !hasEnded else { return nil }
        let line: [UInt8]?
        switch reader.next() {
        case .success(let read): line = read
        case .failure(let failure): throw .environment(failure.description)
        }
        lineNumber += 1
        guard let line else {
            trouble = "ends before its last line: it was cut off"
            return nil
        }
        do throws(JournalArchive.Trouble) {
            let read = try JournalArchive.read(line)
            switch read {
            case .begin where lineNumber > 1: throw JournalArchive.Trouble(text: "begins another archive")
            case .delivery where lineNumber == 1: return nil
            case .delivery: deliveries += 1
            case .end(let count):
                hasEnded = true
                if count != deliveries { trouble = "has \(deliveries) deliveries, and says that it has \(count)" }
            case .begin: break
            }
            return read
        } catch {
            if lineNumber == 1 { return nil }
            trouble = "line \(lineNumber) \(error.text)"
            return nil
        }
    }
}

/// Lines of a file or a pipe, each bounded.
struct LineReader {
    let name: String
    private let descriptor: Int32
    private let lineBytesMax: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false

    private static let blockBytes = 1 << 20

    init(_ path: String, lineBytesMax: Int) throws(CommandFailure) {
        name = path == "-" ? "standard input" : path
        self.lineBytesMax = lineBytesMax
        descriptor = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .environment("\(path): \(SmallFile.text(of: errno))") }
    }

    /// The next line without its end; nil at the end. A last line without an end is one that was cut off, and not given.
    mutating func next() -> Result<[UInt8]?, SmallFile.Failure> {
        var looked = start
        while true {
            if let end = buffer[looked...].firstIndex(of: 0x0a) {
                defer { start = end + 1 }
                return .success(Array(buffer[start..<end]))
            }
            if isAtEnd { return .success(nil) }
            guard buffer.count - start <= lineBytesMax else {
                return .failure(SmallFile.Failure(description: "\(name): a line is longer than \(lineBytesMax) bytes"))
            }
            buffer.removeFirst(start)
            start = 0
            looked = buffer.count
            var block = [UInt8](repeating: 0, count: Self.blockBytes)
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                return .failure(SmallFile.Failure(description: "\(name): \(SmallFile.text(of: errno))"))
            }
            isAtEnd = count == 0
            buffer += block[..<count]
        }
    }
}
