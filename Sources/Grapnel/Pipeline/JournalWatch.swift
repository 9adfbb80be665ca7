// JournalWatch: looks every two seconds whether the files of the log's segments are there.
//
//   directory ──look──> segments without a file ──mailbox──> the desk's owner: what is owed there, and on to the next segment
//                               │                                     │
//                               └── log, /readyz, /api/v1/journal <───┘
//
// A file that an operator deletes or moves takes nothing from who has it open, so that without this nobody would know before a restart. A
// thread of its own, since directories may take long to list.

internal import CLinuxIO
internal import Journal
internal import Logging
internal import Synchronization

/// What the journal's owner is asked about a segment that has no file, or has it again.
final class LostQuestion: Sendable {
    let segment: UInt64
    let isBack: Bool
    /// From the owner's thread. nil: the segment is not part of the log any more, or the journal is closed.
    let answer: @Sendable (LostSegment?) -> Void

    init(_ segment: UInt64, isBack: Bool = false, answer: @escaping @Sendable (LostSegment?) -> Void) {
        self.segment = segment
        self.isBack = isBack
        self.answer = answer
    }
}

/// Safe from any thread.
final class JournalWatch: Sendable {
    struct Lost: Sendable, Equatable {
        var segment: UInt64
        /// Sequences that were recorded there first; `through` 0: none.
        var from: UInt64
        var through: UInt64
        /// Deliveries that waited for their actions when that was noticed, or when the segment was left.
        var owed: Int
        /// When it was noticed; nanoseconds since 1970.
        var seen: UInt64
        /// It was being written, and is not left yet.
        var isCurrent: Bool
    }

    static let lookMilliseconds = 2_000
    /// What /readyz names.
    private static let linesMax = 20

    private let reader: JournalReader
    private let durableSequence: @Sendable () -> UInt64
    private let post: @Sendable (Housekeeping) -> Void
    private let logger: Logger
    private let known = Mutex<[UInt64: Lost]>([:])
    private let isStopping = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)

    /// `post` leaves something for the journal's owner.
    init(
        reader: JournalReader, durableSequence: @escaping @Sendable () -> UInt64, logger: Logger,
        post: @escaping @Sendable (Housekeeping) -> Void
    ) {
        self.reader = reader
        self.durableSequence = durableSequence
        self.post = post
        self.logger = logger
    }

    func start() { NamedThread.start("journal-watch") { self.run() } }

    func stop() { isStopping.store(true, ordering: .releasing) }

    private func run() {
        var left = Self.lookMilliseconds
        while !isStopping.load(ordering: .acquiring) {
            usleep(50_000)
            left -= 50
            guard left <= 0 else { continue }
            look()
            left = Self.lookMilliseconds
        }
        hasEnded.store(true, ordering: .releasing)
    }

    /// Oldest first.
    var lost: [Lost] { known.withLock { $0.values.sorted { $0.segment < $1.segment } } }

    /// What /readyz says of it: the server goes on.
    var lines: [String] {
        let lost = lost
        var lines = lost.prefix(Self.linesMax).map {
            "journal: the file of segment \($0.segment) (sequences \($0.from) to \($0.through), \($0.owed) owed) is gone from the disk"
        }
        if lost.count > lines.count { lines.append("journal: and \(lost.count - lines.count) more") }
        return lines
    }

    /// One look.
    func look() {
        // Who reads or writes tells of a disk that cannot be listed.
        guard let now = try? reader.lostSegments() else { return }
        let numbers = Set(now.map(\.number))
        let before = known.withLock { $0 }
        for segment in now where before[segment.number]?.isCurrent ?? true {
            post(.lost(LostQuestion(segment.number) { [self] found in if let found { note(found, segment) } }))
        }
        for lost in before.values where !numbers.contains(lost.segment) { forget(lost) }
    }

    private func note(_ found: LostSegment, _ span: SegmentSpan) {
        let through = span.lastSequence ?? durableSequence()
        let lost = Lost(
            segment: found.number, from: span.baseSequence, through: max(through, found.lastOwed),
            owed: found.owedCount, seen: cl_now_realtime(), isCurrent: found.isCurrent)
        let before = known.withLock { known in
            defer { known[found.number] = lost }
            return known[found.number]
        }
        // Again when it is left at last: more may have come to it.
        guard before?.isCurrent != true || !found.isCurrent else { return }
        logger.error(
            "the file of a segment of the journal is gone from the disk: what is owed in it is lost with the next restart. Put the file back, or have its deliveries sent again",
            metadata: [
                "segment": "\(lost.segment)", "sequences": "\(lost.from)-\(lost.through)", "owed": "\(lost.owed)",
            ])
    }

    private func forget(_ lost: Lost) {
        known.withLock { $0[lost.segment] = nil }
        guard reader.segments.contains(where: { $0.number == lost.segment }) else {
            logger.notice(
                "a segment of the journal that was lost is not needed any more",
                metadata: ["segment": "\(lost.segment)"])
            return
        }
        logger.notice("the file of a segment of the journal is back", metadata: ["segment": "\(lost.segment)"])
        post(.lost(LostQuestion(lost.segment, isBack: true) { _ in }))
    }
}
