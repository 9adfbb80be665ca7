import Testing

@testable import Journal

@Suite("DurationSample")
struct DurationSampleTests {
    @Test("the median of any sample, and nothing of the last one", arguments: 0..<200)
    func median(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var sample = DurationSample()
        for _ in 0..<2 {
            let values = (0..<Int.random(in: 1...40, using: &random)).map { _ in
                UInt64.random(in: 0...(seed % 2 == 0 ? 3 : 1_000), using: &random)
            }
            for value in values { sample.add(value) }
            let median = sample.takeMedian()
            #expect(median == values.sorted()[values.count / 2])
        }
        let empty = sample.takeMedian()
        #expect(empty == 0)
    }
}
