// SimulatedRequest: one request of a simulated sender, with what must become of it, and the source of many.

import CCrypto
import Delivery

@testable import Grapnel

struct SimulatedRequest {
    enum Expectation: Equatable {
        /// Proven, and leads to something: accepted, or the repeat of one that was.
        case accepted
        /// Proven, and stored without effect.
        case stored
        case ignored
        case refused(UInt16)
        /// The parser's refusal: answered, then closed.
        case closed(UInt16)

        var isProven: Bool {
            switch self {
            case .accepted, .stored, .ignored: true
            case .refused, .closed: false
            }
        }
    }

    var route: Int
    /// Empty: none.
    var deliveryID: String
    /// Stands in the body, and in the body of repeats alone.
    var tag: String
    var bytes: [UInt8]
    var body: [UInt8]
    var expectation: Expectation
    /// What the event is about; empty in garbage.
    var ref = ""

    /// Equal for repeats of one delivery; nil where nothing is a repeat.
    var key: String? {
        deliveryID.isEmpty || SimulatedRoutes.window(route) == 0 || expectation == .ignored
            ? nil : "\(route)/\(deliveryID)/\(tag)"
    }
}

/// Makes requests of every kind; some are repeats of earlier ones.
struct SimulatedSender {
    private var count = 0
    private var proven: [SimulatedRequest] = []

    mutating func next(_ random: inout SeededGenerator) -> SimulatedRequest {
        if !proven.isEmpty, random.chance(20) {
            // Mostly of the latest, which are under way; the same id with another body now and then.
            let recent = proven.suffix(random.chance(70) ? 4 : 40)
            let earlier = recent.randomElement(using: &random)!
            if random.chance(85) { return earlier }
            return make(&random, route: earlier.route, id: earlier.deliveryID)
        }
        let route = Int.random(in: 0..<SimulatedRoutes.all.count, using: &random)
        let request = make(&random, route: route, id: nil)
        if request.expectation.isProven { proven.append(request) }
        return request
    }

    /// A good one for this route.
    mutating func good(_ random: inout SeededGenerator, route: Int) -> SimulatedRequest {
        make(&random, route: route, id: nil, isGood: true)
    }

    private mutating func make(
        _ random: inout SeededGenerator, route: Int, id: String?, isGood: Bool = false
    ) -> SimulatedRequest {
        count += 1
        let definition = SimulatedRoutes.all[route]
        let tag = "tag-\(count)-of-\(route);"
        let id = id ?? (random.chance(90) ? "id-\(count)" : "")
        let padding = [0, 200, 2_000, 20_000][[0, 1, 1, 1, 2, 2, 3][Int.random(in: 0..<7, using: &random)]]
        let ref = "refs/heads/\(["main", "next", "fix"][Int.random(in: 0..<3, using: &random)])"
        let body =
            Array("{\"ref\":\"\(ref)\",\"tag\":\"\(tag)\",\"p\":\"".utf8) + [UInt8](repeating: 0x78, count: padding)
            + Array("\"}".utf8)
        var path = definition.path
        var method = "POST"
        var secret = SimulatedRoutes.secret(route)
        var isSigned = true
        var isListed = true
        var expectation = definition.actions.isEmpty ? SimulatedRequest.Expectation.stored : .accepted
        let refused: UInt16 = definition.identity.kind == .receiver ? 400 : 401
        switch isGood ? 20 : Int.random(in: 0..<24, using: &random) {
        case 0, 1:
            secret = Array("another-secret-of-nobody".utf8)
            expectation = .refused(refused)
        case 2:
            isSigned = false
            expectation = .refused(refused)
        case 3:
            isListed = false
            // A Flux Receiver refuses what it does not list; the others leave it alone.
            expectation = definition.identity.kind == .receiver ? .refused(400) : .ignored
        case 4:
            path = "/hooks/nobody"
            expectation = .refused(404)
        case 5:
            method = "PUT"
            expectation = .refused(405)
        case 6:
            let garbage = ["POST  / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\nHost: a\r\n\r\n", "\u{1}\r\n\r\n"]
            let bytes = Array(garbage.randomElement(using: &random)!.utf8)
            return SimulatedRequest(
                route: route, deliveryID: "", tag: tag, bytes: bytes, body: [], expectation: .closed(400))
        default: break
        }
        var head = "\(method) \(path) HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        switch definition.sender {
        case .gitlab:
            head += "X-Gitlab-Event: \(isListed ? "Push Hook" : "Tag Push Hook")\r\n"
            if isSigned { head += "X-Gitlab-Token: \(String(decoding: secret, as: UTF8.self))\r\n" }
            if !id.isEmpty { head += "Idempotency-Key: \(id)\r\n" }
        case .gitea:
            head += "X-Gitea-Event: \(isListed ? "push" : "release")\r\n"
            if isSigned { head += "X-Gitea-Signature: \(Script.sign(body, secret).dropFirst(7))\r\n" }
            if !id.isEmpty { head += "X-Gitea-Delivery: \(id)\r\n" }
        default:
            head += "X-GitHub-Event: \(isListed ? "push" : "release")\r\n"
            if isSigned { head += "X-Hub-Signature-256: \(Script.sign(body, secret))\r\n" }
            if !id.isEmpty { head += "X-GitHub-Delivery: \(id)\r\n" }
        }
        return SimulatedRequest(
            route: route, deliveryID: id, tag: tag, bytes: Array(head.utf8) + Self.framed(body, &random),
            body: body, expectation: expectation, ref: ref)
    }

    /// The end of the head and the body, with a length or in chunks.
    private static func framed(
        _ body: [UInt8], _ random: inout SeededGenerator
    ) -> [UInt8] {
        guard random.chance(25) else { return Array("Content-Length: \(body.count)\r\n\r\n".utf8) + body }
        var bytes = Array("Transfer-Encoding: chunked\r\n\r\n".utf8)
        var offset = 0
        while offset < body.count {
            // Not too small: a body of one-byte chunks is refused.
            let count = min(body.count - offset, Int.random(in: 40...5000, using: &random))
            bytes += Array((String(count, radix: 16) + "\r\n").utf8) + body[offset..<offset + count] + [13, 10]
            offset += count
        }
        return bytes + Array("0\r\n\r\n".utf8)
    }
}
