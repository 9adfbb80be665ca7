// SenderRules+Spec: what a Receiver's `spec` must say about its sender, in upstream's words, and its claims rules with the expressions
// left to a closure.
//
// Sources: the CRD's `x-kubernetes-validations` (notification.toolkit.fluxcd.io); upstream's receiver_claims.go for the texts.

/// Checks of `spec.oidcProviders` and evaluation of one provider's rules.
public enum OIDCSpec {
    /// Evaluates one expression over `claims` and `vars` (an object of what was evaluated before).
    public typealias Evaluate = (_ expression: String, _ claims: JSONValue, _ variables: JSONValue) -> Result<
        JSONValue, ClaimsFailure
    >
    /// Compiles one expression over `claims` and `vars`; the error's text, or nil when it compiles.
    public typealias Compile = (_ expression: String, _ mustBeBoolean: Bool) -> String?

    /// The first thing that is wrong with the list of providers; nil: nothing.
    public static func problem(in providers: JSONValue) -> String? {
        guard let providers = providers.elements else { return "oidcProviders must be a list" }
        var seen: [String] = []
        for (index, provider) in providers.enumerated() {
            let place = "oidcProviders[\(index)]"
            guard let issuer = text(provider["issuerURL"]) else { return "\(place): issuerURL is required" }
            let quoted = "\"\(issuer)\""
            guard issuer.hasPrefix("http://") || issuer.hasPrefix("https://") else {
                return "\(place): issuerURL \(quoted) must start with http:// or https://"
            }
            if seen.contains(where: { $0.utf8.elementsEqual(issuer.utf8) }) {
                return "\(place): duplicate issuerURL \(quoted)"
            }
            seen.append(issuer)
            if let problem = problem(inProvider: provider) { return "\(place) (issuerURL=\(quoted)): \(problem)" }
        }
        return nil
    }

    private static func problem(inProvider provider: JSONValue) -> String? {
        let validations = provider["validations"]?.elements ?? []
        if validations.isEmpty {
            return "at least one validation is required; without validations any caller able to obtain a token from "
                + "this issuer can trigger the Receiver"
        }
        for (index, variable) in (provider["variables"]?.elements ?? []).enumerated() {
            guard let name = text(variable["name"]) else { return "variables[\(index)]: name is required" }
            if text(variable["expression"]) == nil {
                return "variables[\(index)] (name=\"\(name)\"): expression is required"
            }
        }
        for (index, validation) in validations.enumerated() {
            if text(validation["expression"]) == nil { return "validations[\(index)]: expression is required" }
            if text(validation["message"]) == nil { return "validations[\(index)]: message is required" }
        }
        return nil
    }

    /// The first expression that does not compile; nil: all do.
    public static func expressionProblem(in providers: JSONValue, compile: Compile) -> String? {
        for (index, provider) in (providers.elements ?? []).enumerated() {
            let place = "oidcProviders[\(index)] (issuerURL=\"\(provider["issuerURL"]?.text ?? "")\")"
            for variable in provider["variables"]?.elements ?? [] {
                if let error = compile(variable["expression"]?.text ?? "", false) {
                    let name = variable["name"]?.text ?? ""
                    return "\(place): invalid expression for variable \"\(name)\": \(error)"
                }
            }
            for validation in provider["validations"]?.elements ?? [] {
                if let error = compile(validation["expression"]?.text ?? "", true) {
                    let message = validation["message"]?.text ?? ""
                    return "\(place): invalid expression for validation \"\(message)\": \(error)"
                }
            }
        }
        return nil
    }

    /// A provider's rules over the claims of a genuine token: variables in order, each seeing those before it, then every validation.
    /// The messages of all that fail are joined by `; `; an expression that cannot be evaluated ends it.
    public static func check(provider: JSONValue, claims: JSONValue, evaluate: Evaluate) -> Result<Void, ClaimsFailure>
    {
        var variables: [JSONValue.Member] = []
        for variable in provider["variables"]?.elements ?? [] {
            let name = variable["name"]?.text ?? ""
            switch evaluate(variable["expression"]?.text ?? "", claims, .object(variables)) {
            case .success(let value): variables.append(JSONValue.Member(name: name, value: value))
            case .failure(let failure):
                return .failure(ClaimsFailure("failed to evaluate variable \"\(name)\": \(failure.text)"))
            }
        }
        let validations = provider["validations"]?.elements ?? []
        guard !validations.isEmpty else { return .failure(ClaimsFailure("the provider has no validations")) }
        var failed: [String] = []
        for validation in validations {
            switch evaluate(validation["expression"]?.text ?? "", claims, .object(variables)) {
            case .success(.bool(true)): break
            case .success(.bool(false)): failed.append(validation["message"]?.text ?? "")
            case .success:
                return .failure(ClaimsFailure("failed to evaluate validation: the result is not a boolean"))
            case .failure(let failure):
                return .failure(ClaimsFailure("failed to evaluate validation: \(failure.text)"))
            }
        }
        if failed.isEmpty { return .success(()) }
        return .failure(ClaimsFailure("token validation failed: " + failed.joined(separator: "; ")))
    }

