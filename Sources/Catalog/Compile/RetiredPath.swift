// RetiredPath: the path of a Flux Receiver before its token changed, served a while longer with the old token.

public import Delivery

/// Made when a rotation is noticed. Holds a secret: never printed, written to disk for the owner only.
public struct RetiredPath: Sendable, Equatable {
    public var identity: RouteIdentity
    public var path: String
    public var secret: SecretBytes
    /// Unix time in seconds from which it is no longer served.
    public var expiresAt: Int

    public init(identity: RouteIdentity, path: String, secret: SecretBytes, expiresAt: Int) {
        self.identity = identity
        self.path = path
        self.secret = secret
        self.expiresAt = expiresAt
    }
}
