import Testing

@testable import Kubernetes

@Suite("Request budget and Retry-After")
struct RequestBudgetTests {
    @Test("A burst passes at once, then requests come at the rate, and quiet time fills the bucket again")
    func bucket() {
        var bucket = TokenBucket(perSecond: 10, burst: 5)
        let start: UInt64 = 1_000_000_000
        for _ in 0..<5 { #expect(bucket.take(at: start) == 0) }
        #expect(bucket.take(at: start) == 100_000_000)
        #expect(bucket.take(at: start) == 200_000_000)
        #expect(bucket.take(at: start + 10_000_000_000) == 0)
        for _ in 0..<4 { #expect(bucket.take(at: start + 10_000_000_000) == 0) }
        #expect(bucket.take(at: start + 10_000_000_000) == 100_000_000)
    }

    @Test("Over any time no more pass than burst and rate allow")
    func never() {
        var bucket = TokenBucket(perSecond: 50, burst: 100)
        var starts: [UInt64] = []
        for index in 0..<1000 {
            let now = UInt64(index) * 1_000_000
            starts.append(now + bucket.take(at: now))
        }
        for (index, start) in starts.enumerated() where index >= 100 {
            #expect(start - starts[index - 100] >= 99 * 20_000_000 || start >= UInt64(index - 100) * 20_000_000)
        }
        #expect(starts.last! >= 17_900_000_000)
    }

    @Test(
        "Retry-After is seconds or a date; anything else is nothing",
        arguments: [
            ("0", 0), ("5", 5), (" 5 ", 5), ("99999999999999999999", 3600), ("86400", 3600), ("-1", nil), ("1.5", nil),
            ("", nil),
            ("soon", nil), ("Fri, 01 May 2026 12:35:06 GMT", 10), ("Fri, 01 May 2026 12:00:00 GMT", 0),
            ("Friday, 01-May-26 12:35:06 GMT", 10), ("Fri May  1 12:35:06 2026", 10),
        ] as [(String, UInt64?)])
    func retryAfter(text: String, seconds: UInt64?) {
        #expect(RetryAfter.nanoseconds(text, secondsSince1970: 1_777_638_896) == seconds.map { $0 * 1_000_000_000 })
    }
}
