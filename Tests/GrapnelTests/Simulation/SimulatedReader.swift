// SimulatedReader: the reader of what was left to the journal, taken a step at a time by the simulation.
//
// The reader is the real one, with its tasks: they run on an executor of their own, which runs a piece (up to where the task waits for
// something) only when the simulation says so. Between the question, the walk over the log, the answer of the journal's owner and the end
// anything may happen.

import Delivery
import Journal

@testable import Grapnel
@testable import Trigger

/// Runs nothing by itself.
final class SimulatedExecutor: TaskExecutor {
    private let jobs = Locked<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    var hasJobs: Bool { jobs.withLock { !$0.isEmpty } }

    /// The next piece, on this thread. False: there is none.
    @discardableResult
    func runOne() -> Bool {
        guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return false }
        job.runSynchronously(on: asUnownedTaskExecutor())
        return true
    }
}

final class SimulatedReader {
    private let reader: SpillReader
    private let executor = SimulatedExecutor()
    private var random: SeededGenerator
    private let result = Locked<SpillReading?>(nil)
    private let time: SimulatedTime
    /// Before that the disk, or whoever else is asked, has not answered.
    private var notBefore: UInt64 = 0
    /// The question under way.
    private(set) var question: SpillQuestion?

    init(_ reader: SpillReader, _ time: SimulatedTime, seed: UInt64) {
        self.reader = reader
        self.time = time
        random = SeededGenerator(seed: seed)
    }

    /// Some end sooner than the product's do.
    func begin(_ question: SpillQuestion) {
        precondition(self.question == nil, "one reading at a time")
        self.question = question
        var asked = question
        if random.chance(70) { asked.looksMax = Int.random(in: 1...40, using: &random) }
        let (reader, result, asks) = (reader, result, asked)
        delay()
        Task(executorPreference: executor) {
            let reading = await reader.read(asks)
            result.withLock { $0 = reading }
        }
    }

    private func delay() {
        let milliseconds =
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3: 0
            case 3..<8: Int.random(in: 1...60, using: &random)
            default: Int.random(in: 200...2_500, using: &random)
            }
        notBefore = time.now + UInt64(milliseconds) * 1_000_000
    }

    /// When there is something to do; nil: not before the journal's owner has answered.
    var wakeAt: UInt64? { executor.hasJobs ? notBefore : nil }

    /// A piece of the reading under way; at its end gives what was read.
    func step() -> SpillReading? {
        executor.runOne()
        delay()
        let reading = result.withLock { result in
            defer { result = nil }
            return result
        }
        if reading != nil { question = nil }
        return reading
    }

    /// The process is gone; nobody waits for an answer any more.
    func vanish() {
        while executor.runOne() {}
        _ = step()
    }
}
