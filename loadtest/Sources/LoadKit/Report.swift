// Report: a measurement in words and as JSON.

import Histogram

/// A measurement with the plan it belongs to.
public struct Report {
    public let plan: Plan
    public let measurement: Measurement
    public let byteCount: Int

    public init(plan: Plan, measurement: Measurement, byteCount: Int) {
        self.plan = plan
        self.measurement = measurement
        self.byteCount = byteCount
    }

    static let percentiles: [(name: String, value: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100),
    ]

    private var seconds: Double { Double(measurement.elapsedNanoseconds) / 1e9 }
    private var perSecond: Double { seconds > 0 ? Double(measurement.answeredInTime) / seconds : 0 }
    private var ownShare: Double {
        measurement.elapsedNanoseconds > 0
            ? Double(measurement.ownProcessorNanoseconds) / Double(measurement.elapsedNanoseconds) : 0
    }
    private var serverShare: Double? {
        measurement.serverProcessorNanoseconds.map { Double($0) / Double(max(1, measurement.elapsedNanoseconds)) }
    }
    /// Microseconds of the server's processor time for one answer.
    public var serverMicrosecondsPerDelivery: Double? {
        measurement.serverProcessorNanoseconds.map { Double($0) / 1000 / Double(max(1, measurement.answeredInTime)) }
    }

    private func microseconds(atPercentile percentile: Double) -> Double {
        guard measurement.latency.totalCount > 0 else { return 0 }
        let value = percentile >= 100 ? measurement.latency.max : measurement.latency.valueAtPercentile(percentile)
        return Double(value) / 1000
    }

    private var statuses: [(Int, UInt64)] {
        measurement.statuses.enumerated().filter { $0.element > 0 }.map { ($0.offset, $0.element) }
    }

    /// Several lines for people. What was saturated is said, since figures mean little without it.
    public var text: String {
        var lines: [String] = []
        let loop = plan.rate.map { "open loop, \(rounded($0, 0))/s \(plan.arrivals.rawValue)" } ?? "closed loop"
        lines.append(
            "\(loop), \(plan.connectionCount) connections, bodies of \(byteCount) bytes, \(rounded(seconds, 1)) s measured"
        )
        lines.append("deliveries  \(measurement.arrived) arrived, \(rounded(perSecond, 0)) answered per second")
        let listed = statuses.map { "\($0.0): \($0.1)" }.joined(separator: ", ")
        lines.append("statuses    \(listed.isEmpty ? "none" : listed)")
        let errors = measurement.errors
        lines.append(
            "errors      \(errors.total) (connect \(errors.connect), closed \(errors.closed), "
                + "malformed \(errors.malformed), unanswered \(errors.unanswered))")
        let figures = Self.percentiles.map { "\($0.name) \(rounded(microseconds(atPercentile: $0.value), 0))" }
        lines.append(
            "latency us  \(figures.joined(separator: "  ")) (from \(plan.rate == nil ? "sending" : "the scheduled time"))"
        )
        if let each = serverMicrosecondsPerDelivery, let share = serverShare {
            let memory = measurement.serverResidentBytes.map { ", \($0 >> 20) MiB resident" } ?? ""
            lines.append(
                "server      \(rounded(each, 2)) us of CPU per delivery, busy \(rounded(share * 100, 0)) %\(memory)")
        }
        var own = "generator   busy \(rounded(ownShare * 100, 0)) %"
        if plan.rate != nil { own += ", at most \(measurement.waitingMost) deliveries waited for a connection" }
        if ownShare > 0.9, plan.rate != nil { own += ": SATURATED, do not trust the latencies" }
        lines.append(own)
        return lines.joined(separator: "\n")
    }

    /// One JSON object on one line.
    public var json: String {
        var members: [String] = []
        func add(_ name: String, _ value: String) { members.append("\"\(name)\":\(value)") }
        add("loop", plan.rate == nil ? "\"closed\"" : "\"open\"")
        if let rate = plan.rate { add("rate", rounded(rate, 3)) }
        if plan.rate != nil { add("arrivals", "\"\(plan.arrivals.rawValue)\"") }
        add("connections", "\(plan.connectionCount)")
        add("bytes", "\(byteCount)")
        add("bad_share", rounded(plan.badShare, 4))
        add("signs_each", "\(plan.signsEach)")
        add("opens_each", "\(plan.opensEach)")
        add("seconds", rounded(seconds, 3))
        add("arrived", "\(measurement.arrived)")
        add("answered", "\(measurement.answered)")
        add("answered_per_second", rounded(perSecond, 1))
        add("statuses", "{" + statuses.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}")
        let errors = measurement.errors
        add(
            "errors",
            "{\"connect\":\(errors.connect),\"closed\":\(errors.closed),\"malformed\":\(errors.malformed),"
                + "\"unanswered\":\(errors.unanswered)}")
        let latencies = Self.percentiles.map { "\"\($0.name)\":\(rounded(microseconds(atPercentile: $0.value), 1))" }
        add("latency_us", "{" + latencies.joined(separator: ",") + "}")
        add("waiting_most", "\(measurement.waitingMost)")
        if let each = serverMicrosecondsPerDelivery, let share = serverShare {
            add("server_cpu_us_per_delivery", rounded(each, 3))
            add("server_busy", rounded(share, 3))
        }
        if let memory = measurement.serverResidentBytes { add("server_resident_bytes", "\(memory)") }
        add("generator_busy", rounded(ownShare, 3))
        return "{" + members.joined(separator: ",") + "}"
    }
}

/// `value` with so many digits behind the point.
func rounded(_ value: Double, _ digits: Int) -> String {
    var scale: UInt64 = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * Double(scale)).rounded()
    guard scaled < 1e18 else { return "\(value)" }
    let whole = UInt64(scaled)
    let sign = value < 0 && whole > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(whole)" }
    let fraction = String(whole % scale)
    return "\(sign)\(whole / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}
