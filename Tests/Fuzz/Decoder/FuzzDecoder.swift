// Fuzzes one decoder: of a sender's deliveries, of a system's receiver, or of a form of body. FUZZ_VARIANT names it (`variants` lists them
// all). A ruling comes out whatever the request, its status is one, what it masks lies within the request; and a delivery that was
// stored is decoded, whether it is what the sender means or not.

import Delivery
import FuzzDriver
import Glibc

@main
enum FuzzDecoder {
    static func main() {
        runFuzzer { data, count in
            FuzzDecoder.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    private static let decoder: Decoder = {
        let name = getenv("FUZZ_VARIANT").map { String(cString: $0) } ?? ""
        guard let decoder = Decoder(name) else { fatalError("FUZZ_VARIANT=\(name): `variants` lists the decoders") }
        return decoder
    }()

    static func test(_ bytes: UnsafeRawBufferPointer) {
        let request = request(bytes)
        switch decoder {
        case .json: testJSON(request.body)
        case .sender(let type, let rules):
            let event = request.field("x-event") ?? "push"
            if SenderTable.decode(type, request, eventName: event) == nil {
                _ = request.body.withUnsafeBytes {
                    decodeEvent(sender: type, eventKind: event, contentType: request.field("content-type"), body: $0)
                }
            }
            if let body = SenderTable.filterBody(type, request) {
                check(!body.serialized.isEmpty, "an empty text of JSON")
            }
            for rules in rules { test(rules, request) }
        case .receiver(let rules, _): test(rules, request)
        }
    }

    /// What begins with `/` is path and query in the first line, a header value in the second, and the body; all else is a body.
    private static func request(_ bytes: UnsafeRawBufferPointer) -> InboundRequest {
        var path = decoder.path
        var query: String?
        var value = "Bearer \(Decoder.secret)"
        var body = Array(bytes)
        if bytes.first == UInt8(ascii: "/") {
            let parts = bytes.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false)
            let line = String(decoding: parts[0], as: UTF8.self)
            let mark = line.firstIndex(of: "?")
            path = String(line[..<(mark ?? line.endIndex)])
            query = mark.map { String(line[line.index(after: $0)...]) }
            if parts.count > 1 { value = String(decoding: parts[1], as: UTF8.self) }
            body = parts.count > 2 ? Array(parts[2]) : []
        }
        // Mostly what the body looks like; sometimes what it does not.
        let types = ["application/json", "application/x-www-form-urlencoded", "application/yaml"]
        let looks = body.first.map { "{[\"".utf8.contains($0) ? 0 : body.prefix(64).contains(0x3d) ? 1 : 2 } ?? 0
        let sum = Int(body.reduce(0, &+))
        let type = types[sum % 8 == 7 ? sum / 8 % 3 : looks]
        let names = [
            "authorization", "x-hub-signature", "x-hub-signature-256", "x-gitlab-token", "x-event", "x-event-key",
            "x-github-event",
            "x-gitlab-event", "x-gitea-event", "webhook-id", "webhook-signature", "x-jfrog-event-auth", "ce-type",
        ]
        return InboundRequest(
            method: "POST", path: path, query: query,
            fields: [.init(name: "content-type", value: type)] + names.map { .init(name: $0, value: value) }, body: body
        )
    }

    private static func test(_ rules: any ReceiverRules, _ request: InboundRequest) {
        let ruling = rules.rule(on: request, now: 1_800_000_000_000_000_000)
        check((200...599).contains(ruling.answer.status), "status \(ruling.answer.status)")
        for place in ruling.credentials {
            switch place {
            case .field(let index): check(request.fields.indices.contains(index), "a field that is not there")
            case .fieldPart(let index, let range):
                check(request.fields[index].value.utf8.count >= range.upperBound, "beyond a field's value")
            case .path(let range): check(request.path.utf8.count >= range.upperBound, "beyond the path")
            case .query(let range): check((request.query ?? "").utf8.count >= range.upperBound, "beyond the query")
            case .body(let range): check(request.body.count >= range.upperBound, "beyond the body")
            }
        }
        let facts = DeliveryFacts(sequence: 1, receivedNanoseconds: 0, deliveryID: ruling.deliveryID ?? "")
        _ = rules.triggers(of: request, facts)
    }

    /// What is read, written out and read again is the same.
    private static func testJSON(_ body: [UInt8]) {
        _ = JSONValue.first(in: body)
        guard let value = JSONValue(body) else { return }
        check(JSONValue(value.serialized) == value, "JSON that is read as something else")
    }
}
