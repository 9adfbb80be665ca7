// RouteCompiler+Hook: a Hook to a route.
//
// A Hook is never open: without a usable secret, with a filter that does not compile, or with an action that may not run, its
// route answers 503 and acts on nothing.

import Delivery

extension RouteCompiler {
    mutating func add(_ hook: HookManifest, _ placed: PlacedResource) {
        let identity = RouteIdentity(
            cluster: options.cluster, kind: .hook, namespace: hook.metadata.namespace, name: hook.metadata.name)
        let place = placed.place(hook.line)
        var route = RouteDefinition(
            identity: identity, host: hook.host, path: hook.path, sender: hook.sender, secrets: [], hmac: hook.hmac,
            events: hook.events, coalesce: hook.coalesce, retry: hook.retry, bodyBytesMax: hook.bodyBytesMax,
            dedupeWindowSeconds: hook.dedupeWindowSeconds, source: place.description)
        route.isOfTenant = placed.isOfTenant
        var reasons: [String] = []
        if let reason = Self.eventsTrouble(hook) {
            report(placed.place(hook.eventsLine), identity, "not ready: \(reason)")
            reasons.append(reason)
        }
        if let window = hook.dedupeWindowSeconds, window > 0, !SenderTable.hasDeliveryID(hook.sender) {
            report(
                place, identity,
                "the dedupe window has no effect: deliveries of type \(hook.sender.name) have no id to tell a duplicate by",
                .warning)
        }
        if let limit = hook.bodyBytesMax, limit > options.bodyBytesMax {
            route.bodyBytesMax = options.bodyBytesMax
            report(
                place, identity,
                "spec.maxBody \(Quantity.text(bytes: limit)) is above the server's --max-body "
                    + "\(Quantity.text(bytes: options.bodyBytesMax)), which counts", .warning)
        }
        if hook.sender != .unverified && hook.sender != .genericOIDC { addSecrets(of: hook, to: &route, placed) }
        route.filter = filter(hook.filter, "filter", of: &route, placed)
        var configuration = hook.configuration
        configuration.providers = providers(hook.providers, of: &route, placed)
        if hook.sender == .gcr, let reference = hook.secrets.first {
            (configuration.email, configuration.audience) = googleAccount(
                reference.name, of: route, placed.place(reference.line))
        }
        if case .ready = route.readiness,
            let problem = SenderTable.problem(hook.sender, configuration, secretCount: route.secrets.count)
        {
            report(place, identity, "not ready: \(problem)")
            reasons.append(problem)
        }
        addRules(to: &route, configuration, secrets: route.secrets)
        if configuration.credential == .pathSegment { addTokenPath(route.path) }
        for action in hook.actions { add(action, to: &route, &reasons, placed) }
        if !placed.isOfTenant, let trouble = clusterTrouble(of: hook) {
            report(placed.place(trouble.line), identity, "not ready: \(trouble.text)")
            reasons.append(trouble.text)
        }
        if let reason = reasons.first {
            route.actions = []
            route.selections = []
            route.readiness = .notReady(reason: reason)
        }
        if case .notReady = route.readiness {
            route.actions = []
            route.selections = []
        }
        if hook.isSuspended { route.readiness = .suspended }
        claim(route, createdAt: hook.metadata.createdAt, place)
    }

    /// A list that would keep every delivery out, or keep none out, is not what its writer meant.
    private static func eventsTrouble(_ hook: HookManifest) -> String? {
        guard !hook.events.isEmpty else { return nil }
        let type = hook.sender.name
        switch SenderTable.eventNaming(of: hook.sender) {
        case .each: return nil
        case .always(let name):
            if hook.events.contains(where: { $0.lowercased() == name }) { return nil }
            return "spec.events lists nothing that ever comes: deliveries of type \(type) are always \(quoted(name)); "
                + "remove spec.events, and select by content with spec.filter"
        case .never:
            return
                "spec.events cannot be told apart: deliveries of type \(type) name no event; remove it, and select by "
                + "content with spec.filter, such as filter: \"req.action == 'push'\""
        }
    }

    private mutating func addSecrets(of hook: HookManifest, to route: inout RouteDefinition, _ placed: PlacedResource) {
        var unusable: [(reason: String, line: Int)] = []
        for reference in hook.secrets {
            let place = placed.place(reference.line)
            switch secret(reference.name, key: reference.key, of: route.identity, place) {
            case .found(let value) where value.isEmpty:
                let name = "Secret/\(route.identity.namespace)/\(reference.name)"
                unusable.append(("\(quoted(reference.key)) of \(name) is empty", reference.line))
            case .found(let value):
                if let problem = SenderTable.problem(hook.sender, secret: value) {
                    let name = "Secret/\(route.identity.namespace)/\(reference.name)"
                    unusable.append(("\(quoted(reference.key)) of \(name) \(problem)", reference.line))
                    continue
                }
                add(value, name: reference.name, key: reference.key, to: &route)
            case .unusable(let reason):
                unusable.append((reason, reference.line))
            }
        }
        // While one secret works, another that is missing is a rotation under way, or a slip worth a warning.
        for trouble in unusable {
            report(
                placed.place(trouble.line), route.identity, trouble.reason, route.secrets.isEmpty ? .error : .warning)
        }
        if route.secrets.isEmpty {
            route.readiness = .secretUnusable(reason: unusable.first?.reason ?? "no secret")
        }
    }

