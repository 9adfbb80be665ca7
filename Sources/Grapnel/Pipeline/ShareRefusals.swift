// ShareRefusals: namespaces whose deliveries are answered 503 because what they owe fills their share of the journal.
//
// The server is ready and everybody else's deliveries are taken, so nothing else tells of it: a line in the log for each such
// namespace, again every ten seconds while it goes on, and the list in /api/v1/journal.

internal import Synchronization

/// Noted by the journal's owner, asked from any thread.
final class ShareRefusals: Sendable {
    struct Namespace: Hashable, Sendable {
        var cluster: String
        var name: String
    }

    struct Entry: Sendable, Equatable {
        var namespace: Namespace
        /// Since it was over its share first; forgotten a minute after the last.
        var count: UInt64
        /// Nanoseconds since 1970.
        var last: UInt64
    }

    /// A line of the log that is due.
    struct Line: Sendable, Equatable {
        var namespace: Namespace
        /// Since the last line.
        var count: UInt64
    }

    /// Further ones are in the metrics alone.
    static let namespacesMax = 1_000
    static let lineNanoseconds: UInt64 = 10_000_000_000
    static let keptNanoseconds: UInt64 = 60_000_000_000

    private struct Account {
        var entry: Entry
        var loggedAt: UInt64 = 0
        var unlogged: UInt64 = 0
    }

    private let accounts = Mutex<[Namespace: Account]>([:])

    /// `now`: nanoseconds since 1970. Gives the line that is due.
    func note(_ namespace: Namespace, now: UInt64) -> Line? {
        accounts.withLock { accounts in
            if accounts[namespace] == nil {
                accounts = accounts.filter { Self.isRecent($0.value.entry, now) }
                guard accounts.count < Self.namespacesMax else { return nil }
            }
            var account = accounts[namespace] ?? Account(entry: Entry(namespace: namespace, count: 0, last: now))
            account.entry.count += 1
            account.entry.last = now
            account.unlogged += 1
            defer { accounts[namespace] = account }
            // A clock that was set back makes a line too.
            let isDue =
                account.loggedAt == 0 || now < account.loggedAt || now - account.loggedAt >= Self.lineNanoseconds
            guard isDue else { return nil }
            defer {
                account.loggedAt = now
                account.unlogged = 0
            }
            return Line(namespace: namespace, count: account.unlogged)
        }
    }

    /// Those of the last minute, the latest first.
    func recent(now: UInt64) -> [Entry] {
        accounts.withLock { $0.values.map(\.entry) }.filter { Self.isRecent($0, now) }
            .sorted { ($0.last, $1.namespace.name) > ($1.last, $0.namespace.name) }
    }

    private static func isRecent(_ entry: Entry, _ now: UInt64) -> Bool { now < entry.last &+ keptNanoseconds }
}
