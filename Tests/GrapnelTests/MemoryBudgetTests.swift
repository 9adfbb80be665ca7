import Testing

@testable import Grapnel

@Suite("MemoryBudget")
struct MemoryBudgetTests {
    @Test("never more than the limit at once, but one request larger than all of it when nothing else is held")
    func limits() {
        let budget = MemoryBudget(limit: 100)
        #expect(budget.reserve(60))
        #expect(!budget.reserve(41))
        #expect(budget.reserve(40))
        budget.giveBack(60)
        budget.giveBack(40)
        #expect(budget.reserve(1000))
        #expect(!budget.reserve(1))
        budget.giveBack(1000)
        #expect(budget.usedBytes == 0)
    }
}
