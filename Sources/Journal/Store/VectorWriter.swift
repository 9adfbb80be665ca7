// VectorWriter: one contiguous run of bytes on disk, gathered from many places in memory.
//
// Collects iovecs, joins neighbours that touch, and writes them with as few calls as IOV_MAX allows, going on after a
// short write where it ended.

import Glibc

@safe struct VectorWriter: ~Copyable {
    // `count <= capacity`; the memory the vectors point to is the caller's until `write` returned.
    private var vectors: UnsafeMutablePointer<iovec>
    private var capacity: Int
    private var count = 0
    private(set) var byteCount = 0

    init(capacity: Int = 2048) {
        self.capacity = capacity
        unsafe vectors = .allocate(capacity: capacity)
    }

    deinit { unsafe vectors.deallocate() }

    mutating func removeAll() {
        count = 0
        byteCount = 0
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        byteCount += bytes.count
        if count > 0 {
            let last = unsafe vectors + (count - 1)
            if unsafe last.pointee.iov_base + last.pointee.iov_len == UnsafeMutableRawPointer(mutating: base) {
                unsafe last.pointee.iov_len += bytes.count
                return
            }
        }
        if count == capacity { grow() }
        unsafe (vectors + count).initialize(
            to: iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: bytes.count))
        count += 1
    }

    /// Writes everything collected to `file` at `offset`. What was collected is used up, also by a failure.
    mutating func write(to file: DiskFile, at offset: UInt64, disk: any Disk) throws(DiskError) {
        var position = offset
        var index = 0
        defer { removeAll() }
        while index < count {
            let batch = min(count - index, IOVectorLimit.max)
            var written = unsafe try disk.write(vectors + index, count: batch, to: file, at: position)
            position += UInt64(written)
            while index < count, unsafe written >= vectors[index].iov_len {
                unsafe written -= vectors[index].iov_len
                index += 1
            }
            if written > 0 {
                precondition(index < count, "a disk wrote more than it was given")
                // In bounds: written < iov_len.
                unsafe vectors[index].iov_base += written
                unsafe vectors[index].iov_len -= written
            }
        }
    }

    private mutating func grow() {
        let grown = UnsafeMutablePointer<iovec>.allocate(capacity: capacity * 2)
        unsafe grown.moveInitialize(from: vectors, count: count)
        unsafe vectors.deallocate()
        unsafe vectors = grown
        capacity *= 2
    }
}
