// AccessRules: rights that are missing, as roles that grant them: one role for each place, as few rules as they fit into.

enum AccessRules {
    private struct Rule: Hashable {
        var groups: [String]
        var resources: [String]
        var names: [String]
        var verbs: [String]
    }

    /// YAML documents, ready for `kubectl apply` once they are bound to the server's ServiceAccount; empty for none.
    static func yaml(_ denied: [AccessNeed]) -> String {
        let places = Dictionary(grouping: denied) { $0.namespace ?? "" }
        return places.keys.sorted().map { namespace in
            let isCluster = namespace.isEmpty
            var lines = [
                "apiVersion: rbac.authorization.k8s.io/v1", "kind: \(isCluster ? "ClusterRole" : "Role")",
                "metadata: {name: grapnel-missing\(isCluster ? "" : ", namespace: \(namespace)")}", "rules:",
            ]
            for rule in rules(places[namespace] ?? []) {
                lines.append("- apiGroups: \(list(rule.groups))")
                lines.append("  resources: \(list(rule.resources))")
                if !rule.names.isEmpty { lines.append("  resourceNames: \(list(rule.names))") }
                lines.append("  verbs: \(list(rule.verbs))")
            }
            return lines.joined(separator: "\n") + "\n"
        }.joined(separator: "---\n")
    }

    private static func rules(_ needs: [AccessNeed]) -> [Rule] {
        struct Key: Hashable {
            var group: String
            var resource: String
            var name: String
        }
        // Verbs of each object, then names that share them, then resources, then groups.
        var verbs: [Key: Set<String>] = [:]
        for need in needs {
            // A name does not restrict what has none yet.
            let name = need.verb == "create" ? "" : need.name ?? ""
            verbs[Key(group: need.group, resource: need.resource, name: name), default: []].insert(need.verb)
        }
        var rules = Set(
            verbs.map { key, verbs in
                Rule(
                    groups: [key.group], resources: [key.resource], names: key.name.isEmpty ? [] : [key.name],
                    verbs: verbs.sorted())
            })
        merge(&rules, \.names) {
            $0.names.isEmpty ? nil : Rule(groups: $0.groups, resources: $0.resources, names: [], verbs: $0.verbs)
        }
        merge(&rules, \.resources) { Rule(groups: $0.groups, resources: [], names: $0.names, verbs: $0.verbs) }
        merge(&rules, \.groups) { Rule(groups: [], resources: $0.resources, names: $0.names, verbs: $0.verbs) }
        return rules.sorted {
            ($0.groups.joined(), $0.resources.joined(), $0.names.joined()) < (
                $1.groups.joined(), $1.resources.joined(), $1.names.joined()
            )
        }
    }

    /// Makes one rule of those that differ in `field` alone; `rest` is a rule without it, nil leaves a rule as it is.
    private static func merge(_ rules: inout Set<Rule>, _ field: WritableKeyPath<Rule, [String]>, rest: (Rule) -> Rule?)
    {
        var merged: [Rule: Set<String>] = [:]
        var kept: Set<Rule> = []
        for rule in rules {
            if let rest = rest(rule) {
                merged[rest, default: []].formUnion(rule[keyPath: field])
            } else {
                kept.insert(rule)
            }
        }
        for (rest, values) in merged {
            var rule = rest
            rule[keyPath: field] = values.sorted()
            kept.insert(rule)
        }
        rules = kept
    }

    /// `[a, b]`; the core group is "".
    private static func list(_ values: [String]) -> String {
        "[" + values.map { $0.isEmpty || $0 == "*" ? "\"\($0)\"" : $0 }.joined(separator: ", ") + "]"
    }
}
