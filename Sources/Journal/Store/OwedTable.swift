// OwedTable: the deliveries that wait for a final outcome (owned by the writer).
//
// Open addressing with linear probing over the sequence, at most half full, no object per delivery; an entry is
// removed when its delivery is final. A delivery is final when every index of its plan has a final outcome, when one
// names the whole delivery, or when its plan is empty. Without a plan it stays owed.

@safe struct OwedTable: ~Copyable {
    struct Entry {
        /// 0: an empty place.
        var sequence: UInt64
        var dedupeHash: DedupeHash
        var location: RecordLocation
        /// Bit per plan index below 64.
        fileprivate(set) var finals: UInt64 = 0
        /// Bit per plan index below 64: its last attempt failed.
        fileprivate(set) var failing: UInt64 = 0
        var namespace: UInt32
        /// `noPlan` until the plan is known.
        fileprivate(set) var planCount: UInt16 = Entry.noPlan
        fileprivate(set) var finalCount: UInt16 = 0
        /// The record is a copy: older segments may hold its plan and outcomes, and go before it.
        var isCopied: Bool
        fileprivate var hasDead = false
        /// Something was done or merged, not only ignored.
        fileprivate var hasEffect = false

        static let noPlan: UInt16 = 0xFFFF

        init(
            sequence: UInt64, dedupeHash: DedupeHash, location: RecordLocation, namespace: UInt32,
            isCopied: Bool = false
        ) {
            self.isCopied = isCopied
            self.sequence = sequence
            self.dedupeHash = dedupeHash
            self.location = location
            self.namespace = namespace
        }
    }

    enum Effect {
        /// Not owed (any more), or nothing new.
        case none
        case open(isFailing: Bool)
        /// The entry is gone from the table.
        case final(Entry, Fate)
    }

    enum Fate { case done, ignored, dead }

    // `count <= capacity / 2`; capacity is a power of two.
    private var places: UnsafeMutablePointer<Entry>
    private var capacity: Int
    private(set) var count = 0
    // Final plan indexes from 64 up, which no plan should have.
    private var highFinals: [UInt64: Set<UInt16>] = [:]

    private static let empty = Entry(
        sequence: 0, dedupeHash: .none, location: RecordLocation(segment: 0, offset: 0, length: 0), namespace: 0)

    init(initialCapacity: Int = 4096) {
        var capacity = 16
        while capacity < initialCapacity { capacity *= 2 }
        self.capacity = capacity
        unsafe places = .allocate(capacity: capacity)
        unsafe places.initialize(repeating: Self.empty, count: capacity)
    }

    deinit { unsafe places.deallocate() }

    subscript(sequence: UInt64) -> Entry? {
        guard let place = place(of: sequence) else { return nil }
        return unsafe places[place]
    }

    func contains(_ sequence: UInt64) -> Bool { place(of: sequence) != nil }

    /// `entry.sequence` must not be in the table.
    mutating func insert(_ entry: Entry) {
        if count >= capacity / 2 { grow() }
        place(entry)
        count += 1
    }

    /// Says that the record was copied forward. Returns where it was; nil when it is not owed.
    mutating func move(_ sequence: UInt64, to location: RecordLocation) -> RecordLocation? {
        guard let place = place(of: sequence) else { return nil }
        let old = unsafe places[place].location
        unsafe places[place].location = location
        unsafe places[place].isCopied = true
        return old
    }

    /// A plan became known.
    mutating func setPlan(_ sequence: UInt64, count planCount: Int) -> Effect {
        guard let place = place(of: sequence) else { return .none }
        unsafe places[place].planCount = UInt16(planCount)
        return settle(place)
    }

