import Testing

@testable import Delivery

@Suite("Rules of a Receiver's spec")
struct SenderSpecTests {
    private func json(_ text: String) -> JSONValue { JSONValue(Array(text.utf8)) ?? .null }

    private static let validations = #""validations":[{"expression":"true","message":"m"}]"#

    @Test("Providers: each rule in upstream's words")
    func providers() {
        let v = Self.validations
        let cases: [(String, String?)] = [
            (#"[{"issuerURL":"https://a",\#(v)},{"issuerURL":"http://b",\#(v)}]"#, nil), ("[]", nil),
            ("{}", "must be a list"), (#"[{\#(v)}]"#, "oidcProviders[0]: issuerURL is required"),
            (#"[{"issuerURL":"",\#(v)}]"#, "issuerURL is required"),
            (#"[{"issuerURL":"ftp://a",\#(v)}]"#, "must start with http:// or https://"),
            (
                #"[{"issuerURL":"https://a",\#(v)},{"issuerURL":"https://a",\#(v)}]"#,
                "oidcProviders[1]: duplicate issuerURL"
            ),
            (#"[{"issuerURL":"https://a"}]"#, "at least one validation is required"),
            (#"[{"issuerURL":"https://a","validations":[]}]"#, "at least one validation is required"),
            (#"[{"issuerURL":"https://a",\#(v),"variables":[{"expression":"1"}]}]"#, "variables[0]: name is required"),
            (
                #"[{"issuerURL":"https://a",\#(v),"variables":[{"name":"x"}]}]"#,
                #"variables[0] (name="x"): expression is required"#
            ),
            (#"[{"issuerURL":"https://a","validations":[{"message":"m"}]}]"#, "validations[0]: expression is required"),
            (#"[{"issuerURL":"https://a","validations":[{"expression":"1"}]}]"#, "validations[0]: message is required"),
        ]
        for (text, expected) in cases {
            let problem = OIDCSpec.problem(in: json(text))
            #expect(expected.map { problem?.contains($0) ?? false } ?? (problem == nil), "\(text): \(problem ?? "")")
        }
    }

    @Test("Expressions: the first that does not compile is named; validations must be boolean")
    func expressions() {
        let providers = json(
            """
            [{"issuerURL":"https://a","variables":[{"name":"x","expression":"1"}],\
            "validations":[{"expression":"bad","message":"m"}]}]
            """)
        var asked: [String] = []
        let problem = OIDCSpec.expressionProblem(in: providers) { expression, mustBeBoolean in
            asked.append("\(expression) \(mustBeBoolean)")
            return expression == "bad" ? "why" : nil
        }
        #expect(problem == #"oidcProviders[0] (issuerURL="https://a"): invalid expression for validation "m": why"#)
        #expect(asked == ["1 false", "bad true"])
    }

    @Test("Claims: variables in order, then every validation; what fails is joined, what breaks ends it")
    func claims() {
        let provider = json(
            """
            {"variables":[{"name":"a","expression":"A"},{"name":"b","expression":"B"}],"validations":[\
            {"expression":"no","message":"first"},{"expression":"yes","message":"x"},{"expression":"no","message":"second"}]}
            """)
        var seen: [JSONValue] = []
        let result = OIDCSpec.check(provider: provider, claims: ["iss": "i"]) { expression, claims, variables in
            seen.append(variables)
            switch expression {
            case "yes": return .success(true)
            case "no": return .success(false)
            default: return .success(.string(expression))
            }
        }
        #expect(result.failureText == "token validation failed: first; second")
        #expect(seen.first == [:] && seen.dropFirst().first == ["a": "A"] && seen.last == ["a": "A", "b": "B"])
        let broken = OIDCSpec.check(provider: provider, claims: [:]) { expression, _, _ in
            expression == "B" ? .failure(ClaimsFailure("no such key")) : .success(true)
        }
        #expect(broken.failureText == #"failed to evaluate variable "b": no such key"#)
        let text = OIDCSpec.check(provider: provider, claims: [:]) { _, _, _ in .success("true") }
        #expect(text.failureText?.hasPrefix("failed to evaluate validation") == true)
        #expect(OIDCSpec.check(provider: [:], claims: [:]) { _, _, _ in .success(true) }.failureText != nil)
    }

    @Test("The four rules between type, secret and providers")
    func receiverSpec() {
        let provider = #""oidcProviders":[{"issuerURL":"https://a",\#(Self.validations)}]"#
        let resources = #""resources":[{"kind":"GitRepository","name":"x"}]"#
        let cases: [(String, String?)] = [
            (#"{"type":"github","secretRef":{"name":"s"},\#(resources)}"#, nil),
            (#"{"type":"generic-oidc",\#(provider),\#(resources)}"#, nil),
            (#"{"type":"generic-oidc",\#(resources)}"#, "generic-oidc receivers must define at least one oidcProvider"),
            (
                #"{"type":"github","secretRef":{"name":"s"},\#(provider),\#(resources)}"#,
                "oidcProviders can only be set when type is generic-oidc"
            ),
            (
                #"{"type":"generic-oidc","secretRef":{"name":"s"},\#(provider),\#(resources)}"#,
                "secretRef cannot be set when type is generic-oidc"
            ),
            (#"{"type":"github",\#(resources)}"#, "secretRef is required when type is not generic-oidc"),
        ]
        for (text, expected) in cases {
            #expect(ReceiverSpec.problem(in: json(text)) == expected, "\(text)")
            #expect(ReceiverSpec.admissionProblem(in: json(text)) == expected, "\(text)")
        }
    }

    @Test("Admission: types, intervals and members of the schema")
    func admission() {
        func problem(_ members: String) -> String {
            ReceiverSpec.admissionProblem(in: json(#"{"secretRef":{"name":"s"},\#(members)}"#)) ?? ""
        }
        let resources = #""resources":[]"#
        #expect(problem(#""type":"github",\#(resources)"#).isEmpty)
        #expect(problem(#""type":"x",\#(resources)"#).contains("Unsupported value"))
        #expect(problem(resources).contains("spec.type: Required value"))
        #expect(problem(#""type":"github""#).contains("spec.resources: Required value"))
        for (interval, isRight) in [
            ("10m", true), ("1.5h30s", true), ("5ms", true), ("", false), ("10", false), ("m", false), ("1d", false),
            ("1.m", false), ("-1s", false),
        ] {
            let text = problem(#""type":"github","interval":"\#(interval)",\#(resources)"#)
            #expect(text.isEmpty == isRight, "\(interval)")
        }
        #expect(problem(#""type":"github","resources":[{"kind":"Bucket"}]"#).contains("name: Required value"))
        #expect(problem(#""type":"github","resources":[{"kind":"Bucket","name":""}]"#).contains("at least 1 chars"))
        let long = String(repeating: "n", count: 254)
        #expect(problem(#""type":"github","resources":[{"kind":"Bucket","name":"\#(long)"}]"#).contains("Too long"))
        #expect(ReceiverSpec.admissionProblem(in: .null) != nil)
    }
}

extension Result where Success == Void, Failure == ClaimsFailure {
    fileprivate var failureText: String? { if case .failure(let failure) = self { failure.text } else { nil } }
}
