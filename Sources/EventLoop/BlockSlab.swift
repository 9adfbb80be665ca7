// BlockSlab: contiguous blocks for requests that did not arrive in one receive. Powers of two from 4 KiB, with a free list per size.
//
// Small blocks come from the free lists; blocks from 1 MiB on are mapped and unmapped, so that a rare 25 MiB body does not stay
// resident. Owned by one loop's thread.

internal import CLinuxIO

/// A block. Plain bytes; whoever holds it gives it back exactly once.
@safe
public struct Block {
    public var base: UnsafeMutableRawPointer
    /// A power of two.
    public var capacity: Int
}

/// Hands out blocks by size.
@safe
public struct BlockSlab: ~Copyable {
    public static let blockBytesMin = 4 << 10
    private static let cachedBytesMax = 512 << 10
    private static let classCount = 8  // 4 KiB … 512 KiB

    /// A free block holds the address of the next one in its first bytes.
    private let free: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private var bytesInUse = 0

    public init() {
        unsafe free = .allocate(capacity: Self.classCount)
        unsafe free.initialize(repeating: nil, count: Self.classCount)
    }

    deinit {
        for index in 0..<Self.classCount {
            while let block = unsafe free[index] {
                unsafe free[index] = unsafe block.load(as: UnsafeMutableRawPointer?.self)
                unsafe cl_unmap(block, Self.blockBytesMin << index)
            }
        }
        unsafe free.deallocate()
    }

    private static func capacity(for count: Int) -> Int {
        var capacity = blockBytesMin
        while capacity < count { capacity <<= 1 }
        return capacity
    }

    /// A block of at least `count` bytes (1 … 2^40); nil when the kernel has no memory.
    public mutating func allocate(_ count: Int) -> Block? {
        precondition(count > 0 && count <= 1 << 40)
        let capacity = Self.capacity(for: count)
        if capacity <= Self.cachedBytesMax {
            let index = (capacity / Self.blockBytesMin).trailingZeroBitCount
            if let block = unsafe free[index] {
                unsafe free[index] = unsafe block.load(as: UnsafeMutableRawPointer?.self)
                bytesInUse += capacity
                return unsafe Block(base: block, capacity: capacity)
            }
        }
        guard let base = unsafe cl_map(capacity, 1) else { return nil }
        bytesInUse += capacity
        return unsafe Block(base: base, capacity: capacity)
    }

    public mutating func giveBack(_ block: Block) {
        bytesInUse -= block.capacity
        if block.capacity <= Self.cachedBytesMax {
            let index = (block.capacity / Self.blockBytesMin).trailingZeroBitCount
            unsafe block.base.storeBytes(of: unsafe free[index], as: UnsafeMutableRawPointer?.self)
            unsafe free[index] = unsafe block.base
        } else {
            unsafe cl_unmap(block.base, block.capacity)
        }
    }

    /// Bytes handed out and not given back.
    public var usedBytes: Int { bytesInUse }
}
