// The reading of an object of kind Status.

public import Foundation

extension KubernetesStatus {
    /// Reads an object of kind Status; nil for any other body.
    public init?(json: Data) {
        struct Wire: Decodable {
            struct Details: Decodable {
                var name: String?
                var kind: String?
                var retryAfterSeconds: Int?
            }
            var kind: String?
            var reason: String?
            var message: String?
            var details: Details?
            var code: Int?
        }
        guard let wire = try? JSONDecoder().decode(Wire.self, from: json), wire.kind == "Status" else { return nil }
        self.init(
            reason: wire.reason, message: wire.message, detailsKind: wire.details?.kind,
            detailsName: wire.details?.name,
            detailsRetryAfterSeconds: wire.details?.retryAfterSeconds, code: wire.code)
    }
}
