// SenderCredential+Proof: secrets that a request bears itself, compared in constant time, and where they stand in it.
//
// Each place must be filled exactly once: two values are two opinions about who is asking.

extension SenderCredential {
    /// Whether the request bears one of `secrets` in this place. Every secret is compared, also after a match.
    func prove(_ request: InboundRequest, _ secrets: [SecretBytes]) -> SenderProof {
        switch self {
        case .nothing: return .proven
        case .signature, .idToken: return .refused(.secretUnusable)
        default: break
        }
        guard !secrets.isEmpty else { return .refused(.secretUnusable) }
        switch self {
        case .bearer:
            return authorization(request, scheme: "bearer ") { rest in Self.anyOf(secrets, matches: rest.utf8) }
        case .basic(let username):
            return authorization(request, scheme: "basic ") { rest in
                guard let pair = SenderBase64.standard(rest.utf8), let colon = pair.firstIndex(of: UInt8(ascii: ":"))
                else { return false }
                let isPassword = Self.anyOf(secrets, matches: pair[(colon + 1)...])
                // A user name is no secret; comparing it like one costs nothing.
                let isUser = username.map { name in
                    name.isEmpty ? colon == 0 : SecretBytes(Array(name.utf8)).matches(pair[..<colon])
                }
                return isPassword && isUser ?? true
            }
        case .header(let name):
            return token(request.allFields(name.lowercased()).map { Array($0.utf8) }, secrets)
        case .query(let name):
            let values = QueryParameters(request.query).values(of: name)
            if values.contains(where: { $0.value == nil }) { return .refused(.tokenWrong) }
            return token(values.compactMap(\.value), secrets)
        case .pathSegment:
            guard let range = Self.lastSegment(of: request.path) else { return .refused(.tokenMissing) }
            guard let segment = QueryParameters.decoded(Array(request.path.utf8)[range], plusIsSpace: false) else {
                return .refused(.tokenWrong)
            }
            return token([segment], secrets)
        case .signature, .idToken, .nothing: return .refused(.secretUnusable)
        }
    }

    /// Where the request bears it, for `Ruling.credentials`.
    func places(in request: InboundRequest) -> [CredentialPlace] {
        switch self {
        case .header(let name):
            let name = name.lowercased()
            return request.fields.indices.filter { request.fields[$0].name == name }.map { .field($0) }
        case .query(let name):
            return QueryParameters(request.query).values(of: name).map { .query($0.range) }
        case .pathSegment:
            return Self.lastSegment(of: request.path).map { [.path($0)] } ?? []
        case .signature, .bearer, .basic, .idToken, .nothing: return []
        }
    }

    /// UTF-8 offsets of what follows the last slash; nil when nothing does.
    static func lastSegment(of path: String) -> Range<Int>? {
        let bytes = Array(path.utf8)
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")), slash + 1 < bytes.count else { return nil }
        return slash + 1..<bytes.count
    }

    static func anyOf(_ secrets: [SecretBytes], matches bytes: some Collection<UInt8>) -> Bool {
        let bytes = Array(bytes)
        var isMatched = false
        for secret in secrets where secret.matches(bytes) { isMatched = true }
        return isMatched
    }

    private func token(_ values: [[UInt8]], _ secrets: [SecretBytes]) -> SenderProof {
        guard let value = values.first, !value.isEmpty else { return .refused(.tokenMissing) }
        guard values.count == 1 else { return .refused(.tokenRepeated) }
        return Self.anyOf(secrets, matches: value) ? .proven : .refused(.tokenWrong)
    }

    /// `scheme` in lower case with the blank behind it (RFC 9110 section 11.4: schemes are compared ignoring case).
    private func authorization(_ request: InboundRequest, scheme: String, _ isRight: (Substring) -> Bool) -> SenderProof
    {
        let values = request.allFields("authorization")
        guard let value = values.first, !value.isEmpty else { return .refused(.credentialsMissing) }
        guard values.count == 1, value.utf8.count > scheme.utf8.count,
            zip(value.utf8, scheme.utf8).allSatisfy({ lowered($0) == $1 })
        else { return .refused(.credentialsWrong) }
        let rest = value[value.utf8.index(value.utf8.startIndex, offsetBy: scheme.utf8.count)...]
        return isRight(rest.drop { $0 == " " }) ? .proven : .refused(.credentialsWrong)
    }
}

/// The parameters of a query (`a=b&c=d`), with where their values stand.
struct QueryParameters {
    private let bytes: [UInt8]

    init(_ query: String?) { bytes = Array((query ?? "").utf8) }

    /// Decoded values of every parameter of that name, in order, and the UTF-8 offsets of what stands there; a value whose escapes
    /// are broken is nil.
    func values(of name: String) -> [(value: [UInt8]?, range: Range<Int>)] {
        var found: [(value: [UInt8]?, range: Range<Int>)] = []
        var start = 0
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "&")) ?? bytes.count
            let equals = bytes[start..<end].firstIndex(of: UInt8(ascii: "="))
            if let key = Self.decoded(bytes[start..<(equals ?? end)]), key.elementsEqual(name.utf8) {
                let range = (equals.map { $0 + 1 } ?? end)..<end
                found.append((Self.decoded(bytes[range]), range))
            }
            start = end + 1
        }
        return found
    }

    /// nil when a `%` has no two hexadecimal digits behind it.
    static func decoded(_ text: some Collection<UInt8>, plusIsSpace: Bool = true) -> [UInt8]? {
        var decoded: [UInt8] = []
        var rest = text.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "+") where plusIsSpace: decoded.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.next(), let low = rest.next() else { return nil }
                let digits = (hexValue(high), hexValue(low))
                guard digits.0 | digits.1 <= 0x0f else { return nil }
                decoded.append(digits.0 << 4 | digits.1)
            default: decoded.append(byte)
            }
        }
        return decoded
    }
}
