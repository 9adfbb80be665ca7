// LoopCounters: what one loop counts. Written by its thread alone, read by whoever scrapes.

internal import Delivery
internal import HTTP
internal import Metrics

/// Figures of one loop.
final class LoopCounters: Sendable {
    /// Statuses that a loop answers; the label `code`.
    static let codes: [UInt16] = [
        200, 201, 202, 307, 400, 401, 403, 404, 405, 406, 408, 413, 414, 415, 417, 422, 429, 431, 500, 501, 502, 503,
        505,
    ]
    /// The label `kind` of a request: the route's, or `none`.
    static let kinds = ["none"] + ReceiverKind.allCases.map(\.name)

    private let requests: [Counter]
    private let refusals: [Counter]
    private let parseErrors: [Counter]
    let connectionsAccepted = Counter()
    let connectionsRefused = Counter()
    let connectionsOpen = Gauge()
    let bytesReceived = Counter()
    let turns = Counter()
    let memoryBytes = Gauge()
    let memoryRefusals = Counter()
    let timeouts = Counter()
    let ignored: [Counter]
    let duplicates = Counter()
    let answerSeconds = Histogram(bounds: Histogram.secondsBounds)
    let turnDeliveries = Histogram(bounds: Histogram.batchBounds)

    init() {
        requests = (0..<Self.kinds.count * Self.codes.count).map { _ in Counter() }
        refusals = VerifyCause.allCases.map { _ in Counter() }
        parseErrors = HTTPParseError.allCases.map { _ in Counter() }
        ignored = IgnoredReason.allCases.map { _ in Counter() }
    }

    private static func codeIndex(_ status: UInt16) -> Int {
        for index in 0..<codes.count where codes[index] == status { return index }
        return codes.count - 2
    }

    func count(kind: ReceiverKind?, status: UInt16) {
        let row = kind.map { Int($0.rawValue) } ?? 0
        requests[row * Self.codes.count + Self.codeIndex(status)].increment()
    }
    func count(_ cause: VerifyCause) { refusals[Int(cause.rawValue)].increment() }
    func count(_ error: HTTPParseError) { parseErrors[Int(error.rawValue)].increment() }
    func count(_ reason: IgnoredReason) { ignored[Int(reason.rawValue) - 1].increment() }

    func requests(kind: Int, code: Int) -> UInt64 { requests[kind * Self.codes.count + code].value }
    func refusals(_ cause: VerifyCause) -> UInt64 { refusals[Int(cause.rawValue)].value }
    func parseErrors(_ error: HTTPParseError) -> UInt64 { parseErrors[Int(error.rawValue)].value }
}
