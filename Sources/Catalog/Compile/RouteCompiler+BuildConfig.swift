// RouteCompiler+BuildConfig: a BuildConfig with webhook triggers to a route.
//
// A trigger whose Secret is missing accepts nothing, as in the API server, and the others go on: the route is ready all the same. An
// option that is not known may have been meant to protect something, so then nothing is accepted.

import Delivery

extension RouteCompiler {
    mutating func add(_ config: BuildConfigManifest, _ placed: PlacedResource) {
        // Without a webhook every request is refused as for a config that does not exist.
        guard !config.triggers.isEmpty else { return }
        let identity = RouteIdentity(
            cluster: options.cluster, kind: .buildConfig, namespace: config.metadata.namespace,
            name: config.metadata.name)
        let place = placed.place(config.line)
        var route = RouteDefinition(
            identity: identity,
            path: BuildConfigFacts(
                namespace: identity.namespace, name: identity.name, triggers: [], git: nil
            ).routePath, sender: .generic, secrets: [], source: place.description)
        var triggers: [BuildConfigFacts.Trigger] = []
        for trigger in config.triggers {
            triggers.append(
                BuildConfigFacts.Trigger(
                    type: trigger.type, inlineSecret: trigger.inlineSecret,
                    referencedSecret: referenced(trigger, &route, placed.place(trigger.line)),
                    allowsEnv: trigger.allowsEnv))
        }
        for unknown in config.unknown {
            report(placed.place(unknown.line), identity, "not ready: \(unknown.message)")
            route.readiness = .notReady(reason: unknown.message)
        }
        let facts = BuildConfigFacts(
            cluster: options.cluster, namespace: identity.namespace, name: identity.name, triggers: triggers,
            git: config.git, profile: config.profile, options: config.options, mode: config.mode)
        route.rules = OpenShiftRules(facts, settings: options.openShift)
        claim(route, createdAt: config.metadata.createdAt, place)
    }

    private mutating func referenced(
        _ trigger: BuildConfigManifest.Trigger, _ route: inout RouteDefinition, _ place: SourcePlace
    ) -> BuildConfigFacts.ReferencedSecret {
        guard let name = trigger.secretName else {
            if trigger.inlineSecret == nil {
                report(place, route.identity, "the \(trigger.type.rawValue) trigger has no secret and accepts nothing")
            }
            return .none
        }
        // With an inline secret beside it the trigger still works.
        let severity: CatalogProblem.Severity = trigger.inlineSecret == nil ? .error : .warning
        switch secret(name, key: BuildConfigFacts.secretKey, of: route.identity, place) {
        case .found(let value) where value.isEmpty:
            report(
                place, route.identity,
                "\(quoted(BuildConfigFacts.secretKey)) of Secret/\(route.identity.namespace)/\(name) is empty", severity
            )
            return .missing
        case .found(let value):
            add(value, name: name, key: BuildConfigFacts.secretKey, to: &route)
            return .found(value)
        case .unusable(let reason):
            report(place, route.identity, "the \(trigger.type.rawValue) trigger: \(reason)", severity)
            return .missing
        }
    }
}
