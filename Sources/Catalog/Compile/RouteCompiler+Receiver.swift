// RouteCompiler+Receiver: a Flux Receiver to a route (spec/flux.md sections 2, 3 and 5).
//
// Own: the path is computed from the Secret; without a Secret or its key there is no path and so no route. Given: another
// controller computed the path and judged readiness, and both are read from the status. A Receiver whose filter does not compile is not
// ready: to act unfiltered would trigger what the filter keeps out.

import Delivery

extension RouteCompiler {
    mutating func add(_ receiver: ReceiverManifest, _ placed: PlacedResource) {
        let identity = RouteIdentity(
            cluster: options.cluster, kind: .receiver, namespace: receiver.metadata.namespace,
            name: receiver.metadata.name)
        let place = placed.place(receiver.line)
        guard let sender = Self.sender(receiver.type) else {
            return refuse(
                placed.place(receiver.typeLine), identity, "type \(receiver.type) is not supported by this version")
        }
        let token: SecretBook.Answer =
            receiver.secretName.map { secret($0, key: "token", of: identity, placed.place(receiver.secretLine)) }
            ?? (sender == .genericOIDC ? .found(SecretBytes([])) : .unusable("spec.secretRef is missing"))
        guard let path = path(of: receiver, identity, token, placed) else {
            judgeWithoutPath(receiver, identity, placed)
            return
        }
        var route = RouteDefinition(
            identity: identity, path: path, sender: sender, secrets: [], events: receiver.events,
            bodyBytesMax: Self.fluxBodyBytesMax, source: place.description)
        switch token {
        case .found(let value) where !value.isEmpty:
            // Type generic proves nothing: its Secret makes the path, and is not needed again.
            if sender != .generic { add(value, name: receiver.secretName ?? "", key: "token", to: &route) }
        case .found where sender == .genericOIDC: break
        case .found:
            let reason = "the token in Secret/\(identity.namespace)/\(receiver.secretName ?? "") is empty"
            route.readiness = .secretUnusable(reason: reason)
            report(placed.place(receiver.secretLine), identity, "\(reason); fill it with: openssl rand -hex 32")
        case .unusable(let reason):
            route.readiness = .secretUnusable(reason: reason)
            report(placed.place(receiver.secretLine), identity, reason)
        }
        addTargets(of: receiver, to: &route, placed)
        var configuration = SenderConfiguration()
        configuration.providers = providers(receiver.providers, of: &route, placed)
        if sender == .gcr, let name = receiver.secretName {
            (configuration.email, configuration.audience) = googleAccount(
                name, of: route, placed.place(receiver.secretLine))
        }
        addRules(to: &route, configuration, secrets: route.secrets)
        if let reason = notReady(receiver, identity, placed) { route.readiness = .notReady(reason: reason) }
        if options.receiverStatus == .own { verdicts[identity] = verdict(on: receiver, route) }
        if receiver.isSuspended { route.readiness = .suspended }
        claim(route, createdAt: receiver.metadata.createdAt, place)
    }

    /// Filters are judged before the token is read, as in notification-controller: what is wrong for good is said first.
    private mutating func judgeWithoutPath(
        _ receiver: ReceiverManifest, _ identity: RouteIdentity, _ placed: PlacedResource
    ) {
        guard options.receiverStatus == .own else { return }
        var route = RouteDefinition(identity: identity, path: "/", sender: .generic, secrets: [])
        addTargets(of: receiver, to: &route, placed)
        _ = providers(receiver.providers, of: &route, placed)
        verdicts[identity] = verdict(on: receiver, route)
    }

