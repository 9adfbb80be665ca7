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
    case methodNotAllowed
    case bodyMalformed
    case timestampMalformed
    case timestampOutOfRange
    case idTokenMissing
    case idTokenRefused
    case credentialsMissing
    case credentialsWrong
    case receiverUnknown
    case pathMalformed
    case parametersWrong

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
        case .methodNotAllowed: "method-not-allowed"
        case .bodyMalformed: "body-malformed"
        case .timestampMalformed: "timestamp-malformed"
        case .timestampOutOfRange: "timestamp-out-of-range"
        case .idTokenMissing: "id-token-missing"
        case .idTokenRefused: "id-token-refused"
        case .credentialsMissing: "credentials-missing"
        case .credentialsWrong: "credentials-wrong"
        case .receiverUnknown: "receiver-unknown"
        case .pathMalformed: "path-malformed"
        case .parametersWrong: "parameters-wrong"
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
        case .methodNotAllowed: "the sender must use POST"
        case .bodyMalformed: "the body is not what this sender sends: is another service behind this address?"
        case .timestampMalformed: "the timestamp field is missing or no number of seconds since 1970"
        case .timestampOutOfRange: "the delivery is too old or from the future: compare the clocks of both sides"
        case .idTokenMissing: "Authorization header is missing"
        case .idTokenRefused: "verify OIDC token: the token does not prove what this route demands"
        case .credentialsMissing: "the request bears no credentials: are they set at the sender?"
        case .credentialsWrong: "the credentials are not those of this route"
        case .receiverUnknown: "no receiver of that name: is the address right?"
        case .pathMalformed: "the path has too few or too many parts: copy the address again"
        case .parametersWrong: "the body asks for something this receiver does not allow"
        }
    }
}

/// Why a verified delivery causes nothing. Codes are written into the journal: never renumber.
public enum IgnoredReason: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case eventNotListed = 1
    case ping = 2
    case routeRemoved = 3
    case filtered = 4
    case refMismatch = 5
    case branchDeleted = 6
    case eventIrrelevant = 7
    case repositoryUnknown = 8
    case noTarget = 9
    case upToDate = 10
    case bodyUnusable = 11
    case repositoryMismatch = 12
    case referencePinned = 13

    public var name: String {
        switch self {
        case .eventNotListed: "event-not-listed"
        case .ping: "ping"
        case .routeRemoved: "route-removed"
        case .filtered: "filtered"
        case .refMismatch: "ref-mismatch"
        case .branchDeleted: "branch-deleted"
        case .eventIrrelevant: "event-irrelevant"
        case .repositoryUnknown: "repository-unknown"
        case .noTarget: "no-target"
        case .upToDate: "up-to-date"
        case .bodyUnusable: "body-unusable"
        case .repositoryMismatch: "repository-mismatch"
        case .referencePinned: "reference-pinned"
        }
    }

    /// The value of the answer's Grapnel-Decision field.
    public var decision: StaticString {
        switch self {
        case .eventNotListed: "ignored;event-not-listed"
        case .ping: "ignored;ping"
        case .routeRemoved: "ignored;route-removed"
        case .filtered: "ignored;filtered"
        case .refMismatch: "ignored;ref-mismatch"
        case .branchDeleted: "ignored;branch-deleted"
        case .eventIrrelevant: "ignored;event-irrelevant"
        case .repositoryUnknown: "ignored;repository-unknown"
        case .noTarget: "ignored;no-target"
        case .upToDate: "ignored;up-to-date"
        case .bodyUnusable: "ignored;body-unusable"
        case .repositoryMismatch: "ignored;repository-mismatch"
        case .referencePinned: "ignored;reference-pinned"
        }
    }
}