    static func text(_ value: JSONValue?) -> String? { value?.text.flatMap { $0.isEmpty ? nil : $0 } }
}

/// Checks of a Receiver's `spec` as a whole.
public enum ReceiverSpec {
    static let types = [
        "generic", "generic-hmac", "generic-oidc", "github", "gitlab", "bitbucket", "harbor", "dockerhub", "quay",
        "gcr",
        "nexus", "acr", "cdevents",
    ]

    /// The reconciler's rules on type, secretRef and oidcProviders; nil: all hold.
    public static func problem(in spec: JSONValue) -> String? {
        let isOIDC = spec["type"]?.text == "generic-oidc"
        let providers = spec["oidcProviders"]?.elements ?? []
        let hasSecret = spec["secretRef"].map { !$0.isNull } ?? false
        if isOIDC, providers.isEmpty { return "generic-oidc receivers must define at least one oidcProvider" }
        if !isOIDC, !providers.isEmpty { return "oidcProviders can only be set when type is generic-oidc" }
        if isOIDC, hasSecret { return "secretRef cannot be set when type is generic-oidc" }
        if !isOIDC, !hasSecret { return "secretRef is required when type is not generic-oidc" }
        return isOIDC ? OIDCSpec.problem(in: .array(providers)) : nil
    }

    /// What the API server's admission says: the schema's rules on types and members first, the rules above after them.
    public static func admissionProblem(in spec: JSONValue) -> String? {
        guard case .object = spec else { return "spec: Required value" }
        guard let type = spec["type"]?.text else { return "spec.type: Required value" }
        guard types.contains(type) else {
            return "spec.type: Unsupported value: \"\(type)\": supported values: "
                + types.map { "\"\($0)\"" }.joined(separator: ", ")
        }
        if let interval = spec["interval"], !(interval.text.map(isInterval) ?? false) {
            return "spec.interval: Invalid value: should match '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$'"
        }
        guard let resources = spec["resources"]?.elements else { return "spec.resources: Required value" }
        for (index, resource) in resources.enumerated() {
            let place = "spec.resources[\(index)]"
            guard OIDCSpec.text(resource["kind"]) != nil else { return "\(place).kind: Required value" }
            guard let name = resource["name"]?.text else { return "\(place).name: Required value" }
            for (member, value) in [("name", name), ("namespace", resource["namespace"]?.text ?? "-")] {
                if value.isEmpty {
                    return "\(place).\(member): Invalid value: \"\": should be at least 1 chars long"
                }
                if value.unicodeScalars.count > 253 {
                    return "\(place).\(member): Too long: may not be more than 253 bytes"
                }
            }
        }
        if let secret = spec["secretRef"], !secret.isNull, secret["name"]?.text == nil {
            return "spec.secretRef.name: Required value"
        }
        if let problem = providerProblem(in: spec["oidcProviders"]?.elements ?? []) { return problem }
        return problem(in: spec)
    }

    private static func providerProblem(in providers: [JSONValue]) -> String? {
        var seen: [String] = []
        for (index, provider) in providers.enumerated() {
            let place = "spec.oidcProviders[\(index)]"
            guard let issuer = provider["issuerURL"]?.text else { return "\(place).issuerURL: Required value" }
            if !issuer.hasPrefix("http://") && !issuer.hasPrefix("https://") {
                return "\(place).issuerURL: Invalid value: \"\(issuer)\": should match '^https?://'"
            }
            if seen.contains(where: { $0.utf8.elementsEqual(issuer.utf8) }) {
                return "\(place): Duplicate value: {\"issuerURL\":\"\(issuer)\"}"
            }
            seen.append(issuer)
            guard let validations = provider["validations"]?.elements else {
                return "\(place).validations: Required value"
            }
            if validations.isEmpty {
                return "\(place).validations: Invalid value: 0: should have at least 1 items"
            }
            for (member, other) in [("variables", "name"), ("validations", "message")] {
                for (item, rule) in (provider[member]?.elements ?? []).enumerated() {
                    for name in ["expression", other] where rule[name]?.text == nil {
                        return "\(place).\(member)[\(item)].\(name): Required value"
                    }
                }
            }
        }
        return nil
    }

    /// `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
    private static func isInterval(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        func digits() -> Bool {
            let count = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(count)
            return count > 0
        }
        guard !rest.isEmpty else { return false }
        while !rest.isEmpty {
            guard digits() else { return false }
            if rest.first == UInt8(ascii: ".") {
                rest = rest.dropFirst()
                guard digits() else { return false }
            }
            let unit = rest.starts(with: "ms".utf8) ? 2 : rest.first.map { "smh".utf8.contains($0) } ?? false ? 1 : 0
            guard unit > 0 else { return false }
            rest = rest.dropFirst(unit)
        }
        return true
    }
}