    private func verdict(on receiver: ReceiverManifest, _ route: RouteDefinition) -> ReceiverVerdict {
        if receiver.isSuspended { return .suspended }
        if case .notReady(let reason) = route.readiness {
            return .terminal(reason: .invalidExpression, message: reason)
        }
        let namespace = route.identity.namespace
        guard let name = receiver.secretName else { return .ready(path: route.path) }
        switch secrets.trouble(namespace: namespace, name: name, key: "token") {
        case nil: return .ready(path: route.path)
        case .missing:
            return .waiting(
                reason: .tokenNotFound,
                message:
                    "unable to read token from secret '\(namespace)/\(name)' error: secrets \(quoted(name)) not found")
        case .unreadable(let reason):
            return .waiting(
                reason: .tokenNotFound,
                message: "unable to read token from secret '\(namespace)/\(name)' error: \(reason)")
        case .keyMissing:
            return .waiting(
                reason: .tokenNotFound, message: "invalid '\(namespace)/\(name)' secret data: required fields 'token'")
        }
    }

    /// Named targets become actions; those that are chosen by label or pass a filter of their own become selections.
    private mutating func addTargets(
        of receiver: ReceiverManifest, to route: inout RouteDefinition, _ placed: PlacedResource
    ) {
        route.filter = filter(receiver.filter, "resourceFilter", of: &route, placed)
        for (index, target) in receiver.targets.enumerated() {
            let place = placed.place(target.line)
            let entry = "resources[\(index)] (kind=\(target.kind), name=\(target.name))"
            let own = filter(target.filter, entry, of: &route, placed)
            guard case .reconcile(let reference)? = reconcile(target, of: route.identity, place) else { continue }
            if target.name == "*" {
                guard let labels = target.labels else {
                    report(place, route.identity, "\(entry) is left out: the name * needs matchLabels; {} selects all")
                    continue
                }
                var all = reference
                all.name = ""
                route.selections.append(
                    Selection(.reconcile, .labelled(all, labels: labels), filter: own, place: entry))
            } else if let own {
                route.selections.append(Selection(.reconcile, .named(reference), filter: own, place: entry))
            } else {
                route.actions.appendOnce(.reconcile(reference))
            }
        }
    }

    /// nil, with the problem reported, when the Receiver cannot be addressed.
    private mutating func path(
        of receiver: ReceiverManifest, _ identity: RouteIdentity, _ token: SecretBook.Answer, _ placed: PlacedResource
    ) -> String? {
        switch (options.receiverStatus, token) {
        case (.given, _):
            if let path = receiver.status.webhookPath {
                // Upstream serves nothing else; a status that names another path would take it from its owner.
                if path.hasPrefix("/hook/") { return path }
                refuse(placed.place(receiver.line), identity, "status.webhookPath does not lie below /hook/")
                return nil
            }
            refuse(
                placed.place(receiver.line), identity,
                "status.webhookPath is missing; with --receiver-status given the controller that owns the Receiver "
                    + "writes it (or use --receiver-status own)")
        case (.own, .found(let value)):
            return WebhookPath.flux(token: value.bytes, name: identity.name, namespace: identity.namespace)
        case (.own, .unusable(let reason)):
            refuse(placed.place(receiver.secretLine), identity, "\(reason); without it the path cannot be computed")
        }
        return nil
    }

    /// Why the Receiver must answer 503 although it is not suspended; nil when it may act.
    private mutating func notReady(
        _ receiver: ReceiverManifest, _ identity: RouteIdentity, _ placed: PlacedResource
    ) -> String? {
        guard options.receiverStatus == .given else { return nil }
        // fluxcd/pkg runtime/conditions IsReady.
        let conditions = receiver.status.conditions
        if conditions["Stalled"] == "True" { return "its condition Stalled is True" }
        if conditions["Reconciling"] == "True" { return "its condition Reconciling is True" }
        if conditions["Ready"] != "True" { return "its condition Ready is \(conditions["Ready"] ?? "missing")" }
        return nil
    }

    private static func sender(_ type: String) -> SenderType? {
        ReceiverManifest.types.contains(type) ? SenderType.allCases.first { $0.name == type } : nil
    }
}