    private mutating func add(
        _ action: HookAction, to route: inout RouteDefinition, _ reasons: inout [String], _ placed: PlacedResource
    ) {
        switch action {
        case .reconcile(let target):
            if let action = reconcile(target, of: route.identity, placed.place(target.line)) {
                route.actions.appendOnce(action)
            }
        case .reconcileMatching(let match):
            route.selections.append(selection(.reconcile, match, route.identity, placed))
        case .openshiftBuild(let object): add(object, .openshiftBuild, "build.openshift.io/v1", to: &route, placed)
        case .s2iRun(let object): add(object, .s2iRun, "devops.kubesphere.io/v1alpha1", to: &route, placed)
        case .kpackRefresh(let cluster):
            route.selections.append(
                Selection(.kpackRefresh, .ofImage(cluster: cluster?.value ?? options.cluster)))
        case .http(let url, let timeout, let reference):
            if let host = try? HTTPURL(url).host,
                let refusal = options.outboundAllow.refusal(host: host, isOfTenant: placed.isOfTenant)
            {
                let reason = "its http action may not call there: \(refusal)"
                report(placed.place(placed.resource.line), route.identity, "not ready: \(reason)")
                reasons.append(reason)
            }
            var signing: SecretBytes?
            if let reference {
                var trouble = "\(quoted(reference.key)) of the Secret \(quoted(reference.name)) is empty"
                switch secret(reference.name, key: reference.key, of: route.identity, placed.place(reference.line)) {
                case .found(let value) where !value.isEmpty:
                    signing = HTTPSigning.key(of: value) == nil ? nil : value
                    trouble =
                        "\(quoted(reference.key)) of the Secret \(quoted(reference.name)) has no base64 behind whsec_"
                case .found: break
                case .unusable(let reason): trouble = reason
                }
                if signing == nil {
                    let reason = "the http action cannot be signed: \(trouble)"
                    report(placed.place(reference.line), route.identity, "not ready: \(reason)")
                    reasons.append(reason)
                }
            }
            route.actions.append(.http(url: url, timeoutNanoseconds: timeout, signingSecret: signing))
        case .exec(let command, let timeout, let line):
            if !options.allowExec {
                let reason = "it has an exec action, and exec is off; start the server with --allow-exec to permit it"
                report(placed.place(line), route.identity, "not ready: \(reason)")
                reasons.append(reason)
            }
            route.actions.append(.exec(command: command, timeoutNanoseconds: timeout))
        case .log:
            route.actions.appendOnce(.log)
        }
    }

    private mutating func selection(
        _ act: Selection.Act, _ match: RepositoryMatch, _ identity: RouteIdentity, _ placed: PlacedResource
    ) -> Selection {
        var namespaces =
            match.namespaces.contains("*") ? [] : match.namespaces.isEmpty ? [identity.namespace] : match.namespaces
        if options.noCrossNamespaceRefs, namespaces != [identity.namespace] {
            report(
                placed.place(match.line), identity,
                "matchRepository looks into its own namespace only: --no-cross-namespace-refs forbids others")
            namespaces = [identity.namespace]
        }
        return Selection(
            act,
            .ofRepository(cluster: match.cluster?.value ?? options.cluster, kinds: match.kinds, namespaces: namespaces),
            place: "matchRepository")
    }

    private mutating func add(
        _ object: HookObject, _ act: Selection.Act, _ apiVersion: String, to route: inout RouteDefinition,
        _ placed: PlacedResource
    ) {
        switch object {
        case .matching(let match): route.selections.append(selection(act, match, route.identity, placed))
        case .named(let target):
            if options.noCrossNamespaceRefs, let namespace = target.namespace, namespace != route.identity.namespace {
                return report(
                    placed.place(target.line), route.identity,
                    "\(target.kind)/\(namespace)/\(target.name) is left out: --no-cross-namespace-refs forbids targets "
                        + "outside of the own namespace")
            }
            let reference = TargetReference(
                cluster: target.cluster?.value ?? options.cluster, apiVersion: apiVersion, kind: target.kind,
                namespace: target.namespace ?? route.identity.namespace, name: target.name)
            route.selections.append(Selection(act, .named(reference), place: act.rawValue))
        }
    }
}
