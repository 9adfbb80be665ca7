import Testing

@testable import Trigger

@Suite("Lists of slots")
struct IndexListTests {
    private func elements(_ list: IndexList, _ links: [Int32]) -> [Int] {
        var list = list
        var all: [Int] = []
        while let next = list.popFirst(links) { all.append(next) }
        return all
    }

    @Test("Merging puts each behind those before it, as one by one would, in one pass", arguments: testSeeds(100))
    func merge(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let size = Int.random(in: 0...60, using: &random)
        let places = (0..<size).map { _ in Int.random(in: 0...40, using: &random) }
        var links = [Int32](repeating: IndexList.none, count: size)
        var list = IndexList()
        // Mostly in order: what failed is at the front again.
        let waiting = (0..<Int.random(in: 0...size, using: &random)).sorted { places[$0] < places[$1] }
        for index in waiting { list.append(index, &links) }
        if waiting.count > 3, Bool.random(using: &random), let front = list.popFirst(links) {
            list.append(front, &links)
        }
        var expected = elements(list, links)
        let others = (waiting.count..<size).sorted { places[$0] < places[$1] }
        for other in others.reversed() {
            expected.insert(other, at: expected.firstIndex { places[$0] >= places[other] } ?? expected.count)
        }
        var looks = 0
        list.merge(others, &links) {
            looks += 1
            return places[$0] < places[$1]
        }
        #expect(list.count == size && looks <= size)
        #expect(elements(list, links) == expected)
        // It goes on as a list.
        var (next, free) = (list, links)
        if let first = next.popFirst(free) {
            next.append(first, &free)
            #expect(elements(next, free) == expected.dropFirst() + [first])
        }
    }
}
