// ReceiveArena: where requests that arrive in one receive lie until they are durable and answered.
//
//   region:  | request | request | request |  free ...  |      several regions of 2 MiB, one of them current
//                                          ^ next receive goes here
//
// Receives are packed one behind the other, so a turn of 64 deliveries of 8 KiB works on some 600 KB that stay in the second-level
// cache. Each region counts the requests that still lie in it; at zero it starts over. In inline mode that is every turn.
// Owned by one loop's thread.

internal import CLinuxIO

/// Bump-allocated memory for receives, given back request by request.
@safe
public struct ReceiveArena: ~Copyable {
    /// One receive gets at least this much room: a delivery with a body of 64 KiB fits.
    public static let receiveBytesMax = 128 << 10
    private static let regionBytes = 2 << 20
    private static let regionsMax = 1024

    @unsafe
    private struct Region {
        var base: UnsafeMutableRawPointer
        var used: Int  // used <= regionBytes
        var live: Int  // requests that lie here
    }

    private let regions: UnsafeMutablePointer<Region>
    private var regionCount = 0
    private var current = 0

    /// Nil when there is no memory.
    public init?() {
        unsafe regions = .allocate(capacity: Self.regionsMax)
        guard addRegion() else { return nil }
    }

    deinit {
        for index in 0..<regionCount { unsafe cl_unmap(regions[index].base, Self.regionBytes) }
        unsafe regions.deallocate()
    }

    private mutating func addRegion() -> Bool {
        guard regionCount < Self.regionsMax, let base = unsafe cl_map(Self.regionBytes, 1) else { return false }
        unsafe (regions + regionCount).initialize(to: Region(base: base, used: 0, live: 0))
        current = regionCount
        regionCount += 1
        return true
    }

    /// Room for the next receive; nil when all memory is in use. Nothing is taken before `take`.
    public mutating func room() -> UnsafeMutableRawBufferPointer? {
        if unsafe Self.regionBytes - regions[current].used < Self.receiveBytesMax {
            var found = false
            for index in 0..<regionCount where unsafe regions[index].live == 0 {
                unsafe regions[index].used = 0
                current = index
                found = true
                break
            }
            if !found, !addRegion() { return nil }
        }
        let region = unsafe regions[current]
        return unsafe UnsafeMutableRawBufferPointer(start: region.base + region.used, count: Self.receiveBytesMax)
    }

    /// Keeps the first `count` bytes of the last room; gives the lease that `giveBack` wants.
    public mutating func take(_ count: Int) -> UInt32 {
        precondition(count > 0 && count <= Self.receiveBytesMax)
        unsafe regions[current].used += (count + 63) & ~63
        unsafe regions[current].live += 1
        return UInt32(current)
    }

    /// One request's bytes are no longer needed.
    public mutating func giveBack(_ lease: UInt32) {
        let index = Int(lease)
        precondition(index < regionCount)
        unsafe regions[index].live -= 1
        if unsafe regions[index].live == 0 { unsafe regions[index].used = 0 }
    }

    /// Bytes of address space held.
    public var byteCount: Int { regionCount * Self.regionBytes }
    /// Requests that lie in the arena.
    public var liveCount: Int {
        var sum = 0
        for index in 0..<regionCount { sum += unsafe regions[index].live }
        return sum
    }
}
