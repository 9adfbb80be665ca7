// The three pipes of a command run, and the tail of its output. Our ends do not block; each descriptor is closed once.

import Glibc

/// Standard input, output (with error) and the pipe whose closing says that the process ended.
struct Pipes {
    private(set) var childInput: Int32 = -1
    private(set) var childOutput: Int32 = -1
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var ended: Int32 = -1
    private var watcherEnd: Int32 = -1

    /// nil with `errno` set when the process or the machine has no descriptors left. Call it under the spawn lock.
    init?() {
        guard let first = Self.make() else { return nil }
        (childInput, input) = first
        guard let second = Self.make() else {
            let code = errno
            closeAll()
            errno = code
            return nil
        }
        (output, childOutput) = second
        guard let third = Self.make() else {
            let code = errno
            closeAll()
            errno = code
            return nil
        }
        (ended, watcherEnd) = third
        for descriptor in [input, output] {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
    }

    /// Both ends above 2, so that duplicating onto 0, 1 and 2 in the child never meets itself, and close-on-exec.
    private static func make() -> (read: Int32, write: Int32)? {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return nil }
        for index in 0..<2 {
            if ends[index] <= 2 {
                let moved = fcntl(ends[index], F_DUPFD_CLOEXEC, 3)
                let code = errno
                if moved >= 0 { Glibc.close(ends[index]) }
                guard moved >= 0 else {
                    Glibc.close(ends[0])
                    Glibc.close(ends[1])
                    errno = code
                    return nil
                }
                ends[index] = moved
            }
            _ = fcntl(ends[index], F_SETFD, FD_CLOEXEC)
        }
        return (ends[0], ends[1])
    }

    /// The watcher's end now belongs to the caller.
    mutating func takeWatcherEnd() -> Int32 {
        defer { watcherEnd = -1 }
        return watcherEnd
    }

    mutating func closeChildEnds() {
        Self.close(&childInput)
        Self.close(&childOutput)
    }
    mutating func closeInput() { Self.close(&input) }
    mutating func closeOutput() { Self.close(&output) }

    /// Closes all that is still open and ours.
    mutating func closeAll() {
        closeChildEnds()
        closeInput()
        closeOutput()
        Self.close(&ended)
        Self.close(&watcherEnd)
    }

    private static func close(_ descriptor: inout Int32) {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Waits until something can be done; without a limit when `timeoutNanoseconds` is nil.
    func poll(wantsInput: Bool, timeoutNanoseconds: UInt64?) -> (input: Bool, output: Bool, hasEnded: Bool) {
        // A negative descriptor is left out by poll(2).
        var entries = [
            pollfd(fd: wantsInput ? input : -1, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: ended, events: Int16(POLLIN), revents: 0),
        ]
        // Rounded up: waking a moment too early would spin.
        let milliseconds = timeoutNanoseconds.map { Int32(clamping: ($0 &+ 999_999) / 1_000_000) } ?? -1
        guard unsafe Glibc.poll(&entries, 3, milliseconds) > 0 else { return (false, false, false) }
        return (entries[0].revents != 0, entries[1].revents != 0, entries[2].revents != 0)
    }

    /// Writes what fits; false when nobody reads any more.
    func write(_ bytes: [UInt8], from position: inout Int) -> Bool {
        while position < bytes.count {
            // `position < bytes.count`, so the slice is not empty and lies in the array.
            let count = unsafe bytes.withUnsafeBytes { buffer in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[position...])
                return unsafe Glibc.write(input, rest.baseAddress, rest.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return errno == EAGAIN
            }
            position += count
        }
        return true
    }

    /// Reads what is there; false at the end, on an error, or when nothing is there.
    func read(into tail: inout OutputTail) -> Bool {
        guard output >= 0 else { return false }
        let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
            var got = -1
            // The buffer's own address and size.
            repeat { got = unsafe Glibc.read(output, buffer.baseAddress, buffer.count) } while got < 0 && errno == EINTR
            count = max(0, got)
        }
        tail.append(chunk)
        return !chunk.isEmpty
    }
}

/// The last bytes of a stream.
struct OutputTail {
    private let limit: Int
    private(set) var droppedBytes = 0
    private var buffer: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    var bytes: [UInt8] { buffer }

    mutating func append(_ chunk: [UInt8]) {
        buffer.append(contentsOf: chunk)
        // Cut rarely, so that long output costs linear time.
        if buffer.count > 2 * limit { cut() }
    }

    /// Cuts to the limit; call it when the stream is over.
    mutating func cut() {
        guard buffer.count > limit else { return }
        droppedBytes += buffer.count - limit
        buffer.removeFirst(buffer.count - limit)
    }
}
