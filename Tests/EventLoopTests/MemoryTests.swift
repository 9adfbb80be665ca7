import EventLoop
import Testing

@Suite("ReceiveArena")
struct ReceiveArenaTests {
    @Test("packs receives one behind the other and starts over when all were given back")
    func packs() {
        guard var arena = ReceiveArena() else {
            Issue.record("no memory")
            return
        }
        let first = UInt(bitPattern: arena.room()?.baseAddress)
        let leaseA = arena.take(9_000)
        let second = UInt(bitPattern: arena.room()?.baseAddress)
        #expect(second - first == 9_024)
        let leaseB = arena.take(100)
        #expect(arena.liveCount == 2)
        arena.giveBack(leaseA)
        arena.giveBack(leaseB)
        #expect(arena.liveCount == 0)
        #expect(UInt(bitPattern: arena.room()?.baseAddress) == first)
    }

    @Test("memory in use is never handed out again")
    func disjoint() {
        guard var arena = ReceiveArena() else {
            Issue.record("no memory")
            return
        }
        var held: [(lease: UInt32, base: UnsafeMutableRawPointer, count: Int, mark: UInt8)] = []
        var state: UInt64 = 7
        for step in 0..<2_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1
            guard let room = arena.room() else {
                Issue.record("no room")
                return
            }
            let count = Int(state >> 40) % room.count + 1
            let mark = UInt8(truncatingIfNeeded: step)
            room.baseAddress!.initializeMemory(as: UInt8.self, repeating: mark, count: count)
            held.append((arena.take(count), room.baseAddress!, count, mark))
            if held.count > 40 {
                let (lease, base, count, mark) = held.remove(at: Int(state >> 33) % held.count)
                #expect(base.load(as: UInt8.self) == mark)
                #expect(base.load(fromByteOffset: count - 1, as: UInt8.self) == mark)
                arena.giveBack(lease)
            }
        }
    }
}

@Suite("BlockSlab")
struct BlockSlabTests {
    @Test("a block has at least the size asked for, and is used again")
    func sizes() {
        var slab = BlockSlab()
        for count in [1, 4_096, 4_097, 524_288, 524_289, 26_000_000] {
            guard let block = slab.allocate(count) else {
                Issue.record("no block")
                return
            }
            #expect(block.capacity >= count && block.capacity.nonzeroBitCount == 1)
            block.base.storeBytes(of: 1, toByteOffset: block.capacity - 1, as: UInt8.self)
            slab.giveBack(block)
        }
        #expect(slab.usedBytes == 0)
        guard let first = slab.allocate(5_000) else {
            Issue.record("no block")
            return
        }
        slab.giveBack(first)
        let second = slab.allocate(8_192)
        #expect(second?.base == first.base)
    }
}
