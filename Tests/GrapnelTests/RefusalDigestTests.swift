import Delivery
import Testing

@testable import Grapnel

@Suite("Refusals in the log")
struct RefusalDigestTests {
    private let second: UInt64 = 1_000_000_000

    private func key(_ name: String, _ cause: VerifyCause = .signatureWrong) -> RefusalDigest.Key {
        RefusalDigest.Key(route: RouteIdentity(kind: .hook, namespace: "a", name: name), cause: cause)
    }

    @Test("the first is told at once, what follows is summed up every ten seconds, and nothing is left out")
    func summed() {
        var digest = RefusalDigest()
        var told: [UInt64] = []
        for step in UInt64(1)...35 {
            told += digest.lines([key("x"): 100], now: step * second).map(\.count)
        }
        told += digest.rest().map(\.count)
        #expect(told == [100, 1_000, 1_000, 1_000, 400])
    }

    @Test("each route and each cause has its own line; the most frequent comes first")
    func apart() {
        var digest = RefusalDigest()
        let lines = digest.lines([key("x"): 1, key("y"): 5, key("x", .signatureMissing): 3], now: second)
        #expect(
            lines == [
                .init(key: key("y"), count: 5), .init(key: key("x", .signatureMissing), count: 3),
                .init(key: key("x"), count: 1),
            ])
    }

    @Test("after a quiet while the next one is told at once again, and nothing is kept of the old one")
    func quiet() {
        var digest = RefusalDigest()
        #expect(digest.lines([key("x"): 1], now: second).count == 1)
        #expect(digest.lines([:], now: 12 * second).isEmpty)
        #expect(digest.lines([key("x"): 1], now: 13 * second).map(\.count) == [1])
    }

    @Test("any number of routes keeps a bounded number of accounts")
    func bounded() {
        var digest = RefusalDigest()
        var noted: [RefusalDigest.Key: UInt64] = [:]
        for number in 0..<RefusalDigest.accountsMax * 2 { noted[key("r\(number)")] = 1 }
        #expect(digest.lines(noted, now: second).count == RefusalDigest.accountsMax)
    }
}
