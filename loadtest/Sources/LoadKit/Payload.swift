// Payload: the body of a delivery, of an exact size, with a marker that makes each one different.
//
// The document is a real GitHub push (octokit/webhooks, MIT) without its insignificant blanks. Two members are added
// behind its own: `marker`, whose sixteen hexadecimal digits are overwritten in place for each delivery, and `padding`,
// which brings the body to its size. A size that the push does not fit into gets a push of two members instead.

/// A template of delivery bodies, all of one size.
public struct Payload: Sendable {
    /// A whole body; the marker's digits are zeros.
    public let bytes: [UInt8]
    /// Where the marker's digits are.
    public let markerOffset: Int
    public static let markerCount = 16

    /// The smallest body there is.
    public static let byteCountMin = 96

    /// A body of exactly `byteCount` bytes made from `document`, a JSON object. nil asks for the bundled push; its size
    /// is then `byteCount`, at least `byteCountMin`.
    /// - Throws: `PayloadError` when the document is no object or does not fit.
    public init(byteCount: Int, document: [UInt8]? = nil) throws(PayloadError) {
        guard byteCount >= Self.byteCountMin else { throw .tooSmall(minimum: Self.byteCountMin) }
        let tail = Array(#","marker":"0000000000000000","padding":""}"#.utf8)
        var head = Self.opened(document ?? PackageResources.github_push_json)
        if head.count + tail.count > byteCount {
            guard document == nil else { throw .tooSmall(minimum: head.count + tail.count) }
            head = Array(#"{"ref":"refs/heads/main""#.utf8)
        }
        guard head.first == UInt8(ascii: "{"), head.count > 1 else { throw .notAnObject }
        let padding = byteCount - head.count - tail.count
        markerOffset = head.count + #","marker":""#.utf8.count
        bytes = head + tail.dropLast(2) + Array(repeating: UInt8(ascii: "p"), count: padding) + tail.suffix(2)
    }

    /// The document without its closing brace and the blanks around it.
    private static func opened(_ document: [UInt8]) -> [UInt8] {
        let blanks: Set<UInt8> = [0x20, 0x09, 0x0a, 0x0d]
        var end = document.count
        while end > 0, blanks.contains(document[end - 1]) { end -= 1 }
        guard end > 0, document[end - 1] == UInt8(ascii: "}") else { return [] }
        end -= 1
        while end > 0, blanks.contains(document[end - 1]) { end -= 1 }
        var start = 0
        while start < end, blanks.contains(document[start]) { start += 1 }
        return Array(document[start..<end])
    }
}

public enum PayloadError: Error, Equatable, CustomStringConvertible {
    case tooSmall(minimum: Int)
    case notAnObject

    public var description: String {
        switch self {
        case .tooSmall(let minimum): "the body cannot be smaller than \(minimum) bytes"
        case .notAnObject: "the payload is not a JSON object with at least one member"
        }
    }
}
