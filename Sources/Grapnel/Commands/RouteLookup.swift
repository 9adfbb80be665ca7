// RouteLookup: finds the receiver that an operator names: KIND/NAME, with -n, or KIND/NAMESPACE/NAME.

import Catalog
import Delivery

struct RouteLookup {
    let kind: ReceiverKind
    let namespace: String
    let name: String

    init(_ text: String, namespace: String?) throws(CommandFailure) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), !parts.contains("") else {
            throw CommandFailure(
                .usage, "\(quoted(text)) names no receiver; write it as Hook/webapp -n team-a or Receiver/team-a/webapp"
            )
        }
        switch parts[0].lowercased() {
        case "receiver", "receivers": kind = .receiver
        case "hook", "hooks": kind = .hook
        case "buildconfig", "buildconfigs", "bc": kind = .buildConfig
        case "s2ibuilder", "s2ibuilders": kind = .s2iBuilder
        default:
            let known = ["Receiver", "Hook", "BuildConfig", "S2iBuilder"]
            throw CommandFailure(
                .usage,
                "\(quoted(parts[0])) is no kind of receiver; known kinds: \(known.joined(separator: ", "))"
                    + NearestName.hint(parts[0], among: known))
        }
        if parts.count == 3, let namespace, namespace != parts[1] {
            throw CommandFailure(.usage, "two namespaces were given; leave out -n or the one in \(quoted(text))")
        }
        self.namespace = parts.count == 3 ? parts[1] : namespace ?? "default"
        name = parts[parts.count - 1]
    }

    /// The route, or a failure that says why there is none.
    func route(in snapshot: CatalogSnapshot) throws(CommandFailure) -> RouteDefinition {
        func isNamed(_ identity: RouteIdentity) -> Bool {
            identity.kind == kind && identity.namespace == namespace && identity.name == name
        }
        if let route = snapshot.routes.first(where: { isNamed($0.identity) }) { return route }
        if let receiver = snapshot.unserved.first(where: { isNamed($0.identity) }) {
            throw CommandFailure(.wrongInput, "\(receiver.place): error: \(receiver.identity): \(receiver.reason)")
        }
        let identities = snapshot.routes.map(\.identity) + snapshot.unserved.map(\.identity)
        let elsewhere = identities.filter { $0.kind == kind && $0.name == name }.map(\.namespace)
        let names = identities.filter { $0.kind == kind && $0.namespace == namespace }.map(\.name)
        let hint =
            elsewhere.isEmpty
            ? NearestName.hint(name, among: names)
            : "; there is one in \(elsewhere.prefix(3).joined(separator: ", ")): add -n \(elsewhere[0])"
        throw CommandFailure(.wrongInput, "\(kind.name)/\(namespace)/\(name) does not exist in the manifests\(hint)")
    }
}
