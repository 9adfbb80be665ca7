// DedupeIndex: which delivery ids were seen, on which route, and what became of them (owned by the writer).
//
//   entries   a ring of 48-byte entries in order of arrival; the oldest is given up when its window has passed, or
//             when `entriesMax` is reached
//   slots     open addressing with linear probing over the hash; a slot is 1 + an index into `entries`, 0 when empty;
//             twice as many slots as entries, so at most half are in use
//
// No objects per entry; memory grows by doubling. At the usual fill an id costs 48 to 96 bytes for its entry and 8 to
// 16 for its two slots.
//
// An id is in one of these states:
//
//   writing   its record is in the group that is being built: a repeat shares that group and so its fate
//   pending   durable, its actions not finished                                       a repeat is a duplicate
//   failing   durable, its last attempt failed                                        a repeat is a new delivery
//   done      final                                                                   a repeat is a duplicate
//
// An ignored or dead delivery is not remembered at all: a repeat is a new delivery. So is one with another body (it
// says so in a flag), one whose route has changed, one behind the window, and one without an id (hash 0) or window.
// A repeat that counts as new takes the entry over; if its group fails, the earlier entry comes back.

@safe struct DedupeIndex: ~Copyable {
    enum State: UInt32 {
        case removed = 0
        case writing = 1
        case pending = 2
        case failing = 3
        case done = 4
    }

    struct Entry {
        var hash: DedupeHash
        var sequence: UInt64
        var routeFingerprint: UInt64
        var receivedSeconds: UInt32
        // Low 28 bits: window in seconds; high 4: state.
        fileprivate var windowAndState: UInt32
        var bodyLength: UInt32
        var bodyChecksum: UInt32

        static let windowSecondsMax: UInt32 = 1 << 28 - 1

        init(
            hash: DedupeHash, sequence: UInt64, routeFingerprint: UInt64, receivedSeconds: UInt32,
            windowSeconds: UInt32, state: State, bodyLength: UInt32, bodyChecksum: UInt32
        ) {
            self.hash = hash
            self.sequence = sequence
            self.routeFingerprint = routeFingerprint
            self.receivedSeconds = receivedSeconds
            self.windowAndState = min(windowSeconds, Self.windowSecondsMax) | state.rawValue << 28
            self.bodyLength = bodyLength
            self.bodyChecksum = bodyChecksum
        }

        var windowSeconds: UInt32 { windowAndState & (1 << 28 - 1) }
        var state: State {
            get { State(rawValue: windowAndState >> 28) ?? .removed }
            set { windowAndState = windowSeconds | newValue.rawValue << 28 }
        }

        /// A clock that went back makes an entry young, not old.
        func isExpired(at seconds: UInt32) -> Bool {
            seconds > receivedSeconds && seconds - receivedSeconds > windowSeconds
        }
    }

    enum Admission {
        case duplicate(of: UInt64)
        /// `replaced`: what `withdraw` needs to put back.
        case new(sameIDOtherBody: Bool, replaced: Entry?)
    }

    private let entriesMax: Int
    // Ring: `entryCount` entries (removed ones included) from `firstEntry`; capacity is a power of two.
    // `entryCount <= entryCapacity`; slots in use <= entryCapacity == slotCapacity / 2.
    private var entries: UnsafeMutablePointer<Entry>
    private var entryCapacity: Int
    private var firstEntry = 0
    private var entryCount = 0
    private var slots: UnsafeMutablePointer<UInt32>
    /// Ids remembered.
    private(set) var count = 0

    init(entriesMax: Int, initialCapacity: Int = 4096) {
        self.entriesMax = max(1, min(entriesMax, 1 << 30))
        var capacity = 16
        while capacity < min(initialCapacity, self.entriesMax) { capacity *= 2 }
        entryCapacity = capacity
        unsafe entries = .allocate(capacity: capacity)
        unsafe slots = .allocate(capacity: capacity * 2)
        unsafe slots.initialize(repeating: 0, count: capacity * 2)
    }

    deinit {
        unsafe entries.deallocate()
        unsafe slots.deallocate()
    }

    /// Bytes of memory held.
    var memoryBytes: Int { entryCapacity * (MemoryLayout<Entry>.stride + 2 * MemoryLayout<UInt32>.stride) }

    // MARK: Deliveries

    /// Judges a delivery with an id and enters it when it is new. `entry.state` is what it enters as; its
    /// `receivedSeconds` is also the time of the judgement. Amortised O(1).
    mutating func admit(_ entry: Entry) -> Admission {
        forget(at: entry.receivedSeconds)
        var replaced: Entry?
        var sameIDOtherBody = false
        if let slot = slot(of: entry.hash) {
            let index = entryIndex(at: slot)
            let earlier = unsafe entries[index]
            if !earlier.isExpired(at: entry.receivedSeconds) {
                let sameBody =
                    earlier.bodyLength == entry.bodyLength && earlier.bodyChecksum == entry.bodyChecksum
                if sameBody, earlier.state != .failing, earlier.routeFingerprint == entry.routeFingerprint {
                    return .duplicate(of: earlier.sequence)
                }
                replaced = earlier
                sameIDOtherBody = !sameBody
            }
            remove(slot: slot)
        }
        insert(entry)
        return .new(sameIDOtherBody: sameIDOtherBody, replaced: replaced)
    }

