// RepeatKey: by what an object that an action creates is known again, when nobody knows whether an earlier attempt created it: the process
// was killed between action and outcome, or the answer was lost.
//
// 64 bits of FNV-1a over the journal's name, the delivery's sequence there (of an adopted delivery: its first journal and sequence) and
// the entry of the plan as it is stored; 13 characters that may stand in labels. It proves nothing and need not: it stands
// among one object's builds in one namespace.

import Delivery
import Kubernetes

/// Names one entry of one delivery's plan, the same after every restart.
public struct RepeatKey: Sendable, Hashable, CustomStringConvertible {
    /// On Builds and S2iRuns.
    public static let label = "grapnel.dev/delivery"

    /// 13 characters: digits and `a` to `v`.
    public let description: String

    init(_ origin: DeliveryOrigin, _ entry: EncodedPlanEntry) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        for value in [origin.journal, origin.sequence] {
            for shift in stride(from: 0, to: 64, by: 8) { add(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
        }
        add(entry.actionKind)
        for byte in entry.target { add(byte) }
        let digits = Array("0123456789abcdefghijklmnopqrstuv".utf8)
        description = String(decoding: (0..<13).map { digits[Int(hash >> (60 - 5 * UInt64($0)) & 31)] }, as: UTF8.self)
    }

    /// `object` with the label; as it is when it is no JSON object.
    func labelling(_ object: [UInt8]) -> [UInt8] { Self.labelling(object, description) }

    /// The same with whatever text in place of a key, for those who tell what would be sent.
    public static func labelling(_ object: [UInt8], _ key: String) -> [UInt8] {
        guard var members = JSONValue(object)?.members else { return object }
        change("metadata", of: &members) { metadata in
            change("labels", of: &metadata) { labels in
                labels = labels.filter { $0.name != label }
                labels.append(.init(name: label, value: .string(key)))
            }
        }
        return JSONValue.object(members).serialized
    }

    /// Whether an object of the namespace has the label. Without the right to look none is found: to do it twice is better than never.
    func isCarried(
        by resource: APIResource, in namespace: String, _ client: KubernetesClient
    ) async throws(KubernetesError) -> Bool {
        do throws(KubernetesError) {
            let found = try await client.listMetadata(
                resource, namespace: namespace, labelSelector: "\(Self.label)=\(self)")
            return !found.isEmpty
        } catch {
            if error.statusCode == 403 { return false }
            throw error
        }
    }

    private static func change(
        _ name: String, of members: inout [JSONValue.Member], _ body: (inout [JSONValue.Member]) -> Void
    ) {
        let index = members.firstIndex { $0.name == name }
        var inner = index.flatMap { members[$0].value.members } ?? []
        body(&inner)
        if let index {
            members[index].value = .object(inner)
        } else {
            members.append(.init(name: name, value: .object(inner)))
        }
    }
}
