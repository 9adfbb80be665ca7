// WatchExecutor: one thread for everything that reads and keeps the objects of clusters. A storm of changes takes one core at most, and that
// with a lower priority than those who answer deliveries; on the shared pool it would take all.
//
//   any thread ── enqueue ──> jobs ── eventfd ──> "watch": takes all that waits, runs it in order
//
// No wakeup is lost: the descriptor is signalled after a job was put into an empty list, and the thread clears it before it takes the list.

internal import CLinuxIO
internal import Synchronization

/// Jobs run in the order in which they came. Lives as long as the process.
final class WatchExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])
    private let wakeup: Int32

    /// nil without a free file descriptor.
    init?() {
        let descriptor = cl_eventfd()
        guard descriptor >= 0 else { return nil }
        wakeup = descriptor
    }

    func start() {
        NamedThread.start("watch", stackBytes: 8 << 20, niceness: CatalogRebuilder.niceness) { self.run() }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = jobs.withLock { jobs in
            jobs.append(job)
            return jobs.count == 1
        }
        if isFirst { _ = cl_eventfd_signal(wakeup) }
    }

    private func run() {
        // Sound: the executor lives as long as the process, and each job is run once.
        let executor = unsafe asUnownedTaskExecutor()
        while true {
            NamedThread.wait(on: wakeup, milliseconds: 60_000)
            let taken = jobs.withLock { jobs in
                defer { jobs = [] }
                return jobs
            }
            for job in taken { unsafe job.runSynchronously(on: executor) }
        }
    }
}
