// AdminRequest, AdminAnswer: what the admin listener passes on and gets back, without anything of the transport.

internal import Delivery
internal import NIOHTTP1

/// A whole request.
struct AdminRequest: Sendable {
    var method: HTTPMethod
    /// Decoded, without the query.
    var path: String
    /// Decoded, in the order in which they stand.
    var query: [(name: String, value: String)] = []
    var headers = HTTPHeaders()
    var body: [UInt8] = []
    var listener = AdminListener.Role.full
    /// The listener is bound to a loopback address.
    var isOnLoopback = true

    /// nil when path or query are not percent-encoded UTF-8.
    init?(method: HTTPMethod, target: String, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = parts.first.flatMap({ Self.decoded($0, plusIsSpace: false) }) else { return nil }
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        guard parts.count > 1 else { return }
        for pair in parts[1].split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(sides[0], plusIsSpace: true),
                let value = Self.decoded(sides.count > 1 ? sides[1] : "", plusIsSpace: true)
            else { return nil }
            query.append((name, value))
        }
    }

    private static func decoded(_ text: Substring, plusIsSpace: Bool) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(UInt8(ascii: " "))
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// One whole answer of the admin listener.
struct AdminAnswer: Sendable {
    var status: HTTPResponseStatus
    var contentType = "text/plain; charset=utf-8"
    var bytes: [UInt8]
    var fields: [(name: String, value: String)] = []

    init(status: HTTPResponseStatus, contentType: String = "text/plain; charset=utf-8", body: String) {
        self.init(status: status, contentType: contentType, bytes: Array(body.utf8))
    }

    init(status: HTTPResponseStatus, contentType: String, bytes: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.bytes = bytes
    }

    /// A JSON text with a line end behind it.
    static func json(_ value: JSONValue, status: HTTPResponseStatus = .ok) -> AdminAnswer {
        AdminAnswer(status: status, contentType: "application/json", bytes: value.serialized + [0x0a])
    }

    /// Why there is nothing else, and what to do: `{"error": {"code": …, "message": …}}`.
    static func problem(_ status: HTTPResponseStatus, _ code: String, _ message: String) -> AdminAnswer {
        json(["error": ["code": .string(code), "message": .string(message)]], status: status)
    }
}

/// What becomes of a request.
enum AdminReply: Sendable {
    case answer(AdminAnswer)
    /// Reads a disk or waits: carried out on a thread of its own.
    case work(@Sendable () -> AdminAnswer)
    /// Server-sent events until the client goes; behind a place, where it comes again.
    case events(DeliveryFilter, after: EventPlace?)
}

/// One address to listen on.
struct AdminListener: Sendable {
    enum Role: Sendable {
        /// Everything.
        case full
        /// Health and metrics, for probes and scrapers.
        case metrics
    }

    var endpoint: Endpoint
    var role: Role
}

/// Decides what each request gets. Called on the admin thread: must not wait.
protocol AdminResponder: Sendable {
    func reply(to request: AdminRequest) -> AdminReply
}
