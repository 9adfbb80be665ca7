// SenderTable: the senders with rules of their own. A new sender is one file in Senders/, one line here, one folder of fixtures.

public enum SenderTable {
    static let all: [any Sender.Type] = [
        Bitbucket.self, Harbor.self, DockerHub.self, Quay.self, GCR.self, Nexus.self, ACR.self, CDEvents.self,
        GenericOIDC.self, Gitea.self, StandardWebhooks.self, JFrog.self, DockerRegistry.self, AzureDevOps.self,
        TokenSender.self, BasicSender.self, UnverifiedSender.self,
    ]

    /// What a sender may name a delivery or an event with.
    static let deliveryIDBytesMax = 256

    private static let byType: [SenderType: any Sender.Type] = Dictionary(
        all.map { ($0.type, $0) }, uniquingKeysWith: { first, _ in first })

    /// nil for the types that are proven on the loop.
    static func sender(_ type: SenderType) -> (any Sender.Type)? { byType[type] }

    /// Whether `SenderRules` judge this type.
    public static func hasRules(_ type: SenderType) -> Bool { byType[type] != nil }

    /// How a Hook of that type may be proven, the default first; empty for the types that are proven on the loop.
    public static func credentials(of type: SenderType) -> [SenderCredential] { sender(type)?.credentials ?? [] }

    /// What the deliveries of a Hook of that type tell about the event's name.
    public static func eventNaming(of type: SenderType) -> EventNaming {
        switch type {
        case .github, .gitlab: .each
        default: sender(type)?.eventNaming ?? .never
        }
    }

    /// Whether deliveries of that type have an id that the sender repeats; without one nothing is ever a duplicate.
    public static func hasDeliveryID(_ type: SenderType) -> Bool {
        switch type {
        case .github, .gitlab: true
        default: sender(type)?.hasDeliveryID ?? false
        }
    }

    /// Why a secret can prove nothing for that type, with the remedy; nil: it can. Never shows it.
    public static func problem(_ type: SenderType, secret: SecretBytes) -> String? {
        guard type == .standardWebhooks, StandardWebhooksKey(secret) == nil else { return nil }
        return StandardWebhooksKey.remedy(for: secret)
    }

    /// Why a Hook of that type cannot be served as configured; nil: it can. A Hook is never open but by its type's name.
    public static func problem(
        _ type: SenderType, _ configuration: SenderConfiguration, secretCount: Int
    ) -> String? {
        guard let sender = sender(type) else { return nil }
        if let wanted = configuration.credential, !sender.credentials.contains(where: { $0.name == wanted.name }) {
            let known = sender.credentials.map(\.name).joined(separator: ", ")
            return "type \(type.name) cannot be proven by \(wanted.name); it knows \(known)"
        }
        switch type {
        case .unverified: return nil
        case .genericOIDC:
            return configuration.providers.isEmpty ? "type generic-oidc needs at least one oidcProvider" : nil
        case .gcr:
            let isWhole = !(configuration.email ?? "").isEmpty && !(configuration.audience ?? "").isEmpty
            return isWhole ? nil : "type gcr needs the email of the service account and the audience"
        default: return secretCount > 0 ? nil : "type \(type.name) needs a secret: without one anybody could call it"
        }
    }

    /// What a stored delivery says; nil for the types that `decodeEvent` reads.
    public static func decode(_ type: SenderType, _ request: InboundRequest, eventName: String) -> SenderEvent? {
        sender(type)?.decode(request, eventName: eventName)
    }

    /// What filters see as `req` instead of the body; nil: the body itself.
    public static func filterBody(_ type: SenderType, _ request: InboundRequest) -> JSONValue? {
        sender(type)?.filterBody(request)
    }

    /// nil for what is empty, too long, or holds anything but visible ASCII: such a delivery is never deduplicated.
    static func deliveryID(_ text: String) -> String? {
        let bytes = text.utf8
        guard !bytes.isEmpty, bytes.count <= deliveryIDBytesMax, bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        return text
    }

    /// A body of whatever git host stands behind a hook of its own making.
    static func anyGitHost(_ request: InboundRequest) -> SenderEvent {
        let event = unsafe request.body.withUnsafeBytes { body in
            unsafe decodeEvent(
                sender: .generic, eventKind: nil, contentType: request.field("content-type"), body: body)
        }
        return SenderEvent(event)
    }
}
