// room-allocations: how often each operation allocates, and how long it takes at best.
//
// Run with Tests/Support/alloc_counter.c preloaded; `Benchmarks/run.sh` does, and holds the output against
// thresholds.json. One line for each operation: name, allocations in this thread for `count` repetitions, count, and the
// nanoseconds of one repetition in the fastest of several rounds, separated by tabs.

import Glibc
import Operations

/// This thread's slot in the counter's file; see alloc_counter.c for the layout.
struct AllocationCounter {
    private let fd: Int32
    private var offset: off_t = 0

    /// nil when no counter is preloaded.
    init?() {
        guard let path = getenv("ALLOC_COUNTER_FILE") else { return nil }
        fd = open(path, O_RDONLY)
        guard fd >= 0 else { return nil }
        allocateOnce()  // makes sure that the slot exists
        guard let thread = Self.threadID() else { return nil }
        for slot in 0..<1024 {
            let place = off_t(64 + 24 * slot)
            var owner: (process: Int32, thread: Int32) = (0, 0)
            guard pread(fd, &owner, 8, place) == 8 else { return nil }
            if owner.process == getpid(), owner.thread == thread {
                offset = place
                return
            }
        }
        return nil
    }

    /// The number at the end of /proc/thread-self, `PID/task/TID`.
    private static func threadID() -> Int32? {
        var target = [UInt8](repeating: 0, count: 64)
        let count = target.withUnsafeMutableBytes { bytes in
            readlink("/proc/thread-self", bytes.assumingMemoryBound(to: CChar.self).baseAddress!, bytes.count)
        }
        guard count > 0 else { return nil }
        return Int32(String(decoding: target[..<count].split(separator: UInt8(ascii: "/")).last ?? [], as: UTF8.self))
    }

    var count: UInt64 {
        var value: UInt64 = 0
        pread(fd, &value, 8, offset + 8)
        return value
    }
}

/// One allocation that the optimiser cannot see through.
@inline(never)
@_optimize(none)
func allocateOnce() {
    let memory = malloc(64)
    free(memory)
}

@main
enum RoomAllocations {
    static func main() {
        guard let counter = AllocationCounter() else {
            print("no allocation counter is preloaded: use Benchmarks/run.sh")
            exit(2)
        }
        // The counter must see what is known to allocate, or a zero means nothing.
        let before = counter.count
        for _ in 0..<1000 { allocateOnce() }
        guard counter.count - before == 1000 else {
            print("the allocation counter does not count")
            exit(2)
        }
        let wanted = CommandLine.arguments.dropFirst().first
        for operation in allOperations() where wanted.map({ operation.name.contains($0) }) ?? true {
            let repetitions = operation.name.contains("real disk") ? 50 : 1000
            let work = operation.prepare()
            work(repetitions)
            var fewest = UInt64.max
            var fastest = UInt64.max
            for _ in 0..<5 {
                let allocated = counter.count
                let start = now()
                work(repetitions)
                let took = now() - start
                fewest = min(fewest, counter.count - allocated)
                fastest = min(fastest, took)
            }
            print("\(operation.name)\t\(fewest)\t\(repetitions)\t\(fastest / UInt64(repetitions))")
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
