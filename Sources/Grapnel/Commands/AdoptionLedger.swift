// AdoptionLedger: which deliveries of other journals a data directory has taken over, one line each: journal and sequence.
//
// The records themselves say so too, and are what counts until they go: retention lets a delivery go when it is final, and
// then only this file knows that it was here. A line is written after its record is durable. A last line that was cut off is
// ignored and written again.

import Foundation
import Glibc
import Journal

struct AdoptionLedger {
    let path: String
    private(set) var origins: Set<RecordOrigin> = []
    private var endsWithinLine = false

    /// 64 MiB: a million and a half of deliveries.
    private static let bytesMax = 64 << 20

    init(dataDirectory: String) throws(CommandFailure) {
        path = dataDirectory + "/adopted"
        guard unsafe access(path, F_OK) == 0 else { return }
        switch SmallFile.read(path, bytesMax: Self.bytesMax) {
        case .success(let bytes):
            endsWithinLine = bytes.last.map { $0 != 0x0a } ?? false
            let text = String(decoding: bytes, as: UTF8.self)
            for line in text.split(separator: "\n").dropLast(endsWithinLine ? 1 : 0) {
                let parts = line.split(separator: "#")
                guard parts.count == 2, let journal = UInt64(parts[0], radix: 16), let sequence = UInt64(parts[1])
                else { continue }
                origins.insert(RecordOrigin(journal: journal, sequence: sequence))
            }
        case .failure(let failure):
            throw .environment("\(failure); it says what was adopted before: mend or restore it")
        }
    }

    func contains(_ origin: RecordOrigin) -> Bool { origins.contains(origin) }

    /// Adds what is durable in the journal. nil, or why it could not be written.
    mutating func add(_ new: [RecordOrigin]) -> String? {
        let missing = new.filter { origins.insert($0).inserted }
        guard !missing.isEmpty else { return nil }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return "\(path): \(SmallFile.text(of: errno))" }
        defer { close(file) }
        let lines = (endsWithinLine ? "\n" : "") + missing.map { "\($0)\n" }.joined()
        if let trouble = DataDirectory.write(Data(lines.utf8), to: file) { return "\(path): \(trouble)" }
        endsWithinLine = false
        return nil
    }
}
