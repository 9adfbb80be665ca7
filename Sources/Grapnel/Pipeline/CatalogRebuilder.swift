// CatalogRebuilder: gathers changes of the catalog's sources and rebuilds the route table on a thread of its own.
//
// A change is in force within a second; a burst of thousands costs a few rebuilds, and never more than a quarter of one core.

internal import CLinuxIO
internal import Glibc
internal import Synchronization

final class CatalogRebuilder: Sendable {
    private struct State {
        var isDirty = false
        var isStopped = false
    }

    private let state = Mutex(State())
    private let wakeup: Int32
    private let rebuild: @Sendable () -> Void
    private let tidy: @Sendable () -> Bool
    /// Whether the sources are whole enough now; asked again shortly when not.
    private let isReady: @Sendable () -> Bool

    /// Changes that come within this time are one.
    private static let gatheringMicroseconds: UInt32 = 30_000
    /// Those who deliver go first, on a machine that is busy too; a quarter of a core is enough for a second's promise.
    static let niceness: Int32 = 5
    /// A change is not held back for longer, whatever is still being read.
    private static let heldNanosecondsMax: UInt64 = 2_000_000_000

    /// `tidy` is called before each rebuild and every second, and lets go what nobody uses any more; true when there was something. nil
    /// without a free file descriptor.
    init?(
        isReady: @escaping @Sendable () -> Bool, tidy: @escaping @Sendable () -> Bool,
        rebuild: @escaping @Sendable () -> Void
    ) {
        let descriptor = cl_eventfd()
        guard descriptor >= 0 else { return nil }
        wakeup = descriptor
        self.isReady = isReady
        self.tidy = tidy
        self.rebuild = rebuild
    }

    deinit { _ = cl_close(wakeup) }

    /// From any thread.
    func changed() {
        let isFirst = state.withLock { state in
            defer { state.isDirty = true }
            return !state.isDirty
        }
        if isFirst { _ = cl_eventfd_signal(wakeup) }
    }

    func start() { NamedThread.start("catalog", stackBytes: 8 << 20, niceness: Self.niceness) { self.run() } }

    func stop() {
        state.withLock { $0.isStopped = true }
        _ = cl_eventfd_signal(wakeup)
    }

    /// Two tables lived side by side for a moment; what the old one held goes back to the system (malloc_trim(3)).
    private func giveBackMemory() { _ = cl_trim_memory() }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func run() {
        var hasStarted = false
        while !isStopped {
            NamedThread.wait(on: wakeup, milliseconds: 1_000)
            let hasLetGo = tidy()
            guard state.withLock({ $0.isDirty }) else {
                // A start reads the whole journal: what that took goes back as well.
                if hasLetGo || !hasStarted { giveBackMemory() }
                hasStarted = true
                continue
            }
            let since = cl_now_monotonic()
            repeat {
                usleep(Self.gatheringMicroseconds)
            } while !isStopped && !isReady() && cl_now_monotonic() - since < Self.heldNanosecondsMax
            guard !isStopped else { return }
            state.withLock { $0.isDirty = false }
            let started = cl_now_monotonic()
            rebuild()
            let spent = cl_now_monotonic() - started
            giveBackMemory()
            usleep(UInt32(min(3 * spent, 250_000_000) / 1_000))
        }
    }
}
