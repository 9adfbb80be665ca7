// KubeSphereProof: whether a request knows a builder's secret.
//
// Any one of these proves it: `secretCode` in the form or the query, X-Hub-Signature-256 over the raw body, X-Gitlab-Token,
// `Authorization: Bearer`. One that is there and wrong refuses the request even beside a right one. A builder without a secret takes
// requests that bring none, and refuses those that bring a `secretCode`.

struct KubeSphereProof {
    enum Outcome { case proven, missing, wrong }

    let outcome: Outcome
    let cause: VerifyCause
    /// Everything that is or may be a secret.
    let credentials: [CredentialPlace]

    init(_ request: InboundRequest, secret: SecretBytes?) {
        let codes = Self.codes(of: request)
        credentials = codes.places + HookCredentials.fields(of: request)
        if codes.isExcessive {
            (outcome, cause) = (.wrong, .tokenRepeated)
            return
        }
        let code = codes.first
        guard let secret else {
            // An empty code is as good as none.
            let isWrong = code.map { !$0.isEmpty } ?? false
            (outcome, cause) = isWrong ? (.wrong, .tokenWrong) : (.proven, .none)
            return
        }
        var isSeen = false
        var trouble: VerifyCause?
        func check(_ isRight: Bool, _ cause: VerifyCause) {
            isSeen = true
            if !isRight, trouble == nil { trouble = cause }
        }
        if let code, !code.isEmpty { check(secret.matches(code), .tokenWrong) }
        let signatures = request.allFields("x-hub-signature-256")
        if signatures.count > 1 {
            check(false, .signatureRepeated)
        } else if let signature = signatures.first {
            check(HookSignature.matches(signature, secret, request.body), .signatureWrong)
        }
        for value in request.allFields("x-gitlab-token") { check(secret.matches(value), .tokenWrong) }
        for value in request.allFields("authorization") {
            guard let token = Self.bearer(value) else { continue }
            check(secret.matches(token), .tokenWrong)
        }
        if let trouble {
            (outcome, cause) = (.wrong, trouble)
        } else {
            (outcome, cause) = isSeen ? (.proven, .none) : (.missing, .credentialsMissing)
        }
    }

    /// The token of `Bearer <token>`; nil for another scheme.
    private static func bearer(_ value: String) -> Substring.UTF8View? {
        let scheme = value.utf8.prefix(7)
        guard scheme.count == 7, zip(scheme, "bearer ".utf8).allSatisfy({ lowered($0) == $1 }) else { return nil }
        return value.utf8.dropFirst(7).drop { $0 == 0x20 }
    }

    /// The value that counts, and where all are. The form comes before the query, as in Go's FormValue.
    private static func codes(
        of request: InboundRequest
    ) -> (first: [UInt8]?, places: [CredentialPlace], isExcessive: Bool) {
        var fields: [FormField] = []
        var places: [CredentialPlace] = []
        var seen = 0
        func add(_ found: [FormField], _ broken: [Range<Int>] = [], at place: (Range<Int>) -> CredentialPlace) {
            fields += found
            seen += found.count + broken.count
            for range in found.map(\.place) + broken where !range.isEmpty { places.append(place(range)) }
        }
        if request.method == "POST", let type = request.field("content-type").flatMap({ MediaType($0) }) {
            if type.name == "application/x-www-form-urlencoded" {
                let (found, broken) = FormField.urlEncoded(request.body, named: "secretCode")
                add(found, broken, at: CredentialPlace.body)
            } else if type.name == "multipart/form-data", let boundary = type.parameters["boundary"] {
                add(
                    FormField.multipart(request.body, boundary: boundary, named: "secretCode"),
                    at: CredentialPlace.body)
            }
        }
        if let query = request.query {
            let (found, broken) = FormField.urlEncoded(Array(query.utf8), named: "secretCode")
            add(found, broken, at: CredentialPlace.query)
        }
        return (fields.first?.value, places, seen > FormField.fieldsMax)
    }
}
