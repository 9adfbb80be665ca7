// IDToken+Stored: what a record keeps of an ID token: header and claims, with the signature overwritten.

extension IDToken {
    /// Where the signature stands in an Authorization field; nil when the value is no bearer token with readable claims: then it
    /// may be a secret of another kind.
    static func signatureRange(_ value: String) -> Range<Int>? {
        guard value.hasPrefix("Bearer "), claims(of: value) != nil,
            let dot = value.utf8.lastIndex(of: UInt8(ascii: "."))
        else { return nil }
        let start = value.utf8.distance(from: value.utf8.startIndex, to: dot) + 1
        return start < value.utf8.count ? start..<value.utf8.count : nil
    }

    /// The claims of a stored request's token, which was verified before it was stored; nil when it bears none.
    static func storedClaims(_ request: InboundRequest) -> JSONValue? {
        request.field("authorization").flatMap(claims)
    }

    private static func claims(of value: String) -> JSONValue? {
        let token = value.split(separator: " ").last ?? ""
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = SenderBase64.url(parts[1]), let claims = JSONValue(bytes),
            case .object = claims
        else { return nil }
        return claims
    }
}
