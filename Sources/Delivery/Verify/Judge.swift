// The senders' rules behind one table: how a head proves itself, which field names the event and the delivery, what may be kept
// on disk, and what a proven delivery is good for. No I/O, no allocation.

internal import CCrypto
public import HTTP

extension RouteTable {
    /// Reads the proof out of a complete head. A token is settled here, a digest at the end of the turn.
    public func prove(_ head: HeadView, route: Int) -> Proof {
        let facts = unsafe facts(route)
        if unsafe facts.pointee.readiness == .secretUnusable { return .refused(.secretUnusable) }
        let isFlux = unsafe facts.pointee.kind == .receiver
        switch unsafe facts.pointee.sender {
        case .generic: return .proven
        case .genericHMAC:
            let proof = GenericHMAC.prove(head)
            // SHA-1 is Flux's protocol; alone it never proves a Hook's delivery.
            let isWeak = proof.state == .awaitsDigest && proof.algorithm == UInt8(CC_SHA1)
            return isWeak && !isFlux ? .refused(.signaturePrefix) : proof
        case .github: return isFlux ? GitHub.proveForFlux(head) : GitHub.prove(head)
        case .gitlab: return unsafe GitLab.prove(head, secrets: facts.pointee.secrets, of: secretTable, isFlux: isFlux)
        case .hmac:
            guard let scheme = unsafe facts.pointee.scheme else { return .refused(.secretUnusable) }
            return unsafe ConfiguredHMAC.prove(
                head, scheme, view(facts.pointee.schemeHeader), view(facts.pointee.schemePrefix))
        // These have rules of their own, which prove them; without, nothing does.
        default: return .refused(.secretUnusable)
        }
    }

    /// Which fields of this sender name the event and the delivery. Absent ones are empty ranges.
    public func labels(_ head: HeadView, route: Int) -> DeliveryLabels {
        switch sender(of: route) {
        case .github:
            return DeliveryLabels(
                event: head.first(.xGitHubEvent).value ?? .empty,
                deliveryID: head.first(.xGitHubDelivery).value ?? .empty,
                secondID: .empty)
        case .gitlab:
            let event = head.first(.xGitlabEvent).value ?? .empty
            if let key = head.first(.idempotencyKey).value, key.count > 0 {
                return DeliveryLabels(event: event, deliveryID: key, secondID: .empty)
            }
            // Older versions: the event's id is shared by recursive hooks, so the hook's own id joins it.
            return DeliveryLabels(
                event: event, deliveryID: head.first(.xGitlabEventUUID).value ?? .empty,
                secondID: head.first(.xGitlabWebhookUUID).value ?? .empty)
        default:
            return DeliveryLabels(event: .empty, deliveryID: .empty, secondID: .empty)
        }
    }

    /// What a proven delivery is good for.
    public func judge(_ head: HeadView, _ labels: DeliveryLabels, route: Int) -> Judgement {
        let sender = sender(of: route)
        guard sender == .github || sender == .gitlab else { return .accepted }
        let event = unsafe head.bytes(labels.event)
        if unsafe accepts(event: event, route: route) {
            // A ping that nobody listed says only that the hook exists.
            if unsafe kind(of: route) == .hook && facts(route).pointee.acceptsAnyEvent && equals(event, "ping") {
                return .ignored(.ping)
            }
            return .accepted
        }
        var other = sibling(of: route)
        while other >= 0 {
            if unsafe isReady(other) && accepts(event: event, route: other) { return .accepted }
            other = sibling(of: other)
        }
        if kind(of: route) == .receiver { return .refused(.eventNotListed) }
        return unsafe equals(event, "ping") ? .ignored(.ping) : .ignored(.eventNotListed)
    }

    /// Whether a proven delivery to a path is also, or only, for this one of several siblings.
    public func concerns(_ head: UnsafeRawPointer, _ labels: DeliveryLabels, route: Int) -> Bool {
        guard isReady(route) else { return false }
        let sender = sender(of: route)
        guard sender == .github || sender == .gitlab else { return true }
        let event = unsafe UnsafeRawBufferPointer(
            start: head + Int(labels.event.offset), count: Int(labels.event.count))
        return unsafe accepts(event: event, route: route)
    }

    /// Overwrites what serves as proof with `*`, in place, so that it never reaches the disk. Signatures stay. Called when the
    /// proof was read and before the record is written. `bytes` is the memory that `head` looks at.
    public func maskCredentials(_ head: HeadView, path: ByteRange, in bytes: UnsafeMutableRawPointer, route: Int) {
        for index in unsafe 0..<head.fields.count {
            let field = unsafe head.fields[index]
            switch field.known {
            case .authorization, .proxyAuthorization, .cookie, .xGitlabToken: unsafe Self.mask(field.value, in: bytes)
            default: break
            }
        }
        // A Flux path is derived from the token and, for generic receivers, is the only secret there is.
        if kind(of: route) == .receiver {
            let view = unsafe head.bytes(path)
            var start = view.count
            while unsafe start > 0 && view[start - 1] != 0x2f { start -= 1 }
            let segment = ByteRange(offset: path.offset + UInt32(start), count: path.count - UInt32(start))
            unsafe Self.mask(segment, in: bytes)
        }
    }

    private static func mask(_ range: ByteRange, in bytes: UnsafeMutableRawPointer) {
        for offset in Int(range.offset)..<Int(range.offset) + Int(range.count) {
            unsafe bytes.storeBytes(of: 0x2a, toByteOffset: offset, as: UInt8.self)
        }
    }
}

/// Ranges of a head.
public struct DeliveryLabels: Sendable {
    public var event: ByteRange
    public var deliveryID: ByteRange
    /// Joins the first one for the dedupe key; empty for most senders.
    public var secondID: ByteRange

    public static var none: DeliveryLabels { DeliveryLabels(event: .empty, deliveryID: .empty, secondID: .empty) }

    public init(event: ByteRange, deliveryID: ByteRange, secondID: ByteRange) {
        self.event = event
        self.deliveryID = deliveryID
        self.secondID = secondID
    }
}

/// What to do with a proven delivery.
public enum Judgement: Sendable, Equatable, BitwiseCopyable {
    case accepted
    /// Stored, answered 2xx, and nothing is done.
    case ignored(IgnoredReason)
    /// Flux Receivers answer an unlisted event as they answer a bad signature.
    case refused(VerifyCause)
}
