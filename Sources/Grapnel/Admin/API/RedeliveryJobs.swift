// RedeliveryJobs: many deliveries again, at a rate, on a thread of their own.
//
// A job's list is fixed when it begins, and no other job ran between the selection and that. In memory alone: a restart ends it, and what
// was redelivered by then stays so. So does what was redelivered before somebody cancelled it. The last few jobs can be asked for.

internal import CLinuxIO
internal import Delivery
internal import Foundation
internal import Journal
internal import NIOHTTP1
internal import Synchronization

/// Why a delivery was not redelivered.
struct RedeliveryRefusal: Error, Sendable, Equatable {
    var status: HTTPResponseStatus
    var code: String
    /// With the remedy.
    var message: String

    /// It was asked for and may still come.
    static let slow = "journal-slow"

    var answer: AdminAnswer { .problem(status, code, message) }
}

/// Carries a delivery out once more. Gives the new delivery's sequence. Waits for the disk, but not for ever: the last argument hears the
/// journal's answer, once, from any thread, also after that.
typealias Redeliverer =
    @Sendable (UInt64, RedeliveryTurn, @escaping @Sendable (RedeliveryRequest.Answer) -> Void) -> Result<
        UInt64, RedeliveryRefusal
    >

/// What is to be done for a delivery, whose turn it is.
struct RedeliveryTurn: Sendable {
    var act: RedeliveryAct
    /// The first delivery, of which it is one.
    var original: UInt64
    /// Where its record was found.
    var place: RecordLocation?
}

final class RedeliveryJobs: Sendable {
    static let deliveriesMax = 10_000
    static let ratesPerSecond = 1...1000
    private static let jobsMax = 16
    /// Refusals that are told of one job.
    private static let toldMax = 100
    /// Redeliveries that are remembered: as many as a job has, and some beside it.
    private static let landedMax = deliveriesMax + 1000

    struct Job: Sendable {
        var id: UInt64
        var begun: UInt64
        var rate: Int
        var sequences: [UInt64]
        var done = 0
        var redelivered: [UInt64] = []
        var refused: [(sequence: UInt64, refusal: RedeliveryRefusal)] = []
        var refusedCount = 0
        var isCancelled = false
        var isEnded = false

        /// Cancelled, by somebody or by the server's end, is what did not come to its last delivery.
        private var state: String { !isEnded ? "running" : done < sequences.count ? "cancelled" : "ended" }

        var json: JSONValue {
            [
                "id": .string("\(id)"), "begun": .string(APITime.text(begun)), "rate": .number("\(rate)"),
                "count": .number("\(sequences.count)"), "done": .number("\(done)"),
                "state": .string(state),
                "redelivered": .number("\(done - refusedCount)"),
                "refused": .number("\(refusedCount)"),
                "newSequences": .array(redelivered.prefix(RedeliveryJobs.toldMax).map { .number("\($0)") }),
                "refusals": .array(
                    refused.map {
                        [
                            "sequence": .number("\($0.sequence)"), "code": .string($0.refusal.code),
                            "message": .string($0.refusal.message),
                        ]
                    }),
            ]
        }
    }

    private struct State {
        var jobs: [Job] = []
        var nextID: UInt64 = 1
        var landed: [(original: UInt64, redelivery: UInt64)] = []
        /// By original: those that the journal has not answered.
        var underWay: [UInt64: Int] = [:]
        var isStopping = false
    }

    private let state = Mutex(State())
    private let redeliver: Redeliverer
    private let start: Starter

    /// Carries a job out, elsewhere: `begin` does not wait for it.
    typealias Starter = @Sendable (@escaping @Sendable () -> Void) -> Void

    init(_ redeliver: @escaping Redeliverer, start: @escaping Starter = RedeliveryJobs.thread) {
        self.redeliver = redeliver
        self.start = start
    }

    static let thread: Starter = { NamedThread.start("redeliveries", $0) }

    /// To be taken before what is to be redelivered is looked for; changes with each job. nil: one runs.
    var generation: UInt64? { state.withLock { $0.jobs.allSatisfy(\.isEnded) ? $0.nextID : nil } }

    /// nil: another job runs, or ran since `generation` was taken: this one does not know what that redelivered. `act` gives what a
    /// delivery's redelivery does, when its turn comes.
    func begin(
        _ sequences: [UInt64], rate: Int, after generation: UInt64,
        act: @escaping @Sendable (UInt64) -> Result<RedeliveryTurn, RedeliveryRefusal>
    ) -> Job? {
        let job: Job? = state.withLock { state in
            guard !state.isStopping, state.jobs.allSatisfy(\.isEnded), state.nextID == generation else { return nil }
            let job = Job(id: state.nextID, begun: cl_now_realtime(), rate: rate, sequences: sequences)
            state.nextID += 1
            state.jobs.append(job)
            if state.jobs.count > Self.jobsMax { state.jobs.removeFirst() }
            return job
        }
        guard let job else { return nil }
        start { self.run(job, act) }
        return job
    }

