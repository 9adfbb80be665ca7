// BearerToken: the ID token of a request: `Authorization: Bearer <token>` (RFC 6750 section 2.1).

enum BearerToken {
    /// The Authorization field must begin with exactly `Bearer `; blanks behind it are skipped. A Flux Receiver takes the first
    /// such field, a Hook none when there are two.
    static func read(_ request: InboundRequest, isFlux: Bool) -> Result<String, IDTokenFailure> {
        let values = request.allFields("authorization")
        guard let value = values.first, !value.isEmpty else { return .failure(.headerMissing) }
        guard isFlux || values.count == 1 else { return .failure(.schemeWrong) }
        guard value.hasPrefix("Bearer ") else { return .failure(.schemeWrong) }
        let token = value.dropFirst("Bearer ".count).drop { $0 == " " || $0 == "\t" }
        return token.isEmpty ? .failure(.schemeWrong) : .success(String(token))
    }
}
