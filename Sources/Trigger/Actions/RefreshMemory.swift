// RefreshMemory: which object was last patched for which digest of an image, and when.
//
// A registry says the same thing several times (per repository name, per retry, per endpoint), and each patch makes kpack read the
// registry again. Only what succeeded is remembered, and of each object and image the last digest alone: a tag that moves back is
// news. In memory only: after a restart an object is patched once more than needed. Full, the oldest entries go.
//
// Threads: any.

import Delivery
import Synchronization

final class RefreshMemory: Sendable {
    private struct Key: Hashable {
        let target: TargetReference
        let image: String
        let forcesBuild: Bool
    }

    private struct Entry {
        let digest: String
        /// Nanoseconds, of the clock that is passed in.
        let patchedAt: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// In the order of the patches; keys that were patched again stand in it more than once.
        var order: [(key: Key, patchedAt: UInt64)] = []
    }

    static let entriesMax = 8_192

    /// How long a patch counts; 0: nothing is remembered.
    private let windowNanoseconds: UInt64
    private let state = Mutex(State())

    init(windowNanoseconds: UInt64) { self.windowNanoseconds = windowNanoseconds }

    var count: Int { state.withLock { $0.entries.count } }

    /// Whether the object was patched for just this digest within the window, and for no other since.
    func holds(_ target: TargetReference, _ image: String, forcesBuild: Bool, _ digest: String, now: UInt64) -> Bool {
        let key = Key(target: target, image: image, forcesBuild: forcesBuild)
        return state.withLock { state in
            guard let entry = state.entries[key], entry.digest == digest else { return false }
            return now >= entry.patchedAt && now - entry.patchedAt < windowNanoseconds
        }
    }

    /// A patch succeeded. `digest` nil: nobody knows for what, so what was known before counts no more.
    func note(_ target: TargetReference, _ image: String, forcesBuild: Bool, _ digest: String?, now: UInt64) {
        guard windowNanoseconds > 0 else { return }
        let key = Key(target: target, image: image, forcesBuild: forcesBuild)
        state.withLock { state in
            guard let digest else {
                state.entries[key] = nil
                return
            }
            state.entries[key] = Entry(digest: digest, patchedAt: now)
            state.order.append((key, now))
            guard state.order.count > Self.entriesMax else { return }
            // Half at once, so that making room costs little for each.
            for old in state.order.prefix(Self.entriesMax / 2) where state.entries[old.key]?.patchedAt == old.patchedAt
            {
                state.entries[old.key] = nil
            }
            state.order.removeFirst(Self.entriesMax / 2)
        }
    }
}
