// RouteCompiler+Sender: the rules of the sender types that path and signature alone do not settle.

import Delivery

extension RouteCompiler {
    /// Gives `route` the rules of its sender type; types that are proven on the loop need none. A route whose secret cannot prove
    /// anything gets none either: it refuses everything as it is.
    mutating func addRules(
        to route: inout RouteDefinition, _ configuration: SenderConfiguration, secrets: [SecretBytes]
    ) {
        guard SenderTable.hasRules(route.sender) else { return }
        if case .secretUnusable = route.readiness { return }
        route.rules = SenderRules(
            sender: route.sender, isFlux: route.identity.kind == .receiver, secrets: secrets, events: route.events,
            configuration: configuration)
    }

    /// The trusted issuers, compiled; what does not compile makes the route not ready.
    mutating func providers(
        _ providers: [ReceiverProvider], of route: inout RouteDefinition, _ placed: PlacedResource
    ) -> [OIDCProvider] {
        var compiled: [OIDCProvider] = []
        for (index, provider) in providers.enumerated() {
            do throws(FilterError) {
                let rules = try ClaimsRules(
                    variables: provider.variables.map { .init(name: $0.name, source: $0.expression) },
                    validations: provider.validations.map { .init(name: $0.name, source: $0.expression) })
                compiled.append(
                    OIDCProvider(issuerURL: provider.issuerURL, audience: provider.audience) { rules.check($0) })
            } catch {
                let reason = "oidcProviders[\(index)] (issuerURL=\(quoted(provider.issuerURL))): \(error.message)"
                report(placed.place(provider.line), route.identity, "not ready: \(reason)")
                route.readiness = .notReady(reason: reason)
            }
        }
        return compiled
    }

    /// gcr: the service account and audience that the token must name, from the Secret's other keys. Both are mandatory
    /// (CVE-2026-40109: a token whose bearer nobody looked at): without one every token is refused.
    mutating func googleAccount(
        _ secretName: String, of route: RouteDefinition, _ place: SourcePlace
    ) -> (email: String?, audience: String?) {
        func text(_ key: String) -> String? {
            guard case .found(let value) = secret(secretName, key: key, of: route.identity, place), !value.isEmpty
            else {
                let secret = "Secret/\(route.identity.namespace)/\(secretName)"
                report(place, route.identity, "\(secret) has no \(quoted(key)): every ID token is refused without it")
                return nil
            }
            return String(validating: value.bytes, as: UTF8.self)
        }
        return (text("email"), text("audience"))
    }
}
