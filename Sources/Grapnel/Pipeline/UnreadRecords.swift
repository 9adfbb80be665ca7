// UnreadRecords: durable deliveries whose records could not be read, until they are read again.
//
// A process that is out of descriptors, or a disk that stumbles, recovers; the records are there. Each waits for itself, longer after each
// failure, so that a sector that is bad for good costs one look a minute and nobody else anything. Pure.

internal import Journal
internal import Trigger

struct UnreadRecords: Sendable {
    struct Entry: Sendable {
        var hint: DeliveryHint
        var tries: Int
        fileprivate var due: UInt64
    }

    /// What is beyond waits for a restart. 56 bytes each.
    static let countMax = 65_536

    private var entries: [Entry] = []
    /// When the first of them is to be read; nil without any.
    private(set) var due: UInt64?

    var isEmpty: Bool { entries.isEmpty }

    /// `tries`: failures before this one. False when there is no room.
    mutating func add(_ hint: DeliveryHint, tries: Int = 0, now: UInt64) -> Bool {
        guard entries.count < Self.countMax else { return false }
        let entry = Entry(hint: hint, tries: tries, due: now &+ RereadDelay.nanoseconds(tries))
        due = min(due ?? .max, entry.due)
        entries.append(entry)
        return true
    }

    /// Takes out those that are to be read now, at most so many, in the order in which they came.
    mutating func takeDue(now: UInt64, max countMax: Int) -> [Entry] {
        guard let due, due <= now else { return [] }
        var taken: [Entry] = []
        entries.removeAll { entry in
            guard entry.due <= now, taken.count < countMax else { return false }
            taken.append(entry)
            return true
        }
        self.due = entries.lazy.map(\.due).min()
        return taken
    }
}
