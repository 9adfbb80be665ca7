// SegmentDirectory: what readers need to know about the log, kept by the writer.
//
// Written by the writer's thread when a segment begins, ends or goes, and when a record is copied forward; read by
// workers. All of that is rare, so a mutex is cheap. How far the log is durable changes with every commit, and is an atomic.

import Synchronization

final class SegmentDirectory: Sendable {
    struct Known: Sendable {
        var number: UInt64
        var baseSequence: UInt64
        /// The last sequence that counts; nil in the segment being written.
        var lastSequence: UInt64?
    }

    private struct State {
        // Oldest first.
        var segments: [Known] = []
        // Owed records that were copied forward, while they are owed.
        var moved: [UInt64: RecordLocation] = [:]
    }

    private let state = Mutex(State())
    // Stored by the writer with release, loaded by readers with acquire: what is at or below it was written before.
    private let durable = Atomic<UInt64>(0)

    /// The last sequence that may be shown to others: what was answered, or could have been.
    var durableThrough: UInt64 {
        get { durable.load(ordering: .acquiring) }
        set { durable.store(newValue, ordering: .releasing) }
    }

    var segments: [Known] { state.withLock { $0.segments } }

    func begin(_ segment: Known) {
        state.withLock { $0.segments.append(segment) }
    }

    /// The segment is complete: nothing above `lastSequence` counts.
    func end(_ number: UInt64, lastSequence: UInt64) {
        state.withLock { state in
            guard let index = state.segments.lastIndex(where: { $0.number == number }) else { return }
            state.segments[index].lastSequence = lastSequence
        }
    }

    /// A segment that was to go stays.
    func restore(_ segment: Known) {
        state.withLock { state in
            let index = state.segments.firstIndex { $0.number > segment.number } ?? state.segments.count
            state.segments.insert(segment, at: index)
        }
    }

    func remove(_ number: UInt64) {
        state.withLock { $0.segments.removeAll { $0.number == number } }
    }

    func contains(_ number: UInt64) -> Bool {
        state.withLock { state in state.segments.contains { $0.number == number } }
    }

    /// The owed records between two sequences that lie elsewhere, ascending.
    func moved(between range: ClosedRange<UInt64>) -> [(sequence: UInt64, location: RecordLocation)] {
        // Copied as one piece, and looked through without the lock: loops wait for it.
        let moved = state.withLock { $0.moved }
        return moved.lazy.filter { range.contains($0.key) }.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    func move(_ sequence: UInt64, to location: RecordLocation) {
        state.withLock { $0.moved[sequence] = location }
    }

    func forgetMove(_ sequence: UInt64) {
        state.withLock { state in
            guard !state.moved.isEmpty else { return }
            state.moved[sequence] = nil
        }
    }

    var movedCount: Int { state.withLock { $0.moved.count } }

    func movedLocation(of sequence: UInt64) -> RecordLocation? {
        state.withLock { $0.moved[sequence] }
    }
}
