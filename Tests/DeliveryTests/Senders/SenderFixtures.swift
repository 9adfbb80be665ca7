import Testing

@testable import Delivery

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The folder `Tests/Fixtures/flux`, found from this file.
enum SenderFixtures {
    static let folder: String = {
        var path = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        path.removeLast(3)
        return path.joined(separator: "/") + "/Fixtures/flux/"
    }()

    static func bytes(_ name: String) throws -> [UInt8] {
        try Array(Data(contentsOf: URL(fileURLWithPath: folder + name)))
    }

    static func json(_ name: String) throws -> JSONValue { try #require(JSONValue(bytes(name))) }
}

/// 2025-06-15T15:06:40Z, within the life of every token of the fixtures that is in time.
let senderNow: UInt64 = 1_750_000_000 * 1_000_000_000

func senderRequest(
    _ fields: [(String, String)] = [], body: [UInt8] = [], method: String = "POST", path: String = "/hooks/team/app",
    query: String? = nil
) -> InboundRequest {
    InboundRequest(
        method: method, path: path, query: query,
        fields: fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, body: body)
}

func senderSecret(_ text: String) -> SecretBytes { SecretBytes(Array(text.utf8)) }

func senderHook(
    _ type: SenderType, _ secrets: [String], events: [String] = [],
    _ configuration: SenderConfiguration = SenderConfiguration()
) throws -> SenderRules {
    try #require(
        SenderRules(
            sender: type, isFlux: false, secrets: secrets.map(senderSecret), events: events,
            configuration: configuration,
            actions: [.log]))
}

func senderHex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

extension Ruling {
    var senderCause: VerifyCause? { if case .refused(let cause) = decision { cause } else { nil } }
    var senderAccepts: Bool { decision == .accepted }
}

/// Small and fast, seeded: xorshift64*.
struct SenderRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 2_685_821_657_736_338_717
    }
}