    mutating func apply(_ outcome: Outcome, to sequence: UInt64, planIndex: UInt16) -> Effect {
        guard let place = place(of: sequence) else { return .none }
        if planIndex == OutcomeEntry.wholeDelivery {
            guard outcome.isFinal else {
                unsafe places[place].failing |= 1 << 63
                return .open(isFailing: true)
            }
            note(outcome, place)
            return finish(place)
        }
        let bit: UInt64 = planIndex < 64 ? 1 << UInt64(planIndex) : 0
        if !outcome.isFinal {
            unsafe places[place].failing |= bit & ~places[place].finals
            return unsafe .open(isFailing: places[place].failing != 0)
        }
        if bit != 0 {
            guard unsafe places[place].finals & bit == 0 else { return .none }
            unsafe places[place].finals |= bit
            unsafe places[place].failing &= ~bit
        } else {
            guard highFinals[sequence, default: []].insert(planIndex).inserted else { return .none }
        }
        note(outcome, place)
        unsafe places[place].finalCount += 1
        return settle(place)
    }

    /// Takes it out as if it had never been owed.
    mutating func remove(_ sequence: UInt64) {
        guard let place = place(of: sequence) else { return }
        if !highFinals.isEmpty { highFinals[sequence] = nil }
        empty(place)
    }

    /// The segment is kept: plans and outcomes of what is owed in it may go before it.
    mutating func markCopied(in segment: UInt64) {
        for place in 0..<capacity where unsafe places[place].sequence != 0 {
            if unsafe places[place].location.segment == segment { unsafe places[place].isCopied = true }
        }
    }

    /// Calls `body` for each entry, in no order.
    func forEach(_ body: (Entry) -> Void) {
        for place in 0..<capacity where unsafe places[place].sequence != 0 { unsafe body(places[place]) }
    }

    // MARK: Places

    // Every index below is masked into the table.
    private func home(of sequence: UInt64) -> Int {
        // Fibonacci hashing: consecutive sequences spread over the table.
        Int(truncatingIfNeeded: (sequence &* 0x9E37_79B9_7F4A_7C15) >> 32) & (capacity - 1)
    }

    private func place(of sequence: UInt64) -> Int? {
        guard sequence != 0 else { return nil }
        var place = home(of: sequence)
        while true {
            let found = unsafe places[place].sequence
            if found == sequence { return place }
            if found == 0 { return nil }
            place = (place + 1) & (capacity - 1)
        }
    }

    private mutating func place(_ entry: Entry) {
        var place = home(of: entry.sequence)
        while unsafe places[place].sequence != 0 { place = (place + 1) & (capacity - 1) }
        unsafe places[place] = entry
    }

    private mutating func note(_ outcome: Outcome, _ place: Int) {
        switch outcome {
        case .dead: unsafe places[place].hasDead = true
        case .done, .merged: unsafe places[place].hasEffect = true
        case .ignored, .failed: break
        }
    }

    private mutating func settle(_ place: Int) -> Effect {
        let entry = unsafe places[place]
        guard entry.planCount != Entry.noPlan, entry.finalCount >= entry.planCount else {
            return .open(isFailing: entry.failing != 0)
        }
        // An empty plan had nothing to do and did it.
        if entry.planCount == 0 { unsafe places[place].hasEffect = true }
        return finish(place)
    }

    private mutating func finish(_ place: Int) -> Effect {
        let entry = unsafe places[place]
        if !highFinals.isEmpty { highFinals[entry.sequence] = nil }
        empty(place)
        return .final(entry, entry.hasDead ? .dead : entry.hasEffect ? .done : .ignored)
    }

    /// Empties a place and closes the gap (as in `DedupeIndex`).
    private mutating func empty(_ place: Int) {
        var gap = place
        var probe = place
        while true {
            probe = (probe + 1) & (capacity - 1)
            guard unsafe places[probe].sequence != 0 else { break }
            let home = unsafe home(of: places[probe].sequence)
            if (probe - home) & (capacity - 1) >= (probe - gap) & (capacity - 1) {
                unsafe places[gap] = places[probe]
                gap = probe
            }
        }
        unsafe places[gap] = Self.empty
        count -= 1
    }

    private mutating func grow() {
        let old = unsafe places
        let oldCapacity = capacity
        capacity *= 2
        unsafe places = .allocate(capacity: capacity)
        unsafe places.initialize(repeating: Self.empty, count: capacity)
        for index in 0..<oldCapacity where unsafe old[index].sequence != 0 { unsafe place(old[index]) }
        unsafe old.deallocate()
    }
}
