// TLSKeeper: keeps the TLS listeners' certificate current while the server runs.
//
// A thread looks at the files every two seconds, and at once on SIGHUP. Changed files are read whole and, if they are good, used for new
// handshakes; open connections keep what they began with. Bad ones are reported and the old certificate stays. Certificate and
// key are rarely replaced in the same instant, so a pair that does not fit gets a second look before it is reported.
// Ticket keys turn over with the context, every twelve hours at the latest.

internal import CLinuxIO
internal import EventLoop
internal import Foundation
internal import Logging
internal import Metrics
internal import Synchronization

/// What to do at one look at the files. A value: identities and time are handed in.
struct TLSFileWatch {
    enum Step: Equatable { case nothing, load, renewTickets }

    /// Files that are in use, and files that could not be.
    private var used: [TLSFiles.Identity]
    private var suspected: [TLSFiles.Identity]?
    private var reported: [TLSFiles.Identity]?
    private var madeAt: UInt64

    /// Nanoseconds of a steady clock.
    static let ticketNanoseconds = UInt64(TLSContext.ticketSeconds) * 1_000_000_000

    init(used: [TLSFiles.Identity], now: UInt64) {
        self.used = used
        madeAt = now
    }

    func step(_ found: [TLSFiles.Identity], now: UInt64, isAsked: Bool) -> Step {
        if isAsked || (found != used && found != reported) { return .load }
        return now - madeAt >= Self.ticketNanoseconds ? .renewTickets : .nothing
    }

    mutating func didLoad(_ found: [TLSFiles.Identity], now: UInt64) {
        self = TLSFileWatch(used: found, now: now)
    }

    mutating func didRenew(now: UInt64) { madeAt = now }

    /// The files are bad. True when that is to be reported: at the second look at the same files, or when somebody asked.
    mutating func didFail(_ found: [TLSFiles.Identity], isAsked: Bool) -> Bool {
        if isAsked || suspected == found {
            reported = found
            return true
        }
        suspected = found
        return false
    }
}

/// How long the certificate is still good. In the order of concern.
enum TLSValidity: Equatable {
    case good
    case notYet
    case expiresSoon
    case expired

    static let warningSeconds: Int64 = 14 * 86_400

    /// Unix seconds.
    init(notBefore: Int64, notAfter: Int64, now: Int64) {
        if now >= notAfter {
            self = .expired
        } else if now < notBefore {
            self = .notYet
        } else {
            self = notAfter - now <= Self.warningSeconds ? .expiresSoon : .good
        }
    }
}

/// Certificate, counts and the thread that watches the files. Stopped once.
final class TLSKeeper: Sendable {
    private static let lookMilliseconds: Int32 = 2_000
    private static let repeatNanoseconds: UInt64 = 86_400 * 1_000_000_000

    private struct State {
        var watch: TLSFileWatch
        var validity = TLSValidity.good
        var warnedAt: UInt64 = 0
    }

    let source: TLSContextSource
    /// By loop.
    let counts: [TLSHandshakeCounts]
    let reloads = Counter()
    let failures = Counter()
    private let files: TLSFiles
    private let logger: Logger
    private let state: Mutex<State>
    private let wakeup: Int32
    private let isAsked = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)

    /// Reads the files; bad ones are an error that names the file.
    init(_ files: TLSFiles, loops: Int, _ logger: Logger) throws(CommandFailure) {
        let identities = files.identities
        source = TLSContextSource(try files.load())
        counts = (0..<loops).map { _ in TLSHandshakeCounts() }
        self.files = files
        self.logger = logger
        state = Mutex(State(watch: TLSFileWatch(used: identities, now: cl_now_monotonic())))
        wakeup = cl_eventfd()
        guard wakeup >= 0 else {
            throw .environment("no file descriptor left. Raise the limit of open files (ulimit -n).")
        }
    }

    deinit { _ = cl_close(wakeup) }

    func start() {
        judgeValidity()
        NamedThread.start("tls-files") { [self] in
            while !isStopping.load(ordering: .acquiring) {
                NamedThread.wait(on: wakeup, milliseconds: Self.lookMilliseconds)
                if isStopping.load(ordering: .acquiring) { break }
                look(isAsked: isAsked.exchange(false, ordering: .acquiringAndReleasing))
            }
        }
    }

    /// From any thread: the files are read again soon, changed or not.
    func lookNow() {
        isAsked.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    func stop() {
        isStopping.store(true, ordering: .releasing)
        _ = cl_eventfd_signal(wakeup)
    }

    private func look(isAsked: Bool) {
        // Before they are read: what changes meanwhile is seen at the next look.
        let found = files.identities
        let now = cl_now_monotonic()
        switch state.withLock({ $0.watch.step(found, now: now, isAsked: isAsked) }) {
        case .nothing: break
        case .renewTickets:
            guard let renewed = source.context.renewed() else { break }
            source.replace(renewed)
            state.withLock { $0.watch.didRenew(now: now) }
        case .load: load(found, now, isAsked)
        }
        judgeValidity()
    }

    private func load(_ found: [TLSFiles.Identity], _ now: UInt64, _ isAsked: Bool) {
        do {
            let context = try files.load()
            source.replace(context)
            state.withLock { state in
                state.watch.didLoad(found, now: now)
                state.validity = .good
            }
            reloads.add()
            logger.info(
                "TLS certificate read again",
                metadata: ["file": "\(files.certificate)", "expires": "\(Self.date(context.notAfter))"])
        } catch {
            let isReported = state.withLock { $0.watch.didFail(found, isAsked: isAsked) }
            guard isReported else { return }
            failures.add()
            logger.error(
                "the new TLS files cannot be used: the old certificate stays", metadata: ["problem": "\(error)"])
        }
    }

    /// Says once a day, and when it changes, that the certificate is not good or not for long.
    private func judgeValidity() {
        let context = source.context
        let found = TLSValidity(
            notBefore: context.notBefore, notAfter: context.notAfter, now: Int64(cl_now_realtime() / 1_000_000_000))
        let now = cl_now_monotonic()
        let isDue = state.withLock { state in
            let isDue = found != .good && (found != state.validity || now - state.warnedAt >= Self.repeatNanoseconds)
            state.validity = found
            if isDue { state.warnedAt = now }
            return isDue
        }
        guard isDue else { return }
        let fields: Logger.Metadata = ["file": "\(files.certificate)", "expires": "\(Self.date(context.notAfter))"]
        switch found {
        case .good: break
        case .notYet:
            logger.warning(
                "the TLS certificate is not valid yet: senders refuse it; check the clock, or give another",
                metadata: ["file": "\(files.certificate)", "begins": "\(Self.date(context.notBefore))"])
        case .expiresSoon:
            logger.warning("the TLS certificate expires soon: replace the file, no restart is needed", metadata: fields)
        case .expired:
            logger.error(
                "the TLS certificate has expired: senders refuse it; replace the file, no restart is needed",
                metadata: fields)
        }
    }

    /// As log lines have it: `2027-03-01T12:00:00Z`.
    private static func date(_ unixSeconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(unixSeconds)).formatted(.iso8601)
    }
}
