import CLinuxIO
import Foundation
import Ring
import Synchronization
import Testing

@Suite("SPSCRing")
struct SPSCRingTests {
    @Test("gives back in order what was pushed, and refuses when full")
    func orderAndFull() {
        let ring = SPSCRing<Int>(capacity: 3)
        #expect(ring.capacity == 4)
        for value in 0..<4 { #expect(ring.push(value)) }
        #expect(!ring.push(99))
        #expect(ring.depth == 4)
        #expect(ring.pop() == 0)
        #expect(ring.push(4))
        #expect((1...4).map { _ in ring.pop() } == [1, 2, 3, 4])
        #expect(ring.pop() == nil)
        #expect(ring.depth == 0)
    }

    @Test("agrees with an array under random pushes and pops", arguments: 0..<20)
    func model(seed: Int) {
        var random = SplitMix(state: UInt64(seed))
        let ring = SPSCRing<UInt64>(capacity: 1 << (seed % 5))
        var model: [UInt64] = []
        for step in 0..<5_000 {
            if random.next() & 1 == 0 {
                let pushed = ring.push(UInt64(step))
                #expect(pushed == (model.count < ring.capacity))
                if pushed { model.append(UInt64(step)) }
            } else {
                #expect(ring.pop() == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(ring.depth == model.count)
        }
    }

    @Test("loses, doubles and reorders nothing between two threads, whole elements only")
    func twoThreads() async {
        struct Wide: BitwiseCopyable {
            var a: UInt64
            var b: UInt64
            var c: UInt64
        }
        let ring = SPSCRing<Wide>(capacity: 8)
        let count: UInt64 = 200_000
        let progress = Progress()
        // Threads, not tasks: each side spins until the other moves, and the pool of tasks may have one thread left.
        async let produced: Void = onThread {
            var next: UInt64 = 0
            while next < count {
                if ring.push(Wide(a: next, b: ~next, c: next &* 3)) { next += 1 } else { sched_yield() }
            }
        }
        async let consumed: Void = onThread {
            var expected: UInt64 = 0
            while expected < count {
                guard let element = ring.pop() else {
                    sched_yield()
                    continue
                }
                if element.a != expected || element.b != ~expected || element.c != expected &* 3 {
                    progress.wrong.add(1, ordering: .relaxed)
                }
                expected += 1
            }
        }
        _ = await (produced, consumed)
        #expect(progress.wrong.load(ordering: .relaxed) == 0)
        #expect(ring.pop() == nil)
    }
}

@Suite("Doorbell")
struct DoorbellTests {
    @Test("signals a sleeper once and an awake consumer never")
    func signalsOnlySleepers() {
        let count = Count()
        let bell = Doorbell { count.add() }
        bell.ring()
        #expect(count.value == 0)
        bell.prepareToSleep()
        bell.ring()
        bell.ring()
        #expect(count.value == 1)
        bell.prepareToSleep()
        bell.cancelSleep()
        bell.ring()
        #expect(count.value == 1)
    }

    @Test("no element is slept over between two threads")
    func noLostWakeup() async {
        let descriptor = cl_eventfd()
        defer { close(descriptor) }
        let ring = SPSCRing<UInt64>(capacity: 64)
        let bell = Doorbell {
            var one: UInt64 = 1
            _ = write(descriptor, &one, 8)
        }
        let count: UInt64 = 20_000
        let progress = Progress()
        async let consumed: Void = onThread {
            while progress.seen.load(ordering: .relaxed) < count {
                if ring.pop() != nil {
                    progress.seen.add(1, ordering: .relaxed)
                    continue
                }
                bell.prepareToSleep()
                if ring.depth > 0 {
                    bell.cancelSleep()
                    continue
                }
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                // A lost wake-up would show as a wait that ends by its limit.
                if poll(&entry, 1, 180_000) == 0 {
                    progress.isOver.store(true, ordering: .relaxed)
                    return
                }
                var value: UInt64 = 0
                _ = read(descriptor, &value, 8)
            }
        }
        async let produced: Void = onThread {
            for value in 0..<count {
                while !ring.push(value) {
                    // A consumer that gave up would leave the ring full for ever.
                    if progress.isOver.load(ordering: .relaxed) { return }
                    sched_yield()
                }
                bell.ring()
                if value % 7 == 0 { sched_yield() }
            }
        }
        _ = await (produced, consumed)
        #expect(progress.seen.load(ordering: .relaxed) == count)
    }
}

/// What two threads of a test tell each other.
final class Progress: Sendable {
    let seen = Atomic<UInt64>(0)
    let wrong = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
}

/// Runs `body` on a thread of its own.
func onThread(_ body: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { continuation in
        Thread {
            body()
            continuation.resume()
        }.start()
    }
}

/// A counter that a closure may capture.
final class Count: @unchecked Sendable {
    // Only touched by the one thread of the test that uses it.
    private(set) var value = 0
    func add() { value += 1 }
}

struct SplitMix {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
