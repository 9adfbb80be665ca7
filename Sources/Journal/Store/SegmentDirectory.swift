// SegmentDirectory: what readers need to know about the log, kept by the writer.
//
// Written by the writer's thread when a segment begins, ends or goes, and when a record is copied forward; read by
// workers. All of that is rare, so a mutex is cheap.

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

    func move(_ sequence: UInt64, to location: RecordLocation) {
        state.withLock { $0.moved[sequence] = location }
    }

    func forgetMove(_ sequence: UInt64) {
        state.withLock { state in
            guard !state.moved.isEmpty else { return }
            state.moved[sequence] = nil
        }
    }

    func movedLocation(of sequence: UInt64) -> RecordLocation? {
        state.withLock { $0.moved[sequence] }
    }
}
