// VerifyCause: why a delivery was refused. The closed set behind the metric label `reason`; never part of an answer.

/// Why proof failed.
public enum VerifyCause: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case none = 0
    case signatureMissing
    case signatureRepeated
    case signaturePrefix
    case signatureMalformed
    case signatureWrong
    case tokenMissing
    case tokenRepeated
    case tokenWrong
    case contentTypeWrong
    case eventNotListed
    case secretUnusable

    /// The label's value.
    public var name: String {
        switch self {
        case .none: "none"
        case .signatureMissing: "signature-missing"
        case .signatureRepeated: "signature-repeated"
        case .signaturePrefix: "signature-prefix"
        case .signatureMalformed: "signature-malformed"
        case .signatureWrong: "signature-wrong"
        case .tokenMissing: "token-missing"
        case .tokenRepeated: "token-repeated"
        case .tokenWrong: "token-wrong"
        case .contentTypeWrong: "content-type-wrong"
        case .eventNotListed: "event-not-listed"
        case .secretUnusable: "secret-unusable"
        }
    }

    /// What an operator should look at, for the log.
    public var hint: String {
        switch self {
        case .none: ""
        case .signatureMissing: "the request has no signature field: is a secret set at the sender?"
        case .signatureRepeated: "the signature field occurs more than once: a proxy may have added one"
        case .signaturePrefix: "the signature has no known algorithm prefix"
        case .signatureMalformed: "the signature is not a digest of the right length and encoding"
        case .signatureWrong:
            "no secret of this route matches: is the secret the same on both sides, without a trailing newline?"
        case .tokenMissing: "the request has no token field: is a secret token set at the sender?"
        case .tokenRepeated: "the token field occurs more than once: a proxy may have added one"
        case .tokenWrong: "no secret of this route matches the token"
        case .contentTypeWrong: "choose application/json or application/x-www-form-urlencoded at the sender"
        case .eventNotListed: "the event is not in spec.events of the Receiver"
        case .secretUnusable: "the Secret of this route is missing or has no usable key"
        }
    }
}

/// Why a verified delivery causes nothing. Codes are written into the journal: never renumber.
public enum IgnoredReason: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case eventNotListed = 1
    case ping = 2
    case routeRemoved = 3

    public var name: String {
        switch self {
        case .eventNotListed: "event-not-listed"
        case .ping: "ping"
        case .routeRemoved: "route-removed"
        }
    }
}
