// SystemSettings+Reading: the structured settings out of a settings file.

import Catalog
import Delivery

extension SystemSettings {
    /// Takes over what `root` holds. `resolve` makes a file name absolute.
    mutating func read(_ root: inout YAMLFields, resolve: @escaping (String) -> String) {
        if var oidc = root.map("oidc") {
            readIssuers(&oidc, resolve)
            oidc.finish()
        }
        if var fields = root.map("outbound") {
            outbound.proxy = fields.text("proxy").flatMap { Self.proxy($0, fields.findings) }
            outbound.caFile = fields.text("caFile").map { resolve($0.value) }
            outbound.allow = (fields.texts("allow") ?? []).map(\.value)
            fields.finish()
        }
        if var fields = root.map("openshift") {
            if let profile = fields.text("profile") {
                openShiftProfile = OpenShiftProfile(rawValue: profile.value) ?? openShiftProfile
                if OpenShiftProfile(rawValue: profile.value) == nil {
                    fields.findings.error(
                        profile.line, "\(profile.path) must be upstream or grapnel, found \(quoted(profile.value))")
                }
            }
            fields.finish()
        }
        if var fields = root.map("kubesphere") { readKubesphere(&fields) }
        if var fields = root.map("buildService") { readBuildService(&fields) }
        hookPaths = Self.entries("hookPaths", of: &root) { namespace, fields in
            (fields.texts(namespace) ?? []).map { path in
                if !path.value.hasPrefix("/") { fields.findings.error(path.line, "\(path.path) must begin with /") }
                return path.value
            }
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
        kubesphere.requireSecret = fields.boolean("requireSecret") ?? kubesphere.requireSecret
        kubesphere.githubUnauthenticated =
            fields.boolean("githubUnauthenticated") ?? kubesphere.githubUnauthenticated
        if var general = fields.map("general") {
            kubesphere.ignorePing = general.boolean("ignorePing") ?? kubesphere.ignorePing
            kubesphere.branchFilter = general.boolean("branchFilter") ?? kubesphere.branchFilter
            kubesphere.overrides = general.boolean("overrides") ?? kubesphere.overrides
            general.finish()
        }
        fields.finish()
    }

    private mutating func readBuildService(_ fields: inout YAMLFields) {
        if var authentication = fields.map("auth") {
            for endpoint in ["notification", "artifactory", "dockerHub"] {
                guard var scheme = authentication.map(endpoint) else { continue }
                buildService.authentication[endpoint] = Self.authentication(&scheme)
                scheme.finish()
            }
            authentication.finish()
        }
        buildService.hostAliases = Self.entries("hostAliases", of: &fields) { host, fields in fields.text(host)?.value }
        buildService.forceBuild = fields.boolean("forceBuild") ?? buildService.forceBuild
        buildService.coalesceSeconds = fields.integer("coalesceSeconds", in: 0...3_600) ?? buildService.coalesceSeconds
        if var artifactory = fields.map("artifactory") {
            for item in artifactory.list("repositories") ?? [] {
                guard var entry = YAMLFields(item.value, path: item.path, findings: fields.findings) else {
                    continue
                }
                let key = entry.text("repoKey", required: true)?.value ?? ""
                let prefixes = (entry.texts("prefixes") ?? []).map(\.value)
                buildService.artifactoryRepositories.append(.init(repoKey: key, prefixes: prefixes))
                entry.finish()
            }
            artifactory.finish()
        }
        if var dockerHub = fields.map("dockerHub") {
            buildService.dockerHubCallback = dockerHub.boolean("callback") ?? buildService.dockerHubCallback
            dockerHub.finish()
        }
        fields.finish()
    }

    private static func authentication(_ fields: inout YAMLFields) -> Authentication? {
        func secret(_ name: String, _ fields: inout YAMLFields) -> SecretBytes {
            let text = fields.text(name, required: true)
            if let text, text.value.isEmpty { fields.findings.error(text.line, "\(text.path) is empty") }
            return SecretBytes(Array((text?.value ?? "").utf8))
        }
        let known = ["bearer", "basic", "header", "urlToken", "jfrogSignature", "jfrogToken"]
        guard let type = fields.text("type", required: true) else { return nil }
        switch type.value {
        case "bearer": return .bearer(token: secret("token", &fields))
        case "basic":
            let username = fields.text("username", required: true)?.value ?? ""
            return .basic(username: username, password: secret("password", &fields))
        case "header":
            let name = fields.text("name", required: true)?.value ?? ""
            return .header(name: name, value: secret("value", &fields))
        case "urlToken": return .urlToken(token: secret("token", &fields))
        case "jfrogSignature": return .jfrogSignature(secret: secret("secret", &fields))
        case "jfrogToken": return .jfrogToken(secret: secret("secret", &fields))
        default:
            fields.findings.error(
                type.line,
                "\(type.path) must be \(known.joined(separator: ", ")), found \(quoted(type.value))"
                    + NearestName.hint(type.value, among: known))
            return nil
        }
    }

    private static func proxy(_ text: Placed<String>, _ findings: YAMLFindings) -> String? {
        if text.value.hasPrefix("http://") || text.value.hasPrefix("https://") { return text.value }
        findings.error(text.line, "\(text.path) must begin with http:// or https://")
        return nil
    }

    /// A map whose keys are free. `read` takes the key and the map and reads that one value.
    private static func entries<Value>(
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