    private func run(_ job: Job, _ act: (UInt64) -> Result<RedeliveryTurn, RedeliveryRefusal>) {
        var due = cl_now_monotonic()
        for sequence in job.sequences {
            while cl_now_monotonic() < due, !isToEnd(job.id) {
                usleep(UInt32(min(50_000, (due - min(due, cl_now_monotonic())) / 1000 + 1)))
            }
            if isToEnd(job.id) { break }
            let result = act(sequence).flatMap { carryOut(sequence, $0) }
            change(job.id) { job in
                job.done += 1
                switch result {
                case .success(let new): if job.redelivered.count < Self.toldMax { job.redelivered.append(new) }
                case .failure(let refusal):
                    job.refusedCount += 1
                    if job.refused.count < Self.toldMax { job.refused.append((sequence, refusal)) }
                }
            }
            // All that follow would be told as refused, and come later nevertheless.
            if case .failure(let refusal) = result, refusal.code == RedeliveryRefusal.slow { break }
            due = Self.due(after: due, rate: job.rate, now: cl_now_monotonic())
        }
        change(job.id) { $0.isEnded = true }
    }

    /// When the next delivery is due, in nanoseconds as `now`. Of a stall no more than a second is made up for.
    static func due(after last: UInt64, rate: Int, now: UInt64) -> UInt64 {
        max(last + 1_000_000_000 / UInt64(rate), now - min(now, 1_000_000_000))
    }

    // MARK: - Redeliveries

    /// Redelivers one, by its number or for a job. From the wish on until a selection finds it in the journal it is known here, also when
    /// nobody waited for its answer: a job whose list has the same delivery may run, or begin.
    func carryOut(_ sequence: UInt64, _ turn: RedeliveryTurn) -> Result<UInt64, RedeliveryRefusal> {
        let original = turn.original
        state.withLock { $0.underWay[original, default: 0] += 1 }
        return redeliver(sequence, turn) { [self] answer in
            state.withLock { state in
                let left = (state.underWay[original] ?? 1) - 1
                state.underWay[original] = left > 0 ? left : nil
                guard case .success(let new) = answer else { return }
                if state.landed.count == Self.landedMax { state.landed.removeFirst() }
                state.landed.append((original, new))
            }
        }
    }

    /// The last redeliveries of an original, oldest first.
    func landed(of original: UInt64) -> [UInt64] {
        state.withLock { $0.landed.filter { $0.original == original }.map(\.redelivery) }
    }

    /// Whether one was asked for that the journal has not answered yet.
    func isUnderWay(_ original: UInt64) -> Bool { state.withLock { $0.underWay[original] != nil } }

    // MARK: - Looking and cancelling

    private func isToEnd(_ id: UInt64) -> Bool {
        state.withLock { state in state.isStopping || state.jobs.contains { $0.id == id && $0.isCancelled } }
    }

    private func change(_ id: UInt64, _ change: (inout Job) -> Void) {
        state.withLock { state in
            guard let index = state.jobs.firstIndex(where: { $0.id == id }) else { return }
            change(&state.jobs[index])
        }
    }

    func stop() { state.withLock { $0.isStopping = true } }

    var list: AdminAnswer { .json(["redeliveries": .array(state.withLock { $0.jobs.reversed().map(\.json) })]) }

    func answer(_ id: String) -> AdminAnswer {
        guard let job = job(id) else {
            return .problem(.notFound, "redelivery-unknown", "there is no such redelivery, or it was long ago")
        }
        return .json(job.json)
    }

    private func job(_ id: String) -> Job? { state.withLock { $0.jobs.first { "\($0.id)" == id } } }

    /// How long an answer waits for the delivery whose turn it is.
    private static let cancelNanoseconds: UInt64 = 5_000_000_000

    /// Ends a job before its next delivery, and waits for the one under way, so that the figures stand. For worker threads.
    func cancel(_ id: String) -> AdminAnswer {
        if let job = job(id) { change(job.id) { $0.isCancelled = $0.isCancelled || !$0.isEnded } }
        let deadline = cl_now_monotonic() + Self.cancelNanoseconds
        while let job = job(id), !job.isEnded, cl_now_monotonic() < deadline { usleep(5_000) }
        return answer(id)
    }
}
