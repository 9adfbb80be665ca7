// SmallFile: reads a whole small file, bounded.

import Glibc

enum SmallFile {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The bytes of a file or a pipe; `-` is standard input. Refused when there are more than `bytesMax`.
    static func read(_ path: String, bytesMax: Int) -> Result<[UInt8], Failure> {
        let fd = path == "-" ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return .failure(Failure(description: "\(path): \(text(of: errno))")) }
        defer { if fd != 0 { close(fd) } }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            // Sound: at most block.count bytes are written to the block.
            let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(fd, $0.baseAddress, $0.count) }
            if count == 0 { return .success(bytes) }
            if count < 0 {
                if errno == EINTR { continue }
                return .failure(Failure(description: "\(path): \(text(of: errno))"))
            }
            bytes += block[..<count]
            if bytes.count > bytesMax {
                return .failure(Failure(description: "\(path): larger than \(bytesMax) bytes"))
            }
        }
    }

    static func text(of code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
