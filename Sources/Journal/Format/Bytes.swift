// ByteReader and ByteWriter: the one place of the format that touches raw memory.
//
// Both wrap a pointer and a count that their maker promises to keep valid, and check every access against the count:
// whatever bytes a disk holds, the format code above can ask for nonsense but cannot read or write outside. All
// integers are little endian and may be unaligned.

/// CRC-32 as zlib's `crc32(seed, bytes, count)`: continues from `seed`, returns `seed` for no bytes.
public typealias Checksum = @convention(c) (UInt32, UnsafeRawPointer?, Int) -> UInt32

/// The checksum function as safe code passes it on: only the readers and writers below call it.
@safe struct Checksummer {
    // Reads exactly `count` bytes from its pointer and keeps nothing: what zlib's crc32 promises.
    fileprivate let function: Checksum

    init(_ function: Checksum) { unsafe self.function = function }
}

/// Bounds-checked reads over borrowed bytes.
@safe struct ByteReader {
    // The maker keeps `count` bytes from `base` readable for as long as this value is used.
    private let base: UnsafeRawPointer?
    let count: Int

    @unsafe init(_ bytes: UnsafeRawBufferPointer) {
        unsafe base = bytes.baseAddress
        count = bytes.count
    }

    /// Whether `length` bytes from `offset` lie inside. False for negative or overflowing arguments.
    func contains(_ offset: Int, _ length: Int) -> Bool {
        offset >= 0 && length >= 0 && offset <= count && length <= count - offset
    }

    // Each load below stays inside: `contains` holds.
    func uint8(at offset: Int) -> UInt8 {
        precondition(contains(offset, 1))
        return unsafe base!.load(fromByteOffset: offset, as: UInt8.self)
    }

    func uint16(at offset: Int) -> UInt16 {
        precondition(contains(offset, 2))
        return unsafe UInt16(littleEndian: base!.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    func uint32(at offset: Int) -> UInt32 {
        precondition(contains(offset, 4))
        return unsafe UInt32(littleEndian: base!.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    func uint64(at offset: Int) -> UInt64 {
        precondition(contains(offset, 8))
        return unsafe UInt64(littleEndian: base!.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func checksum(_ checksummer: Checksummer, seed: UInt32, from offset: Int, count length: Int) -> UInt32 {
        precondition(contains(offset, length))
        guard length > 0 else { return seed }
        return unsafe checksummer.function(seed, base! + offset, length)
    }

    func isZero(from offset: Int, count length: Int) -> Bool {
        precondition(contains(offset, length))
        var position = offset
        let end = offset + length
        while position + 8 <= end {
            if uint64(at: position) != 0 { return false }
            position += 8
        }
        while position < end {
            if uint8(at: position) != 0 { return false }
            position += 1
        }
        return true
    }

    /// The first offset >= `offset`, in steps of 8, that holds `value` and leaves `room` bytes; nil when there is none.
    /// `offset` must be a multiple of 8. Linear.
    func firstIndex(of value: UInt32, from offset: Int, leaving room: Int) -> Int? {
        precondition(offset >= 0 && room >= 4)
        let end = count - room
        var position = offset
        while position <= end {
            // In bounds: position + 4 <= position + room <= count.
            if unsafe UInt32(littleEndian: base!.loadUnaligned(fromByteOffset: position, as: UInt32.self)) == value {
                return position
            }
            position += 8
        }
        return nil
    }

    /// The bytes as an array of their own.
    func bytes(from offset: Int, count length: Int) -> [UInt8] {
        precondition(contains(offset, length))
        guard length > 0 else { return [] }
        return unsafe Array(UnsafeRawBufferPointer(start: base! + offset, count: length))
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    func string(from offset: Int, count length: Int) -> String {
        precondition(contains(offset, length))
        guard length > 0 else { return "" }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: base! + offset, count: length), as: UTF8.self)
    }

    /// No bytes.
    static var empty: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(start: nil, count: 0)) }

    /// The bytes themselves, as long-lived as the reader's.
    var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

    /// A reader over a part of these bytes.
    func part(from offset: Int, count length: Int) -> ByteReader {
        precondition(contains(offset, length))
        guard length > 0 else { return .empty }
        return unsafe ByteReader(UnsafeRawBufferPointer(start: base! + offset, count: length))
    }
}

/// Bounds-checked writes into borrowed bytes.
@safe struct ByteWriter {
    // The maker keeps `count` bytes from `base` writable, and untouched by others, for as long as this value is used.
    private let base: UnsafeMutableRawPointer
    let count: Int

    @unsafe init(_ base: UnsafeMutableRawPointer, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    private func check(_ offset: Int, _ length: Int) {
        precondition(offset >= 0 && length >= 0 && offset <= count && length <= count - offset)
    }

    // Each store below stays inside: `check` holds.
    func store(_ value: UInt8, at offset: Int) {
        check(offset, 1)
        unsafe base.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    func store(_ value: UInt16, at offset: Int) {
        check(offset, 2)
        unsafe base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt16.self)
    }

    func store(_ value: UInt32, at offset: Int) {
        check(offset, 4)
        unsafe base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
    }

    func store(_ value: UInt64, at offset: Int) {
        check(offset, 8)
        unsafe base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
    }

    func zero(from offset: Int, count length: Int) {
        check(offset, length)
        guard length > 0 else { return }
        unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: length)
    }

    /// Copies `source` to `offset`; the two must not overlap.
    @unsafe func copy(_ source: UnsafeRawBufferPointer, to offset: Int) {
        check(offset, source.count)
        guard let from = source.baseAddress, source.count > 0 else { return }
        unsafe (base + offset).copyMemory(from: from, byteCount: source.count)
    }

    func checksum(_ checksummer: Checksummer, seed: UInt32, from offset: Int, count length: Int) -> UInt32 {
        check(offset, length)
        guard length > 0 else { return seed }
        return unsafe checksummer.function(seed, UnsafeRawPointer(base + offset), length)
    }

    /// A reader over the same bytes.
    var reader: ByteReader { unsafe ByteReader(UnsafeRawBufferPointer(start: base, count: count)) }
}
