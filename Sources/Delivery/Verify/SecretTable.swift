// SecretTable: all secrets of a route table, in memory that stays out of core dumps and is wiped when it goes.
//
// Each secret lies there twice: as prepared HMAC states, and as raw bytes for types that send the secret itself. Written once, read
// by all loops.

internal import CCrypto
internal import Glibc

/// Prepared secrets by index. Immutable after `init`.
@safe
final class SecretTable: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: nothing is written after init.

    /// Indexes of one route's secrets.
    struct Range: Sendable {
        var start: Int
        var count: Int
    }

    /// MADV_DONTDUMP (madvise(2)): Swift does not see the macro.
    private static let dontDump: Int32 = 16

    private let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let keyBytes: Int
    private let offsets: [(start: Int, count: Int)]

    init(_ secrets: [SecretBytes]) {
        keyBytes = cc_hmac_key_bytes()
        let raw = secrets.reduce(0) { $0 + $1.bytes.count }
        byteCount = max(1, keyBytes * secrets.count + raw)
        let mapped = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
            preconditionFailure("no memory for the route table's secrets")
        }
        unsafe base = unsafe mapped
        unsafe madvise(mapped, byteCount, Self.dontDump)
        var offsets: [(start: Int, count: Int)] = []
        var end = keyBytes * secrets.count
        for secret in secrets {
            offsets.append((end, secret.bytes.count))
            end += secret.bytes.count
        }
        self.offsets = offsets
        for (index, secret) in secrets.enumerated() {
            let start = offsets[index].start
            unsafe secret.bytes.withUnsafeBytes { bytes in
                unsafe cc_hmac_key_prepare(base + index * keyBytes, bytes.baseAddress, bytes.count)
                if let source = bytes.baseAddress {
                    unsafe (base + start).copyMemory(from: source, byteCount: bytes.count)
                }
            }
        }
    }

    deinit {
        unsafe explicit_bzero(base, byteCount)
        unsafe munmap(base, byteCount)
    }

    func key(_ index: Int) -> UnsafeRawPointer {
        precondition(index < offsets.count)
        return unsafe UnsafeRawPointer(base + index * keyBytes)
    }

    func bytes(_ index: Int) -> UnsafeRawBufferPointer {
        let (start, count) = offsets[index]
        return unsafe UnsafeRawBufferPointer(start: base + start, count: count)
    }
}
