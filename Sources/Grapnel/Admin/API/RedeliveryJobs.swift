// RedeliveryJobs: many deliveries again, at a rate, on a thread of their own.
//
// A job's list is fixed when it begins. In memory alone: a restart ends it, and what was redelivered by then stays so. The last few jobs
// can be asked for.

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

    var answer: AdminAnswer { .problem(status, code, message) }
}

/// Carries a delivery out once more: all of it as the route says now, or exactly these entries. Gives the new delivery's sequence. Waits for
/// the disk.
typealias Redeliverer = @Sendable (UInt64, [PlanEntry]?) -> Result<UInt64, RedeliveryRefusal>

final class RedeliveryJobs: Sendable {
    static let deliveriesMax = 10_000
    static let ratesPerSecond = 1...1000
    private static let jobsMax = 16
    /// Refusals that are told of one job.
    private static let toldMax = 100

    struct Job: Sendable {
        var id: UInt64
        var begun: UInt64
        var rate: Int
        var sequences: [UInt64]
        var target: String?
        var done = 0
        var redelivered: [UInt64] = []
        var refused: [(sequence: UInt64, refusal: RedeliveryRefusal)] = []
        var refusedCount = 0
        var isEnded = false

        var json: JSONValue {
            [
                "id": .string("\(id)"), "begun": .string(APITime.text(begun)), "rate": .number("\(rate)"),
                "count": .number("\(sequences.count)"), "done": .number("\(done)"),
                "state": .string(isEnded ? "ended" : "running"),
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
        var isStopping = false
    }

    private let state = Mutex(State())
    private let redeliver: Redeliverer

    init(_ redeliver: @escaping Redeliverer) { self.redeliver = redeliver }

    /// nil: another job runs. `entries` gives what of a delivery's plan is meant (nil: all, as the route says now).
    func begin(
        _ sequences: [UInt64], rate: Int, target: String?,
        entries: @escaping @Sendable (UInt64) -> Result<[PlanEntry]?, RedeliveryRefusal>
    ) -> Job? {
        let job: Job? = state.withLock { state in
            guard !state.isStopping, state.jobs.allSatisfy(\.isEnded) else { return nil }
            let job = Job(id: state.nextID, begun: cl_now_realtime(), rate: rate, sequences: sequences, target: target)
            state.nextID += 1
            state.jobs.append(job)
            if state.jobs.count > Self.jobsMax { state.jobs.removeFirst() }
            return job
        }
        guard let job else { return nil }
        NamedThread.start("redeliveries") { self.run(job, entries) }
        return job
    }

    private func run(_ job: Job, _ entries: (UInt64) -> Result<[PlanEntry]?, RedeliveryRefusal>) {
        let begin = cl_now_monotonic()
        for (index, sequence) in job.sequences.enumerated() {
            let due = begin + UInt64(index) * 1_000_000_000 / UInt64(job.rate)
            while cl_now_monotonic() < due, !isStopping {
                usleep(UInt32(min(50_000, (due - min(due, cl_now_monotonic())) / 1000 + 1)))
            }
            if isStopping { break }
            let result = entries(sequence).flatMap { redeliver(sequence, $0) }
            change(job.id) { job in
                job.done += 1
                switch result {
                case .success(let new): if job.redelivered.count < Self.toldMax { job.redelivered.append(new) }
                case .failure(let refusal):
                    job.refusedCount += 1
                    if job.refused.count < Self.toldMax { job.refused.append((sequence, refusal)) }
                }
            }
        }
        change(job.id) { $0.isEnded = true }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func change(_ id: UInt64, _ change: (inout Job) -> Void) {
        state.withLock { state in
            guard let index = state.jobs.firstIndex(where: { $0.id == id }) else { return }
            change(&state.jobs[index])
        }
    }

    func stop() { state.withLock { $0.isStopping = true } }

    var list: AdminAnswer { .json(["redeliveries": .array(state.withLock { $0.jobs.reversed().map(\.json) })]) }

    func answer(_ id: String) -> AdminAnswer {
        guard let job = state.withLock({ $0.jobs.first { "\($0.id)" == id } }) else {
            return .problem(.notFound, "redelivery-unknown", "there is no such redelivery, or it was long ago")
        }
        return .json(job.json)
    }
}
