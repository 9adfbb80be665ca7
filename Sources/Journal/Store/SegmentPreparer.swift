// SegmentPreparer: runs one preparation at a time, while the writer fills its segment.
//
// The writer asks for a job and fetches its result. In production a thread of its own runs the job: job and result pass
// through a mutex, and a byte through a pipe says that one is there, so each side can sleep. A byte is written after
// the mailbox is filled and read before it is emptied: none can be missed. In tests a job runs in the caller.

import Glibc
import Synchronization

/// Used by the thread that owns the writer.
final class SegmentPreparer: Sendable {
    private let preparation: SegmentPreparation
    private let mailbox: PreparationMailbox
    private let thread: pthread_t?

    init(preparation: SegmentPreparation, inBackground: Bool) {
        self.preparation = preparation
        mailbox = PreparationMailbox()
        thread = inBackground && mailbox.openPipes() ? Self.makeThread(preparation, mailbox) : nil
    }

    /// A job was started and its result not fetched.
    var isBusy: Bool { mailbox.state.withLock { $0.isBusy } }

    /// Starts a job; there must be none.
    func start(_ job: PreparationJob) {
        mailbox.state.withLock { state in
            precondition(!state.isBusy, "one preparation at a time")
            state.isBusy = true
            state.job = job
        }
        guard thread == nil else {
            mailbox.wake.send()
            return
        }
        let result = preparation.run(job)
        mailbox.state.withLock { $0.result = result }
    }

    /// The result of the job, if it has ended.
    func poll() -> PreparationResult? {
        guard mailbox.state.withLock({ $0.result != nil }) else { return nil }
        return wait()
    }

    /// The result of the job; sleeps until it has ended. There must be a job.
    func wait() -> PreparationResult {
        precondition(isBusy, "nothing to wait for")
        if thread != nil { mailbox.done.receive() }
        return mailbox.state.withLock { state in
            defer { state = PreparationMailbox.State() }
            return state.result!
        }
    }

    /// Ends the thread after the job it is at. Must come last.
    func stop() {
        guard let thread else { return }
        mailbox.state.withLock { $0.isStopping = true }
        mailbox.wake.send()
        _ = pthread_join(thread, nil)
        mailbox.closePipes()
    }

    private static func makeThread(_ preparation: SegmentPreparation, _ mailbox: PreparationMailbox) -> pthread_t? {
        let worker = PreparationWorker(preparation: preparation, mailbox: mailbox)
        var thread = pthread_t()
        let retained = unsafe Unmanaged.passRetained(worker)
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                // Takes over the reference that `passRetained` made.
                let worker = unsafe Unmanaged<PreparationWorker>.fromOpaque(argument!).takeRetainedValue()
                worker.run()
                return nil
            }, retained.toOpaque())
        guard code == 0 else {
            // Too many threads: jobs run in the caller.
            unsafe retained.release()
            mailbox.closePipes()
            return nil
        }
        return thread
    }
}

private final class PreparationWorker: Sendable {
    private let preparation: SegmentPreparation
    private let mailbox: PreparationMailbox

    init(preparation: SegmentPreparation, mailbox: PreparationMailbox) {
        self.preparation = preparation
        self.mailbox = mailbox
    }

    func run() {
        while true {
            mailbox.wake.receive()
            let (job, isStopping) = mailbox.state.withLock { state in
                defer { state.job = nil }
                return (state.job, state.isStopping)
            }
            if let job {
                let result = preparation.run(job)
                mailbox.state.withLock { $0.result = result }
                mailbox.done.send()
            }
            if isStopping { return }
        }
    }
}

private final class PreparationMailbox: Sendable {
    struct State {
        var job: PreparationJob?
        var result: PreparationResult?
        var isBusy = false
        var isStopping = false
    }

    /// A pipe that carries bytes without meaning.
    struct Signal {
        // -1: closed.
        private(set) var reading: Int32 = -1
        private(set) var writing: Int32 = -1

        mutating func open() -> Bool {
            var ends: [Int32] = [-1, -1]
            guard unsafe pipe(&ends) == 0 else { return false }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            reading = ends[0]
            writing = ends[1]
            return true
        }

        mutating func close() {
            if reading >= 0 { _ = Glibc.close(reading) }
            if writing >= 0 { _ = Glibc.close(writing) }
            reading = -1
            writing = -1
        }

        func send() {
            var byte: UInt8 = 1
            while unsafe write(writing, &byte, 1) < 0, errno == EINTR {}
        }

        func receive() {
            var byte: UInt8 = 0
            while unsafe read(reading, &byte, 1) < 0, errno == EINTR {}
        }
    }

    let state = Mutex(State())
    private let signals = Mutex((wake: Signal(), done: Signal()))

    // Copies of the descriptors; the lock is not held while a byte is waited for.
    var wake: Signal { signals.withLock { $0.wake } }
    var done: Signal { signals.withLock { $0.done } }

    func openPipes() -> Bool {
        let isOpen = signals.withLock { $0.wake.open() && $0.done.open() }
        if !isOpen { closePipes() }
        return isOpen
    }

    func closePipes() {
        signals.withLock { signals in
            signals.wake.close()
            signals.done.close()
        }
    }
}
