// FilterCache: compiled filters by their text, kept from one compilation of the catalog to the next.
//
// Compiling is the dearest part of a route. Teams share filters, and most stay as they are when one object changes.

import Delivery
import Synchronization

/// Safe from any thread; compilations that share one should not run at the same time, since each sweeps out what it did not use.
public final class FilterCache: Sendable {
    private struct Entry {
        let result: Result<Filter, FilterError>
        var isUsed: Bool
    }

    private let entries = Mutex<[String: Entry]>([:])

    public init() {}

    func filter(_ text: String, hasClaims: Bool) throws(FilterError) -> Filter {
        let key = (hasClaims ? "claims " : "plain ") + text
        let known = entries.withLock { entries -> Result<Filter, FilterError>? in
            entries[key]?.isUsed = true
            return entries[key]?.result
        }
        if let known { return try known.get() }
        let made = Result { () throws(FilterError) in try Filter(text, hasClaims: hasClaims) }
        entries.withLock { $0[key] = Entry(result: made, isUsed: true) }
        return try made.get()
    }

    /// Forgets what was not used since the last call.
    func sweep() {
        entries.withLock { entries in
            entries = entries.compactMapValues { $0.isUsed ? Entry(result: $0.result, isUsed: false) : nil }
        }
    }
}
