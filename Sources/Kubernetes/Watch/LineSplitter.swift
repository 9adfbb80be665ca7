// LineSplitter: bytes as they come to lines, each bounded. No I/O.

import Foundation
import NIOCore
import NIOFoundationCompat

/// Feed it parts, take lines. A line ends with LF, which is not part of it; empty lines are left out.
struct LineSplitter {
    /// A line of more than so many bytes.
    struct TooLong: Error {}

    private let lineBytesMax: Int
    private var pending = ByteBuffer()
    /// Readable bytes of `pending` known to hold no LF.
    private var searched = 0

    init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    /// Bytes of a line whose end has not come.
    var pendingBytes: Int { pending.readableBytes }

    mutating func append(_ part: ByteBuffer) {
        if pending.readableBytes == 0 {
            pending = part
            searched = 0
        } else {
            pending.writeImmutableBuffer(part)
        }
    }

    /// The next line; nil: more bytes are needed.
    mutating func next() throws(TooLong) -> Data? {
        while true {
            let view = pending.readableBytesView.dropFirst(searched)
            guard let end = view.firstIndex(of: 0x0a) else {
                searched = pending.readableBytes
                if searched > lineBytesMax { throw TooLong() }
                pending.discardReadBytes()
                return nil
            }
            let count = end - pending.readerIndex
            if count > lineBytesMax { throw TooLong() }
            searched = 0
            let line = pending.readData(length: count, byteTransferStrategy: .copy)
            pending.moveReaderIndex(forwardBy: 1)
            if let line, !line.isEmpty { return line }
        }
    }
}