    /// Enters what the journal says was admitted, unless a later delivery has taken the id over.
    mutating func restore(_ entry: Entry) {
        forget(at: entry.receivedSeconds)
        if let slot = slot(of: entry.hash) {
            guard unsafe entries[entryIndex(at: slot)].sequence < entry.sequence else { return }
            remove(slot: slot)
        }
        insert(entry)
    }

    /// Takes back what `admit` did for `sequence`. Of one group: the latest first.
    mutating func withdraw(_ hash: DedupeHash, sequence: UInt64, replaced: Entry?) {
        guard let slot = slot(of: hash), unsafe entries[entryIndex(at: slot)].sequence == sequence else { return }
        remove(slot: slot)
        if let replaced { insert(replaced) }
    }

    /// Sets the state of the delivery `sequence`, if the id still stands for it; `.removed` forgets it.
    mutating func mark(_ hash: DedupeHash, sequence: UInt64, _ state: State) {
        guard hash != .none, let slot = slot(of: hash) else { return }
        let index = entryIndex(at: slot)
        guard unsafe entries[index].sequence == sequence else { return }
        if state == .removed {
            remove(slot: slot)
        } else {
            unsafe entries[index].state = state
        }
    }

    /// The state of an id at a time; nil when it is not remembered.
    func state(of hash: DedupeHash, at seconds: UInt32) -> (sequence: UInt64, State)? {
        guard let slot = slot(of: hash) else { return nil }
        let entry = unsafe entries[entryIndex(at: slot)]
        return entry.isExpired(at: seconds) ? nil : (entry.sequence, entry.state)
    }

    // MARK: Ring and slots

    private var slotMask: Int { entryCapacity * 2 - 1 }

    // Every index below is masked into its table.
    private func entryIndex(at slot: Int) -> Int { unsafe Int(slots[slot]) - 1 }

    private func home(of hash: DedupeHash) -> Int { Int(truncatingIfNeeded: hash.low) & slotMask }

    private func slot(of hash: DedupeHash) -> Int? {
        var slot = home(of: hash)
        while unsafe slots[slot] != 0 {
            if unsafe entries[entryIndex(at: slot)].hash == hash { return slot }
            slot = (slot + 1) & slotMask
        }
        return nil
    }

    /// Gives up what is too old at the front of the ring.
    private mutating func forget(at seconds: UInt32) {
        while entryCount > 0 {
            let entry = unsafe entries[firstEntry]
            guard entry.state == .removed || entry.isExpired(at: seconds) else { return }
            dropFirst()
        }
    }

    private mutating func dropFirst() {
        let entry = unsafe entries[firstEntry]
        if entry.state != .removed, let slot = slot(of: entry.hash) { remove(slot: slot) }
        firstEntry = (firstEntry + 1) & (entryCapacity - 1)
        entryCount -= 1
    }

    private mutating func insert(_ entry: Entry) {
        while count >= entriesMax { dropFirst() }
        if entryCount == entryCapacity { makeRoom() }
        let index = (firstEntry + entryCount) & (entryCapacity - 1)
        unsafe entries[index] = entry
        entryCount += 1
        enter(index)
        count += 1
    }

    private mutating func enter(_ index: Int) {
        var slot = unsafe home(of: entries[index].hash)
        while unsafe slots[slot] != 0 { slot = (slot + 1) & slotMask }
        unsafe slots[slot] = UInt32(index + 1)
    }

    /// Empties a slot and closes the gap, so that no probe ends early (Knuth, vol. 3, section 6.4, algorithm R).
    private mutating func remove(slot: Int) {
        unsafe entries[entryIndex(at: slot)].state = .removed
        count -= 1
        var gap = slot
        var probe = slot
        while true {
            probe = (probe + 1) & slotMask
            guard unsafe slots[probe] != 0 else { break }
            let home = unsafe home(of: entries[entryIndex(at: probe)].hash)
            // The entry may move into the gap unless its home lies behind the gap, cyclically.
            if (probe - home) & slotMask >= (probe - gap) & slotMask {
                unsafe slots[gap] = slots[probe]
                gap = probe
            }
        }
        unsafe slots[gap] = 0
    }

    /// The ring is full: closes up what was removed, and doubles when that frees less than half.
    private mutating func makeRoom() {
        let capacity = count > entryCapacity / 2 ? entryCapacity * 2 : entryCapacity
        let grown = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        var kept = 0
        for step in 0..<entryCount {
            let entry = unsafe entries[(firstEntry + step) & (entryCapacity - 1)]
            guard entry.state != .removed else { continue }
            unsafe (grown + kept).initialize(to: entry)
            kept += 1
        }
        unsafe entries.deallocate()
        unsafe entries = grown
        firstEntry = 0
        entryCount = kept
        if capacity != entryCapacity {
            unsafe slots.deallocate()
            unsafe slots = .allocate(capacity: capacity * 2)
            entryCapacity = capacity
        }
        unsafe slots.initialize(repeating: 0, count: capacity * 2)
        for index in 0..<kept { enter(index) }
    }
}
