// RouteSummary: what a route does, in the words of `check`.

import Delivery

extension RouteDefinition {
    /// One text for each thing that a delivery may cause; none when it is stored only.
    func actionSummaries(reveal: Bool) -> [String] {
        let filtered = filter == nil ? "" : " if the filter holds"
        return actions.map { $0.summary(reveal: reveal) + filtered }
            + selections.map { $0.summary + ($0.filter == nil ? filtered : " if the filter holds") } + ruleSummaries
    }

    private var ruleSummaries: [String] {
        switch identity.kind {
        case .buildConfig where (rules as? OpenShiftRules)?.mode == .relay:
            ["openshift-relay \(identity.namespace)/\(identity.name)"]
        case .buildConfig: ["openshift-build \(identity.namespace)/\(identity.name)"]
        case .s2iBuilder: ["s2i-run \(identity.namespace)/\(identity.name)"]
        case .buildService: ["kpack-refresh what reads the image"]
        case .receiver, .hook: []
        }
    }
}

extension Selection {
    var summary: String {
        switch targets {
        case .named(let target): "\(act.rawValue) \(target)"
        case .labelled(let target, let labels):
            "\(act.rawValue) \(target.kind)/\(target.namespace)/* ("
                + (labels.isEmpty
                    ? "all" : labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ","))
                + ")"
        case .ofRepository(_, let kinds, let namespaces):
            "\(act.rawValue) \(kinds.joined(separator: "|")) of the event's repository in "
                + (namespaces.isEmpty ? "all namespaces" : namespaces.joined(separator: ","))
        case .ofImage: "\(act.rawValue) what reads the event's image"
        }
    }
}
