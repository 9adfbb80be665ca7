// PrometheusText: figures in the text exposition format, version 0.0.4.
//
// One family after the other: HELP, TYPE, then its samples. Numbers never depend on a locale. Label values are escaped, though they
// only ever come from closed sets and from the catalog.
// Source: prometheus.io, "Exposition formats".

/// Builds one scrape's answer.
public struct PrometheusText {
    public enum Kind: String { case counter, gauge, histogram }

    /// The text so far.
    public private(set) var text = ""
    private var family = ""

    public init() { text.reserveCapacity(16 << 10) }

    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Begins a family. `help` is one line.
    public mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        family = name
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// A sample of the family.
    public mutating func sample(_ labels: [(String, String)] = [], _ value: Double) {
        text += "\(family)\(Self.render(labels)) \(Self.number(value))\n"
    }

    public mutating func sample(_ labels: [(String, String)] = [], _ value: UInt64) {
        text += "\(family)\(Self.render(labels)) \(value)\n"
    }

    /// The sum of several histograms of equal bounds as one distribution: the figures of all loops.
    public mutating func histogram(_ labels: [(String, String)] = [], _ parts: [Histogram]) {
        guard let bounds = parts.first?.bounds else { return }
        var cumulative: UInt64 = 0
        for (index, bound) in bounds.enumerated() {
            for part in parts { cumulative += part.bucketCount(index) }
            text += "\(family)_bucket\(Self.render(labels + [("le", Self.number(bound))])) \(cumulative)\n"
        }
        // A bucket and the count may be read a moment apart: the count is never below its buckets.
        let count = max(cumulative, parts.reduce(0) { $0 + $1.count })
        text += "\(family)_bucket\(Self.render(labels + [("le", "+Inf")])) \(count)\n"
        text += "\(family)_sum\(Self.render(labels)) \(Self.number(parts.reduce(0) { $0 + $1.sum }))\n"
        text += "\(family)_count\(Self.render(labels)) \(count)\n"
    }

    /// One family with one sample.
    public mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: UInt64) {
        begin(name, kind, help)
        sample([], value)
    }

    public mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        begin(name, kind, help)
        sample([], value)
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return "\(Int64(value))" }
        return "\(value)"
    }

    private static func render(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.0)=\"\(escape($0.1))\"" }.joined(separator: ",") + "}"
    }

    static func escape(_ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
