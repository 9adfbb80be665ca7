// CostMeter: what one evaluation may still spend, in time and in memory alike.
//
// One unit is one step of the evaluator, one element visited, or 32 bytes of text read or written. Text and lists are charged
// before they are made, so that memory is bounded with the time: no evaluation can make more than costMax x 32 bytes of text.

struct CostMeter {
    /// Bytes of text that weigh as much as a step.
    private static let bytesPerUnit = 32

    private(set) var remaining: Int

    init(limit: Int) { remaining = limit }

    mutating func charge(_ units: Int) throws(CELEvaluationError) {
        // What is over the limit stays over it: the next charge fails too.
        guard units <= remaining else {
            remaining = -1
            throw .costLimit
        }
        remaining -= units
    }

    mutating func charge(bytes: Int) throws(CELEvaluationError) { try charge(bytes / Self.bytesPerUnit) }

    /// A text that is about to be made `parts` times as long as `bytes`.
    mutating func charge(bytes: Int, times parts: Int) throws(CELEvaluationError) {
        let (product, overflow) = bytes.multipliedReportingOverflow(by: parts)
        guard !overflow else {
            remaining = -1
            throw .costLimit
        }
        try charge(bytes: product)
    }
}
