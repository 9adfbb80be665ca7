// Step 1: which receiver a path leads to, and where none does, what was probably meant.

import Catalog
import Delivery
import HTTP

extension Explainer {
    func describeRoute(
        _ number: Int?, _ isFallback: Bool, _ request: RawRequest, _ inbound: InboundRequest,
        into explanation: inout Explanation
    ) {
        guard let number, !isFallback else {
            explanation.route.reasons = reasons(number, inbound, host: request.text(request.head.host))
            return
        }
        let definition = table.definitions[number]
        explanation.route = Self.route(definition, bodyBytesMax: table.bodyBytesMax(of: number))
        explanation.route.notes += rivals(of: definition)
        for problem in snapshot.problems
        where problem.message.hasPrefix("\(definition.identity): ") && problem.severity != .note {
            explanation.route.notes.append(problem.description)
        }
    }

    static func route(_ definition: RouteDefinition, bodyBytesMax: Int) -> Explanation.Route {
        Explanation.Route(
            receiver: definition.identity.description, source: definition.source, sender: definition.sender.name,
            host: definition.host, readiness: definition.readiness.summary, bodyBytesMax: bodyBytesMax)
    }

    /// Receivers that claimed the same path and lost.
    private func rivals(of definition: RouteDefinition) -> [String] {
        snapshot.unserved.filter { $0.reason.contains("already claimed by \(definition.identity) ") }.map {
            "\($0.identity) at \($0.place) claims the same path and lost it to this one"
        }
    }

    // MARK: - No route

    private func reasons(_ number: Int?, _ inbound: InboundRequest, host: String) -> [String] {
        var reasons: [String] = []
        if let number {
            let kind = table.definitions[number].identity.kind
            reasons.append("the path has the form of a \(kind.name)'s, and there is no such receiver")
            reasons += familyHint(kind, inbound.path)
        } else if inbound.path.hasPrefix("/hook/") {
            reasons += fluxHint(inbound.path)
        }
        for route in snapshot.routes where route.path == inbound.path {
            guard let wanted = route.host else { continue }
            reasons.append(
                "\(route.identity) at \(route.source) has this path for the host \(wanted) only, not for "
                    + (host.isEmpty ? "a request without host" : Plain.quoted(host)))
        }
        if reasons.isEmpty { reasons.append("no receiver has this path") }
        if number == nil, !inbound.path.hasPrefix("/hook/") { reasons += near(inbound.path) }
        for receiver in snapshot.unserved {
            let identity = receiver.identity
            let ownPath = "/hooks/\(identity.namespace)/\(identity.name)"
            if inbound.path == ownPath || receiver.reason.contains("the path \(inbound.path) ") {
                reasons.append("\(identity) at \(receiver.place) has no route: \(receiver.reason)")
            }
        }
        if snapshot.routes.isEmpty { reasons.append("the configuration has no route at all: is --manifests right?") }
        return reasons
    }

    /// Names in the path that are no receiver's.
    private func familyHint(_ kind: ReceiverKind, _ path: String) -> [String] {
        let parts = path.split(separator: "/").map(String.init)
        func part(behind word: String) -> String? {
            parts.firstIndex(of: word).flatMap { $0 + 1 < parts.count ? parts[$0 + 1] : nil }
        }
        let word = kind == .buildConfig ? "buildconfigs" : "s2ibuilders"
        guard kind == .buildConfig || kind == .s2iBuilder, let namespace = part(behind: "namespaces"),
            let name = part(behind: word)
        else { return [] }
        let wanted = "\(kind.name)/\(namespace)/\(name)"
        let known = snapshot.routes.map(\.identity).filter { $0.kind == kind }
        if let unserved = snapshot.unserved.first(where: { $0.identity.description == wanted }) {
            return ["\(Plain.text(wanted)) at \(unserved.place) has no route: \(unserved.reason)"]
        }
        var hint = "\(Plain.text(wanted)) is not in the manifests"
        if kind == .buildConfig { hint += ", or it has no webhook trigger" }
        if let elsewhere = known.first(where: { $0.name == name }) {
            hint += "; there is \(elsewhere)"
        } else if let near = NearestName.of(name, among: known.filter { $0.namespace == namespace }.map(\.name)) {
            hint += "; did you mean \(kind.name)/\(namespace)/\(near)?"
        }
        return [hint]
    }

    /// A Flux path is made of token, name and namespace: a token that was changed, or that has a line break too many, makes another.
    private func fluxHint(_ path: String) -> [String] {
        let receivers = snapshot.routes.filter { $0.identity.kind == .receiver }
        for route in receivers where route.path.lowercased() == path.lowercased() {
            return ["it is the path of \(route.identity) in other letters: paths are compared byte for byte"]
        }
        var budget = 200_000
        for route in receivers {
            let identity = route.identity
            func isPath(of token: [UInt8]) -> Bool {
                WebhookPath.flux(token: token, name: identity.name, namespace: identity.namespace) == path
            }
            for secret in route.secrets {
                var trimmed = secret.bytes[...]
                while trimmed.last == 0x0a || trimmed.last == 0x0d { trimmed = trimmed.dropLast() }
                if trimmed.count < secret.bytes.count, isPath(of: Array(trimmed)) {
                    return [
                        "it is the path that \(identity) would have if its token had no line break at its end: the Secret has "
                            + "one too many"
                    ]
                }
                if isPath(of: secret.bytes + [0x0a]) || isPath(of: secret.bytes + [0x0d, 0x0a]) {
                    return [
                        "it is the path that \(identity) had when its token had a line break at its end: give the sender the "
                            + "new one (grapnel url)"
                    ]
                }
            }
            for known in secrets.all where known.object?.hasPrefix(identity.namespace + "/") == true {
                budget -= 1
                if budget > 0, isPath(of: known.secret.bytes) {
                    return [
                        "it is the path that \(identity) would have with \(known.place), which it does not use: give the sender "
                            + "the present one (grapnel url)"
                    ]
                }
            }
        }
        return [
            "no Receiver has this path: it is made of token, name and namespace, and changes with each of them; `grapnel url` "
                + "prints the present one"
        ]
    }

    private func near(_ path: String) -> [String] {
        let paths = snapshot.routes.map(\.path).filter { !$0.hasPrefix("/hook/") }
        func plain(_ path: String) -> String {
            let decoded = String(decoding: ProofClaims.percentDecoded(path.utf8), as: UTF8.self)
            return decoded.lowercased().split(separator: "/").joined(separator: "/")
        }
        if let same = paths.first(where: { plain($0) == plain(path) }) {
            return [
                "the nearest path is \(Plain.quoted(same)): it differs only in slashes, letter case or escapes, which all count"
            ]
        }
        if let nearest = NearestName.of(path, among: paths) {
            return ["the nearest path is \(Plain.quoted(nearest)): did you mean that?"]
        }
        if let prefix = paths.filter({ path.hasPrefix($0 + "/") }).max(by: { $0.count < $1.count }) {
            return ["\(Plain.quoted(prefix)) is a receiver's path; nothing may stand behind it"]
        }
        let inNamespace = paths.filter { candidate in
            guard let slash = candidate.lastIndex(of: "/"), let other = path.lastIndex(of: "/") else { return false }
            return candidate[..<slash] == path[..<other]
        }
        guard !inNamespace.isEmpty else { return [] }
        return ["paths beside it: " + inNamespace.prefix(3).map { Plain.quoted($0) }.joined(separator: ", ")]
    }
}
