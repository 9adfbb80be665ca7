// HTTPParseError: every reason for which a request is refused before anybody asks what it wants.
//
// Each closes the connection, and nothing behind it in the buffer is looked at: after a framing error nobody knows
// where the next request begins (RFC 9112 section 2.2).

/// Why a request was refused. A closed set: `name` is a log field and a metric label.
public enum HTTPParseError: UInt8, Error, Equatable, Sendable, CaseIterable {
    // Line ends (RFC 9112 section 2.2).
    case bareLineFeed
    case bareCarriageReturn
    case repeatedEmptyLine

    // Request line (RFC 9112 section 3).
    case invalidMethod
    case unsupportedMethod
    case malformedRequestLine
    case requestLineTooLong
    case invalidTarget
    case invalidVersion
    case unsupportedVersion

    // Header fields (RFC 9112 section 5).
    case headTooLarge
    case tooManyFields
    case invalidFieldName
    case emptyFieldName
    case blankBeforeColon
    case missingColon
    case invalidFieldValue
    case blankBeforeFirstField
    case obsoleteLineFolding

    // Host (RFC 9112 section 3.2).
    case missingHost
    case repeatedHost
    case invalidHost

    // Body length (RFC 9112 section 6).
    case repeatedContentLength
    case invalidContentLength
    case repeatedTransferEncoding
    case unsupportedTransferEncoding
    case transferEncodingInOldVersion
    case contentLengthWithTransferEncoding
    case bodyTooLarge

    // Expectation (RFC 9110 section 10.1.1).
    case unknownExpectation

    // Chunked coding (RFC 9112 section 7.1).
    case invalidChunkSize
    case chunkSizeTooLong
    case invalidChunkExtension
    case chunkLineTooLong
    case chunkExtensionsTooLong
    case chunkOverheadTooLarge
    case missingChunkEnd
    case trailerTooLarge
    case tooManyTrailerFields

    // Deadlines. Thrown by nobody here: the owner of the clock uses them, so that one table has all refusals.
    case headTimeout
    case bodyTimeout

    /// The status code to answer with, before closing.
    public var status: UInt16 {
        switch self {
        case .headTimeout, .bodyTimeout: 408
        case .bodyTooLarge: 413
        case .requestLineTooLong: 414
        case .unknownExpectation: 417
        case .headTooLarge, .tooManyFields, .trailerTooLarge, .tooManyTrailerFields: 431
        case .unsupportedMethod, .unsupportedTransferEncoding: 501
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// Lower-case words joined by hyphens; never changes, since dashboards name it.
    public var name: StaticString {
        switch self {
        case .bareLineFeed: "bare-line-feed"
        case .bareCarriageReturn: "bare-carriage-return"
        case .repeatedEmptyLine: "repeated-empty-line"
        case .invalidMethod: "invalid-method"
        case .unsupportedMethod: "unsupported-method"
        case .malformedRequestLine: "malformed-request-line"
        case .requestLineTooLong: "request-line-too-long"
        case .invalidTarget: "invalid-target"
        case .invalidVersion: "invalid-version"
        case .unsupportedVersion: "unsupported-version"
        case .headTooLarge: "head-too-large"
        case .tooManyFields: "too-many-fields"
        case .invalidFieldName: "invalid-field-name"
        case .emptyFieldName: "empty-field-name"
        case .blankBeforeColon: "blank-before-colon"
        case .missingColon: "missing-colon"
        case .invalidFieldValue: "invalid-field-value"
        case .blankBeforeFirstField: "blank-before-first-field"
        case .obsoleteLineFolding: "obsolete-line-folding"
        case .missingHost: "missing-host"
        case .repeatedHost: "repeated-host"
        case .invalidHost: "invalid-host"
        case .repeatedContentLength: "repeated-content-length"
        case .invalidContentLength: "invalid-content-length"
        case .repeatedTransferEncoding: "repeated-transfer-encoding"
        case .unsupportedTransferEncoding: "unsupported-transfer-encoding"
        case .transferEncodingInOldVersion: "transfer-encoding-in-old-version"
        case .contentLengthWithTransferEncoding: "content-length-with-transfer-encoding"
        case .bodyTooLarge: "body-too-large"
        case .unknownExpectation: "unknown-expectation"
        case .invalidChunkSize: "invalid-chunk-size"
        case .chunkSizeTooLong: "chunk-size-too-long"
        case .invalidChunkExtension: "invalid-chunk-extension"
        case .chunkLineTooLong: "chunk-line-too-long"
        case .chunkExtensionsTooLong: "chunk-extensions-too-long"
        case .chunkOverheadTooLarge: "chunk-overhead-too-large"
        case .missingChunkEnd: "missing-chunk-end"
        case .trailerTooLarge: "trailer-too-large"
        case .tooManyTrailerFields: "too-many-trailer-fields"
        case .headTimeout: "head-timeout"
        case .bodyTimeout: "body-timeout"
        }
    }
}
