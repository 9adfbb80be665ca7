// Type none: nobody is asked who they are. Only where a manifest says so in that word; for networks that prove the sender otherwise.

enum UnverifiedSender: Sender {
    static let type = SenderType.unverified
    static let credentials: [SenderCredential] = [.nothing]
    static let eventNaming = EventNaming.never

    static func prove(_ request: InboundRequest, _ keys: SenderKeys) -> SenderProof {
        // A Flux Receiver has no such type.
        keys.isFlux ? .refused(.secretUnusable) : .proven
    }

    static func decode(_ request: InboundRequest, eventName: String) -> SenderEvent { SenderTable.anyGitHost(request) }
}
