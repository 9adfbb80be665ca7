// SystemSettings+BuildService: `buildService` of a settings file. Each endpoint has one credential or a list of them, one for each
// tenant; each secret comes from a file, the environment or a Secret of the catalog, or stands in the file itself, which is warned of.

import Catalog
import Delivery
import Glibc

extension SystemSettings {
    mutating func readBuildService(_ fields: inout YAMLFields, resolve: @escaping (String) -> String) {
        buildService.allowUnauthenticated = fields.boolean("allowUnauthenticated") ?? buildService.allowUnauthenticated
        if var authentication = fields.map("auth") {
            for endpoint in BuildServiceEndpoint.allCases {
                let name = endpoint == .dockerHub ? "dockerHub" : endpoint.name
                guard let place = authentication.node(name) else { continue }
                var items = [place]
                if case .list(let list) = place.value.content {
                    items = list.enumerated().map {
                        Placed(value: $0.element, line: $0.element.line, path: "\(place.path)[\($0.offset)]")
                    }
                }
                for item in items { readCredential(item, endpoint, fields.findings, resolve) }
            }
            authentication.finish()
        }
        buildService.hostAliases = Self.aliases(&fields)
        buildService.forceBuild = fields.boolean("forceBuild") ?? buildService.forceBuild
        buildService.coalesceSeconds = fields.integer("coalesceSeconds", in: 0...3_600) ?? buildService.coalesceSeconds
        if var artifactory = fields.map("artifactory") {
            for item in artifactory.list("repositories") ?? [] {
                guard var entry = YAMLFields(item.value, path: item.path, findings: fields.findings) else { continue }
                let key = entry.text("repoKey", required: true)?.value ?? ""
                let prefixes = (entry.texts("prefixes") ?? []).map(\.value)
                buildService.repositories.append(ArtifactoryRepository(repoKey: key, prefixes: prefixes))
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

    private static func aliases(_ fields: inout YAMLFields) -> [String: String] {
        entries("hostAliases", of: &fields) { host, fields in fields.text(host)?.value }
    }

    private mutating func readCredential(
        _ item: Placed<YAMLNode>, _ endpoint: BuildServiceEndpoint, _ findings: YAMLFindings,
        _ resolve: (String) -> String
    ) {
        guard var fields = YAMLFields(item.value, path: item.path, findings: findings) else { return }
        defer { fields.finish() }
        guard let type = fields.text("type", required: true) else { return }
        let make: @Sendable (SecretBytes) -> BuildServiceCredential
        let name: String
        switch type.value {
        case "bearer":
            name = "token"
            make = { .bearer($0) }
        case "urlToken":
            name = "token"
            make = { .urlToken($0) }
        case "jfrogSignature":
            name = "secret"
            make = { .jfrogSignature($0) }
        case "jfrogToken":
            name = "secret"
            make = { .jfrogToken($0) }
        case "basic":
            let username = fields.text("username", required: true)?.value ?? ""
            name = "password"
            make = { .basic(username: username, password: $0) }
        case "header":
            let header = fields.text("name", required: true)?.value ?? ""
            name = "value"
            make = { .header(name: header, value: $0) }
        case "none":
            if !buildService.allowUnauthenticated {
                findings.error(
                    type.line,
                    "\(type.path) none lets anybody refresh images; set buildService.allowUnauthenticated: true as well "
                        + "if that is meant")
            }
            add(.unauthenticated, to: endpoint)
            return
        default:
            let known = ["bearer", "basic", "header", "urlToken", "jfrogSignature", "jfrogToken", "none"]
            findings.error(
                type.line,
                "\(type.path) must be \(known.joined(separator: ", ")), found \(quoted(type.value))"
                    + NearestName.hint(type.value, among: known))
            return
        }
        readSecret(name, &fields, endpoint, resolve, make)
    }

    /// `token`, `tokenFile`, `tokenEnv` or `tokenSecretRef`, whatever the secret is called.
    private mutating func readSecret(
        _ name: String, _ fields: inout YAMLFields, _ endpoint: BuildServiceEndpoint, _ resolve: (String) -> String,
        _ make: @escaping @Sendable (SecretBytes) -> BuildServiceCredential
    ) {
        let inline = fields.text(name)
        let file = fields.text(name + "File")
        let variable = fields.text(name + "Env")
        let reference = fields.node(name + "SecretRef")
        let given = [inline != nil, file != nil, variable != nil, reference != nil].count { $0 }
        guard given == 1 else {
            fields.findings.error(
                fields.line,
                "\(fields.path) needs exactly one of \(name)File, \(name)Env, \(name)SecretRef and \(name), found \(given)"
            )
            return
        }
        if let inline {
            fields.findings.warning(
                inline.line,
                "\(inline.path) stands in the settings file; \(name)File or \(name)SecretRef keeps it apart")
            add(make(SecretBytes(Array(inline.value.utf8))), to: endpoint, inline, fields.findings)
        } else if let file {
            switch SmallFile.read(resolve(file.value), bytesMax: 64 << 10) {
            case .success(var bytes):
                // One line break at the end is an editor's.
                if bytes.last == 0x0a { bytes.removeLast() }
                if bytes.last == 0x0d { bytes.removeLast() }
                add(make(SecretBytes(bytes)), to: endpoint, file, fields.findings, isEmpty: bytes.isEmpty)
            case .failure(let failure): fields.findings.error(file.line, "\(file.path): \(failure.description)")
            }
        } else if let variable {
            let value = unsafe getenv(variable.value).map { unsafe String(cString: $0) } ?? ""
            add(
                make(SecretBytes(Array(value.utf8))), to: endpoint, variable, fields.findings, isEmpty: value.isEmpty)
        } else if let reference,
            var secret = YAMLFields(reference.value, path: reference.path, findings: fields.findings)
        {
            let secretName = secret.text("name", required: true)?.value ?? ""
            let namespace = secret.text("namespace", required: true)?.value ?? ""
            let key = secret.text("key")?.value ?? name
            secret.finish()
            buildServiceReferences.append(
                BuildServiceSecretReference(
                    endpoint: endpoint, namespace: namespace, name: secretName, key: key, credential: make))
        }
    }

    private mutating func add(
        _ credential: BuildServiceCredential, to endpoint: BuildServiceEndpoint, _ place: Placed<String>,
        _ findings: YAMLFindings, isEmpty: Bool = false
    ) {
        if isEmpty || !credential.isUsable { findings.error(place.line, "\(place.path) is empty") }
        add(credential, to: endpoint)
    }

    private mutating func add(_ credential: BuildServiceCredential, to endpoint: BuildServiceEndpoint) {
        switch endpoint {
        case .notification: buildService.notification.append(credential)
        case .artifactory: buildService.artifactory.append(credential)
        case .dockerHub: buildService.dockerHub.append(credential)
        }
    }
}
