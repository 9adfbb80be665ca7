// ManifestWatcher: tells when something in the manifest directories may have changed.
//
// One thread waits on inotify(7) and on an eventfd that wakes it. Directories are watched, not files: a file's replacement is an
// event of its directory. Every directory above a root is watched for the one name that leads on, so a root may appear,
// vanish and be replaced. What a link points to outside of the tree is watched through its own directory. After each event
// the set of watches is made anew before the callback runs, so what the callback reads is never older than what is watched.
// Events are gathered until 50 ms pass without one (at most 1 s). Where inotify is refused, the tree's file stamps are
// compared every 2 s instead.

import CLinuxIO
import Glibc
import Synchronization

public final class ManifestWatcher: Sendable {
    public enum Method: Sendable {
        /// inotify; polling where the kernel refuses it.
        case automatic
        case polling
    }

    private let wake: Int32
    private let isStopping = Atomic<Bool>(false)
    private let isTriggered = Atomic<Bool>(false)
    private let polls = Atomic<Bool>(false)
    private let thread = Mutex<pthread_t?>(nil)

    /// Whether changes are found by comparing (up to 2 s late) instead of by events.
    public var isPolling: Bool { polls.load(ordering: .relaxed) }

    /// Starts watching: changes from now on are seen. `onChange` runs on the watcher's thread, one call at a time.
    public init(
        directories: [String], method: Method = .automatic, onChange: @escaping @Sendable () -> Void
    ) {
        wake = cl_eventfd()
        precondition(wake >= 0, "eventfd refused: \(wake)")
        let loop = WatchLoop(directories: directories, method: method, wake: wake)
        polls.store(loop.isPolling, ordering: .relaxed)
        let body = ThreadBody { [self] in run(loop, onChange) }
        var created = pthread_t()
        // Sound: the retained body is taken over by the thread, which runs it exactly once.
        let result = unsafe pthread_create(
            &created, nil,
            { argument in
                unsafe Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(body).toOpaque())
        precondition(result == 0, "pthread_create refused: \(result)")
        thread.withLock { $0 = created }
    }

    /// Calls back soon, as if something had changed (SIGHUP). From any thread.
    public func trigger() {
        // Under the lock: a stopped watcher's descriptor may be somebody else's by now.
        thread.withLock { running in
            guard running != nil else { return }
            isTriggered.store(true, ordering: .releasing)
            _ = cl_eventfd_signal(wake)
        }
    }

    /// Ends the thread; no callback runs after the return. Not from within the callback. Calling it again does nothing.
    public func stop() {
        guard let running = thread.withLock({ $0.take() }) else { return }
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wake)
        _ = pthread_join(running, nil)
        _ = cl_close(wake)
    }

    private func run(_ loop: consuming WatchLoop, _ onChange: () -> Void) {
        _ = unsafe cl_set_thread_name("manifests")
        while true {
            let isChanged = loop.waitForChange()
            polls.store(loop.isPolling, ordering: .relaxed)
            if isStopping.load(ordering: .acquiring) { return }
            let isAsked = isTriggered.exchange(false, ordering: .acquiringAndReleasing)
            if isChanged || isAsked { onChange() }
        }
    }
}

/// What a new thread runs.
private final class ThreadBody: Sendable {
    private let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    func run() { body() }
}
