import Testing

@testable import LoadKit

@Suite struct ScheduleTests {
    @Test("fixed arrivals are evenly spaced and do not drift")
    func fixed() {
        var schedule = Schedule(rate: 30_000, arrivals: .fixed, start: 1_000, seed: 1)
        var last: UInt64 = 0
        for index in 0..<300_000 {
            let time = schedule.next()
            #expect(time >= last)
            last = time
            if index == 0 { #expect(time == 1_000) }
        }
        #expect(abs(Int64(last) - 1_000 - 9_999_966_666) < 1_000)
    }

    @Test("Poisson arrivals have the rate asked for", arguments: [1, 2, 3] as [UInt64])
    func poisson(seed: UInt64) {
        var schedule = Schedule(rate: 10_000, arrivals: .poisson, start: 0, seed: seed)
        var last: UInt64 = 0
        var gaps: [Double] = []
        for _ in 0..<100_000 {
            let time = schedule.next()
            gaps.append(Double(time - last))
            last = time
        }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        #expect(abs(mean - 100_000) < 2_000, "seed \(seed)")
        // The standard deviation of an exponential distribution is its mean.
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(variance.squareRoot() - 100_000) < 3_000, "seed \(seed)")
    }

    @Test("the queue of connections keeps its order and forgets who left")
    func queue() {
        var queue = IndexQueue(capacity: 4)
        for index in [2, 0, 3, 1] { queue.append(index) }
        queue.remove(0)
        #expect(queue.popFirst() == 2)
        queue.append(2)
        #expect([queue.popFirst(), queue.popFirst(), queue.popFirst(), queue.popFirst()] == [3, 1, 2, nil])
    }
}
