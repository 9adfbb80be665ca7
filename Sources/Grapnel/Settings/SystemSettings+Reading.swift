// SystemSettings+Reading: the structured settings out of a settings file.

import Catalog
import Delivery

extension SystemSettings {
    /// Takes over what `root` holds. `resolve` makes a file name absolute.
    mutating func read(_ root: inout YAMLFields, resolve: @escaping (String) -> String) {
        clusters = ClusterSettings.read(&root, resolve: resolve)
        if var oidc = root.map("oidc") {
            readIssuers(&oidc, resolve)
            oidc.finish()
        }
        if var fields = root.map("outbound") {
            outbound.proxy = fields.text("proxy").flatMap { Self.proxy($0, fields.findings) }
            outbound.caFile = fields.text("caFile").map { resolve($0.value) }
            outbound.allow = Self.allowList(fields.texts("allow") ?? [], fields.findings)
            fields.finish()
        }
        if var fields = root.map("openshift") {
            if let profile = fields.text("profile") {
                openShift.profile = OpenShiftProfile(rawValue: profile.value) ?? openShift.profile
                if OpenShiftProfile(rawValue: profile.value) == nil {
                    fields.findings.error(
                        profile.line, "\(profile.path) must be upstream or grapnel, found \(quoted(profile.value))")
                }
            }
            if let mode = fields.text("mode") {
                openShift.mode = OpenShiftMode(rawValue: mode.value) ?? openShift.mode
                if OpenShiftMode(rawValue: mode.value) == nil {
                    fields.findings.error(
                        mode.line, "\(mode.path) must be instantiate or relay, found \(quoted(mode.value))")
                }
            }
            fields.finish()
        }
        if var fields = root.map("kubesphere") { readKubesphere(&fields) }
        if var fields = root.map("buildService") { readBuildService(&fields, resolve: resolve) }
        hookPaths = Self.entries("hookPaths", of: &root) { namespace, fields in
            (fields.texts(namespace) ?? []).map { path in
                if !path.value.hasPrefix("/") { fields.findings.error(path.line, "\(path.path) must begin with /") }
                return path.value
            }
        }
        namespaceWeights = Self.entries("namespaceWeights", of: &root) { name, fields in
            fields.integer(name, in: 1...100)
        }
        allowCrossNamespace = (root.texts("allowCrossNamespace") ?? []).map(\.value)
    }

    private mutating func readIssuers(_ oidc: inout YAMLFields, _ resolve: @escaping (String) -> String) {
        oidcIssuers = Self.entries("issuers", of: &oidc) { issuer, issuers in
            guard var fields = issuers.map(issuer) else { return nil }
            // A document may be a file, relative to the settings file, or a URL.
            let source = { (text: String) in text.contains("://") ? text : resolve(text) }
            let discovery = fields.text("discovery").map { source($0.value) }
            let jwks = fields.text("jwks").map { source($0.value) }
            fields.finish()
            return Issuer(discovery: discovery, jwks: jwks)
        }
    }

    private mutating func readKubesphere(_ fields: inout YAMLFields) {
        kubeSphere.requireSecret = fields.boolean("requireSecret") ?? kubeSphere.requireSecret
        kubeSphere.githubUnauthenticated =
            fields.boolean("githubUnauthenticated") ?? kubeSphere.githubUnauthenticated
        if var general = fields.map("general") {
            kubeSphere.ignorePing = general.boolean("ignorePing") ?? kubeSphere.ignorePing
            kubeSphere.branchFilter = general.boolean("branchFilter") ?? kubeSphere.branchFilter
            kubeSphere.overrides = general.boolean("overrides") ?? kubeSphere.overrides
            general.finish()
        }
        fields.finish()
    }

    private static func allowList(_ entries: [Placed<String>], _ findings: YAMLFindings) -> OutboundAllowList {
        let (list, wrong) = OutboundAllowList.read(entries.map(\.value))
        for (index, reason) in wrong {
            findings.error(
                entries[index].line, "\(entries[index].path) \(reason), found \(quoted(entries[index].value))")
        }
        return list
    }

    private static func proxy(_ text: Placed<String>, _ findings: YAMLFindings) -> String? {
        if text.value.hasPrefix("http://") || text.value.hasPrefix("https://") { return text.value }
        findings.error(text.line, "\(text.path) must begin with http:// or https://")
        return nil
    }

    /// A map whose keys are free. `read` takes the key and the map and reads that one value.
    static func entries<Value>(
        _ name: String, of fields: inout YAMLFields, _ read: (String, inout YAMLFields) -> Value?
    ) -> [String: Value] {
        guard let place = fields.node(name),
            var map = YAMLFields(place.value, path: place.path, findings: fields.findings)
        else { return [:] }
        var result: [String: Value] = [:]
        for key in (place.value.fields ?? []).map(\.key) { result[key] = read(key, &map) }
        return result
    }
}
