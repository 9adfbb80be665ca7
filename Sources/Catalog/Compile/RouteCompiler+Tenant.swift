// RouteCompiler+Tenant: what a Hook may not do when whoever may write to a namespace wrote it (DESIGN section 5).
//
//   path      below /hooks/<its namespace>/, or below what the server's hookPaths grants the namespace
//   targets   in its own cluster, of its own namespace, unless allowCrossNamespace names it
//   exec      never
//   http      to hosts of outbound.allow, never to this machine, its neighbours or the API server (checked again at the call)
//
// A Hook that asks for more is not served at all: half of what was asked for would look like all of it.

import Delivery

extension RouteCompiler {
    /// Takes away what the Hook that was added last may not have.
    mutating func confine(_ hook: HookManifest, _ placed: PlacedResource) {
        guard var claim = claims.popLast() else { return }
        let namespace = claim.route.identity.namespace
        if let trouble = pathTrouble(claim.route.path, namespace) {
            refuse(placed.place(hook.pathLine), claim.route.identity, trouble)
            verdicts[claim.route.identity] = .terminal(reason: .notPermitted, message: trouble)
            return
        }
        if let trouble = actionTrouble(hook, namespace) {
            report(placed.place(hook.line), claim.route.identity, "not ready: \(trouble)")
            claim.route.actions = []
            claim.route.selections = []
            claim.route.readiness = .notReady(reason: trouble)
        } else if !options.allowCrossNamespace.contains(namespace) {
            claim.route.isConfined = true
            claim.route.selections = claim.route.selections.map { Self.confined($0, to: namespace) }
        }
        claims.append(claim)
    }

    private func pathTrouble(_ path: String, _ namespace: String) -> String? {
        let granted = ["/hooks/\(namespace)/"] + (options.hookPaths[namespace] ?? [])
        let isGranted = granted.contains { prefix in
            path == prefix || path.hasPrefix(prefix.hasSuffix("/") ? prefix : prefix + "/")
        }
        if isGranted { return nil }
        return
            "spec.path must lie below /hooks/\(namespace)/; the operator of the server can grant the namespace more with "
            + "the setting hookPaths"
    }

    private func actionTrouble(_ hook: HookManifest, _ namespace: String) -> String? {
        let isFree = options.allowCrossNamespace.contains(namespace)
        for action in hook.actions {
            if let other = action.cluster, other.value != options.cluster {
                return
                    "a Hook acts in its own cluster only, and \(other.path) names another; Hooks in manifest files of the "
                    + "server may"
            }
            switch action {
            case .exec: return "exec actions are for Hooks in manifest files of the server only"
            case .reconcile(let target):
                if let trouble = targetTrouble(target, namespace, isFree) { return trouble }
            case .openshiftBuild(.named(let target)), .s2iRun(.named(let target)):
                if let trouble = targetTrouble(target, namespace, isFree) { return trouble }
            case .reconcileMatching(let match), .openshiftBuild(.matching(let match)), .s2iRun(.matching(let match)):
                if !isFree, match.namespaces.contains(where: { $0 != namespace }) {
                    return Self.crossNamespace("matchRepository.namespaces names others", namespace)
                }
            case .kpackRefresh, .http, .log: break
            }
        }
        return nil
    }

    private func targetTrouble(_ target: ReceiverTarget, _ namespace: String, _ isFree: Bool) -> String? {
        guard !isFree, let other = target.namespace, other != namespace else { return nil }
        return Self.crossNamespace("\(target.kind)/\(other)/\(target.name) is in another", namespace)
    }

    private static func crossNamespace(_ what: String, _ namespace: String) -> String {
        "a Hook acts on objects of its own namespace only, and \(what); the operator of the server can allow it with the "
            + "setting allowCrossNamespace: [\(namespace)]"
    }

    private static func confined(_ selection: Selection, to namespace: String) -> Selection {
        var selection = selection
        switch selection.targets {
        case .ofRepository(let cluster, let kinds, _):
            selection.targets = .ofRepository(cluster: cluster, kinds: kinds, namespaces: [namespace])
        case .ofImage(let cluster, _): selection.targets = .ofImage(cluster: cluster, namespaces: [namespace])
        case .named, .labelled: break
        }
        return selection
    }

    /// What the status of a Hook says.
    static func verdict(of route: RouteDefinition) -> ReceiverVerdict {
        switch route.readiness {
        case .ready: .ready(path: route.path)
        case .suspended: .suspended
        case .secretUnusable(let reason): .waiting(reason: .tokenNotFound, message: reason)
        case .notReady(let reason):
            reason.hasPrefix("invalid ")
                ? .terminal(reason: .invalidExpression, message: reason)
                : .waiting(reason: .validationFailed, message: reason)
        }
    }
}
