// RouteCompiler+S2iBuilder: an S2iBuilder to a route.

import Delivery

extension RouteCompiler {
    mutating func add(_ builder: S2iBuilderManifest, _ placed: PlacedResource) {
        let identity = RouteIdentity(
            cluster: options.cluster, kind: .s2iBuilder, namespace: builder.metadata.namespace,
            name: builder.metadata.name)
        let place = placed.place(builder.line)
        let facts = S2iBuilderFacts(
            cluster: options.cluster, namespace: identity.namespace, name: identity.name,
            secretCode: builder.secretCode, revisionID: builder.revisionID,
            branchExpression: builder.branchExpression, isBinaryURL: builder.isBinaryURL)
        if let trouble = facts.branchExpressionTrouble {
            report(
                placed.place(builder.branchLine), identity,
                "spec.config.branchExpression is no regular expression, so pushes are answered 422: \(trouble)")
        }
        if facts.secretCode == nil {
            let message =
                options.kubeSphere.requireSecret
                ? "spec.config.secretCode is missing, and kubesphere.requireSecret refuses builders without one"
                : "spec.config.secretCode is missing: whoever knows the address can start builds"
            report(place, identity, message, .warning)
        } else if let code = facts.secretCode, let doubt = SecretBook.doubt(about: code) {
            report(placed.place(builder.secretLine), identity, "spec.config.secretCode \(doubt)", .warning)
        }
        let route = RouteDefinition(
            identity: identity, path: facts.routePath, sender: .generic, secrets: [],
            rules: KubeSphereRules(facts, settings: options.kubeSphere),
            dedupeWindowSeconds: options.kubeSphere.dedupeWindowSeconds, source: place.description)
        claim(route, createdAt: builder.metadata.createdAt, place)
    }
}
