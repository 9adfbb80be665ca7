// RefusalReporter: refused deliveries as log lines, few enough to read whatever is sent.
//
// The first refusal of a route for a cause is logged within a second; while it goes on there is a line every ten seconds with the
// number since the last one. What comes to no known receiver is in the metrics only: the internet sends that all day.

internal import CLinuxIO
internal import Delivery
internal import Logging
internal import Synchronization

/// Decides which refusals are worth a line now. A value: time is handed in.
struct RefusalDigest {
    struct Key: Hashable {
        let route: RouteIdentity
        let cause: VerifyCause
    }

    struct Line: Equatable {
        let key: Key
        let count: UInt64
    }

    private struct Account {
        var loggedAt: UInt64
        var waiting: UInt64
    }

    static let intervalNanoseconds: UInt64 = 10_000_000_000
    /// Accounts kept; beyond, only those that are known go on having lines.
    static let accountsMax = 4096

    private var accounts: [Key: Account] = [:]

    /// Takes what was noted and gives the lines that are due at `now` (nanoseconds of any steady clock), the most frequent first.
    mutating func lines(_ noted: [Key: UInt64], now: UInt64) -> [Line] {
        for (key, count) in noted {
            if accounts[key] != nil {
                accounts[key]?.waiting += count
            } else if accounts.count < Self.accountsMax {
                accounts[key] = Account(loggedAt: 0, waiting: count)
            }
        }
        var due: [Line] = []
        for (key, account) in accounts where account.loggedAt == 0 || now - account.loggedAt >= Self.intervalNanoseconds
        {
            guard account.waiting > 0 else {
                accounts[key] = nil
                continue
            }
            due.append(Line(key: key, count: account.waiting))
            accounts[key] = Account(loggedAt: max(now, 1), waiting: 0)
        }
        return due.sorted { ($1.count, "\($0.key.route)") < ($0.count, "\($1.key.route)") }
    }

    /// Everything that still waits, at the end.
    mutating func rest() -> [Line] {
        defer { accounts = [:] }
        return accounts.filter { $0.value.waiting > 0 }.map { Line(key: $0.key, count: $0.value.waiting) }
    }
}

/// Asks the loops once a second and logs. Stopped once, from the thread that made it.
final class RefusalReporter: Sendable {
    private let tallies: [RefusalTally]
    /// The last ones of each route.
    let requests = RefusedRequests()
    private let counts: RouteCounts
    private let logger: Logger
    private let digest = Mutex(RefusalDigest())
    private let ticks = Mutex<Task<Void, Never>?>(nil)

    init(_ tallies: [RefusalTally], _ counts: RouteCounts, _ logger: Logger) {
        self.counts = counts
        self.tallies = tallies
        self.logger = logger
        let task = Task.detached { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1), tolerance: .milliseconds(100))
                self?.report()
            }
        }
        ticks.withLock { $0 = task }
    }

    func stop() {
        ticks.withLock { $0?.cancel() }
        report()
        for line in digest.withLock({ $0.rest() }) { log(line) }
    }

    private func report() {
        var noted: [RefusalDigest.Key: UInt64] = [:]
        for tally in tallies {
            let taken = tally.take()
            for entry in taken.entries {
                let key = RefusalDigest.Key(route: entry.table.definitions[entry.route].identity, cause: entry.cause)
                noted[key, default: 0] += entry.count
                counts.change(key.route) { $0.refused += entry.count }
            }
            for (route, request) in taken.requests { requests.note(request, of: route) }
        }
        for line in digest.withLock({ $0.lines(noted, now: cl_now_monotonic()) }) { log(line) }
    }

    private func log(_ line: RefusalDigest.Line) {
        logger.warning(
            "deliveries refused",
            metadata: [
                "route": "\(line.key.route)", "reason": "\(line.key.cause.name)", "count": "\(line.count)",
                "hint": "\(line.key.cause.hint)",
            ])
    }
}
