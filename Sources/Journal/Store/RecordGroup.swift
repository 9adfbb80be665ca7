// RecordGroup: the records that will share one write and one sync, while they are gathered.
//
//   arena     the fixed parts, metas and small payloads, one after the other (grows by doubling, never shrinks)
//   records   what each record is made of: its part of the arena and, for a delivery, where head and body lie
//
// Nothing is written while the group grows, so a group that does not fit its segment any more can still go to the next
// as a whole: incarnation, durable mark and header checksum are filled in when the place is known.

import Glibc

/// One record of the group.
struct GroupRecord {
    var sequence: UInt64
    var type: RecordType
    var isCopied = false
    var decision: Decision?
    var totalLength: Int
    // Fixed part, meta and, except in a delivery, the head: arena[arenaOffset ..< arenaOffset + arenaLength].
    var arenaOffset: Int
    var arenaLength: Int
    var metaLength: Int
    // A delivery's head and body; valid until commit returns: the caller of `append` promised it.
    var head = ByteReader.empty
    var body = ByteReader.empty
    var timeUnixNanoseconds: UInt64
    // Of a plan: its delivery.
    var reference: UInt64 = 0
    var routeToken: UInt64 = 0
    var namespace: UInt32 = 0
    var dedupeHash = DedupeHash.none
    // The id was entered into the dedupe index by this record.
    var isDeduplicated = false
    // Taken over with its final outcomes: not owed.
    var isConcluded = false
    // The entries of the plan that stands behind it in the same group.
    var planCount = OwedTable.Entry.noPlan
    var replaced: DedupeIndex.Entry?

    /// Counts as owed from the commit on, and in its namespace from the append on.
    var isOwed: Bool { decision == .accepted && !isConcluded }
}

@safe struct RecordGroup: ~Copyable {
    // `arenaCount <= arenaCapacity`, `count <= recordCapacity`; owned, freed in deinit.
    private var arena: UnsafeMutableRawPointer
    private var arenaCapacity: Int
    private(set) var arenaCount = 0
    private var records: UnsafeMutablePointer<GroupRecord>
    private var recordCapacity: Int
    private(set) var count = 0
    /// Sum of the records' lengths.
    private(set) var byteCount = 0
    private(set) var deliveryCount = 0
    /// What heads and bodies of redeliveries lie in: kept until the group is written.
    private var pins: [PinnedRecord] = []

    init(arenaBytes: Int = 256 << 10, recordCapacity: Int = 512) {
        arenaCapacity = arenaBytes
        unsafe arena = .allocate(byteCount: arenaBytes, alignment: 16)
        self.recordCapacity = recordCapacity
        unsafe records = .allocate(capacity: recordCapacity)
    }

    deinit {
        unsafe arena.deallocate()
        unsafe records.deallocate()
    }

    var housekeepingCount: Int { count - deliveryCount }

    subscript(index: Int) -> GroupRecord {
        get {
            precondition(index >= 0 && index < count)
            return unsafe records[index]
        }
        set {
            precondition(index >= 0 && index < count)
            unsafe records[index] = newValue
        }
    }

    mutating func pin(_ pinned: PinnedRecord) { pins.append(pinned) }

    /// Room for `byteCount` bytes in the arena, at a multiple of 8.
    mutating func reserve(_ byteCount: Int) -> (offset: Int, writer: ByteWriter) {
        let offset = (arenaCount + 7) & ~7
        let needed = offset + byteCount
        if needed > arenaCapacity { growArena(to: needed) }
        arenaCount = needed
        return (offset, writer(at: offset, count: byteCount))
    }

    mutating func append(_ record: GroupRecord) {
        if count == recordCapacity { growRecords() }
        unsafe (records + count).initialize(to: record)
        count += 1
        byteCount += record.totalLength
        if record.type == .delivery, !record.isCopied { deliveryCount += 1 }
    }

    /// A writer over part of the arena; not to be used after the next `reserve`.
    func writer(at offset: Int, count: Int) -> ByteWriter {
        precondition(offset >= 0 && count >= 0 && offset + count <= arenaCount)
        return unsafe ByteWriter(arena + offset, count: count)
    }

    /// Where a record's part of the arena lies in memory; not to be used after the next `reserve`.
    func arenaPart(_ record: GroupRecord) -> UnsafeRawBufferPointer {
        precondition(record.arenaOffset + record.arenaLength <= arenaCount)
        return unsafe UnsafeRawBufferPointer(start: arena + record.arenaOffset, count: record.arenaLength)
    }

    mutating func removeAll() {
        count = 0
        arenaCount = 0
        byteCount = 0
        deliveryCount = 0
        if !pins.isEmpty { pins.removeAll() }
    }

    /// Keeps the records for which `isKept` holds, in order, and closes the arena up.
    mutating func keep(_ isKept: (GroupRecord) -> Bool) {
        let oldCount = count
        removeAll()
        for index in 0..<oldCount {
            var record = unsafe records[index]
            guard isKept(record) else { continue }
            let offset = (arenaCount + 7) & ~7
            // Moves towards the front, maybe over itself.
            unsafe memmove(arena + offset, arena + record.arenaOffset, record.arenaLength)
            record.arenaOffset = offset
            arenaCount = offset + record.arenaLength
            append(record)
        }
    }

    private mutating func growArena(to needed: Int) {
        var capacity = arenaCapacity
        while capacity < needed { capacity *= 2 }
        let grown = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        unsafe grown.copyMemory(from: arena, byteCount: arenaCount)
        unsafe arena.deallocate()
        unsafe arena = grown
        arenaCapacity = capacity
    }

    private mutating func growRecords() {
        let grown = UnsafeMutablePointer<GroupRecord>.allocate(capacity: recordCapacity * 2)
        unsafe grown.moveInitialize(from: records, count: count)
        unsafe records.deallocate()
        unsafe records = grown
        recordCapacity *= 2
    }
}
