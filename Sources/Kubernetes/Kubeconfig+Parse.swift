// The reading of a kubeconfig's text: YAML nodes to values, one context resolved.

import Foundation
import Yams

extension Kubeconfig {
    /// One file, read and composed. `path` is for messages and relative names.
    struct Document {
        var path: String
        var root: Node

        /// The entry `name` of the list `list`, whose content is below `key`.
        func entry(_ list: String, _ key: String, _ name: String) -> Node? {
            Kubeconfig.named(root[list], key: key)[name]
        }
    }

    static func document(_ bytes: [UInt8], path: String) throws(KubeconfigError) -> Document {
        func failure(_ reason: String) -> KubeconfigError {
            KubeconfigError(file: path, context: nil, problem: .notYAML(reason: reason))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("not UTF-8") }
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw failure(yamlReason(error)) }
        guard let root else { throw failure("empty") }
        guard root.mapping != nil else { throw failure("not a mapping") }
        return Document(path: path, root: root)
    }

    /// Resolves `context` (nil: `current-context`) in files of which the earlier one wins.
    static func resolve(
        _ documents: [Document], context requested: String?, environment: [String: String] = [:]
    ) throws(KubeconfigError) -> Kubeconfig {
        let all = documents.map(\.path).joined(separator: ":")
        func failure(_ problem: KubeconfigError.Problem, _ context: String? = nil, in file: String? = nil)
            -> KubeconfigError
        { KubeconfigError(file: file ?? all, context: context, problem: problem) }
        func find(_ list: String, _ key: String, _ name: String) -> (document: Document, node: Node)? {
            for document in documents {
                if let node = document.entry(list, key, name) { return (document, node) }
            }
            return nil
        }

        let known = Set(documents.flatMap { Self.named($0.root["contexts"], key: "context").keys })
        guard !known.isEmpty else { throw failure(.noContexts) }
        guard let contextName = requested ?? documents.lazy.compactMap({ nonEmpty($0.root["current-context"]) }).first
        else { throw failure(.noCurrentContext) }
        guard let (contextFile, context) = find("contexts", "context", contextName) else {
            throw failure(.unknownContext(known: known.sorted()), contextName)
        }
        guard let clusterName = nonEmpty(context["cluster"]) else {
            throw failure(.fieldMissing("context.cluster"), contextName, in: contextFile.path)
        }
        guard let (clusterFile, cluster) = find("clusters", "cluster", clusterName) else {
            throw failure(.unknown(what: "cluster", name: clusterName), contextName)
        }
        let clusterReader = Reader(path: clusterFile.path, context: contextName)
        var result = Kubeconfig(
            source: all, contextName: contextName, namespace: nonEmpty(context["namespace"]) ?? "default",
            server: try clusterReader.server(cluster))
        try clusterReader.readCluster(cluster, into: &result)
        if result.proxyURL == nil {
            result.proxyURL = try proxy(for: result.server, environment, clusterFile.path, contextName)
        }
        if let userName = nonEmpty(context["user"]) {
            guard let (userFile, user) = find("users", "user", userName) else {
                throw failure(.unknown(what: "user", name: userName), contextName)
            }
            let reader = Reader(path: userFile.path, context: contextName)
            try reader.readUser(user, into: &result)
            result.exec = try reader.exec(user, cluster, result)
        }
        return result
    }

    /// The environment's proxy for `server`, if it names one that we can use.
    static func proxy(
        for server: String, _ environment: [String: String], _ file: String, _ context: String?
    ) throws(KubeconfigError) -> String? {
        guard let found = ProxyEnvironment(environment).proxy(for: server) else { return nil }
        guard isUsable(proxy: found.url) else {
            throw KubeconfigError(file: file, context: context, problem: .proxyVariable(found.variable))
        }
        return found.url
    }

    static func isUsable(proxy: String) -> Bool {
        guard let components = URLComponents(string: proxy), components.host?.isEmpty == false else { return false }
        return ["http", "socks5", "socks5h"].contains(components.scheme?.lowercased())
    }

    /// `[{name, <key>: mapping}]` as a dictionary; of two entries with one name the first counts, as in kubectl.
    fileprivate static func named(_ list: Node?, key: String) -> [String: Node] {
        var result: [String: Node] = [:]
        for entry in list?.sequence ?? [] {
            guard let name = nonEmpty(entry["name"]), result[name] == nil else { continue }
            result[name] = entry[key] ?? Node([(Node, Node)]())
        }
        return result
    }

    /// What the parser says, without the line's text: it may hold a secret.
    private static func yamlReason(_ error: any Error) -> String {
        guard let error = error as? YamlError else { return "unreadable" }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return "line \(mark.line): \(problem)"
        case .duplicatedKeysInMapping(let duplicates, let context):
            return "line \(context.mark.line): \(duplicates.count) repeated key(s) in one mapping"
        default: return "unreadable"
        }
    }
}

/// The text of a scalar that is neither empty nor null.
func nonEmpty(_ node: Node?) -> String? {
    guard let node, case .scalar(let scalar) = node, !scalar.string.isEmpty, node.null == nil else { return nil }
    return scalar.string
}

/// Reads the cluster and the user of a context; knows the file and the context for messages.
struct Reader {
    let path: String
    let context: String

    func failure(_ problem: KubeconfigError.Problem) -> KubeconfigError {
        KubeconfigError(file: path, context: context, problem: problem)
    }

    func server(_ cluster: Node) throws(KubeconfigError) -> String {
        guard var server = nonEmpty(cluster["server"]) else { throw failure(.fieldMissing("cluster.server")) }
        if !server.contains("://") { server = "https://" + server }
        while server.hasSuffix("/") { server.removeLast() }
        guard let components = URLComponents(string: server), let scheme = components.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = components.host, !host.isEmpty,
            components.user == nil, components.password == nil, components.query == nil, components.fragment == nil
        else { throw failure(.fieldInvalid("cluster.server", expected: "a URL like https://host:6443")) }
        return server
    }

    func readCluster(_ cluster: Node, into config: inout Kubeconfig) throws(KubeconfigError) {
        config.skipsTLSVerification = try flag(cluster, "insecure-skip-tls-verify", "cluster")
        config.certificateAuthorityPEM = try material(cluster, "certificate-authority", "cluster")
        config.certificateAuthorityFile = file(cluster, "certificate-authority")
        if config.skipsTLSVerification, config.certificateAuthorityPEM != nil {
            throw failure(.bothGiven("cluster.insecure-skip-tls-verify", "cluster.certificate-authority(-data)"))
        }
        config.tlsServerName = nonEmpty(cluster["tls-server-name"])
        if let proxy = nonEmpty(cluster["proxy-url"]) {
            guard Kubeconfig.isUsable(proxy: proxy) else {
                throw failure(
                    .fieldInvalid(
                        "cluster.proxy-url",
                        expected:
                            "a URL like http://host:3128 or socks5://host:1080 (a proxy that is itself spoken to over "
                            + "https is not supported; the calls through an http one are encrypted all the same)"))
            }
            config.proxyURL = proxy
        }
    }

    func readUser(_ user: Node, into config: inout Kubeconfig) throws(KubeconfigError) {
        let credential = "a token, a tokenFile, a client certificate or an exec plug-in"
        for (field, instead) in [
            ("auth-provider", authProviderRemedy(user["auth-provider"])), ("username", credential),
            ("password", credential), ("as", "an account that has the rights itself"),
            ("as-groups", "an account that has the rights itself"), ("as-uid", "an account that has the rights itself"),
            ("as-user-extra", "an account that has the rights itself"),
        ] where user[field] != nil && user[field]?.null == nil {
            throw failure(.unsupported(field: "user.\(field)", instead: instead))
        }
        // kubectl: tokenFile wins over token.
        if let file = nonEmpty(user["tokenFile"]) {
            let resolved = resolve(file)
            _ = try Kubeconfig.readFile(
                resolved, problem: { .fileUnreadable(field: "user.tokenFile", reason: $0) }, in: path, context: context)
            config.token = .file(path: resolved)
        } else if let token = nonEmpty(user["token"]) {
            guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw failure(.fieldInvalid("user.token", expected: "a token of printable ASCII characters"))
            }
            config.token = .inline(SecretText(token))
        }
        let chain = try material(user, "client-certificate", "user")
        let key = try material(user, "client-key", "user")
        switch (chain, key) {
        case (nil, nil): break
        case (let chain?, let key?):
            config.clientCertificate = .init(chainPEM: chain, key: SecretText(String(decoding: key, as: UTF8.self)))
            let files = Kubeconfig.CertificateFiles(
                chain: file(user, "client-certificate"), key: file(user, "client-key"))
            if files.chain != nil || files.key != nil { config.clientCertificateFiles = files }
        case (nil, _?): throw failure(.fieldMissing("user.client-certificate(-data)"))
        case (_?, nil): throw failure(.fieldMissing("user.client-key(-data)"))
        }
    }

    /// The bytes of `<field>-data` (base64; wins, as in kubectl) or of the file that `<field>` names.
    func material(_ node: Node, _ field: String, _ of: String) throws(KubeconfigError) -> [UInt8]? {
        if let encoded = nonEmpty(node[field + "-data"]) {
            guard let data = Data(base64Encoded: encoded, options: .ignoreUnknownCharacters), !data.isEmpty else {
                throw failure(.fieldInvalid("\(of).\(field)-data", expected: "base64"))
            }
            return [UInt8](data)
        }
        guard let file = nonEmpty(node[field]) else { return nil }
        return try Kubeconfig.readFile(
            resolve(file), problem: { .fileUnreadable(field: "\(of).\(field)", reason: $0) }, in: path, context: context
        )
    }

    /// The file that `field` names, when it is what counts.
    func file(_ node: Node, _ field: String) -> String? {
        nonEmpty(node[field + "-data"]) == nil ? nonEmpty(node[field]).map(resolve) : nil
    }

    /// The providers that kubectl had built in until 1.26, and what took their place.
    private func authProviderRemedy(_ node: Node?) -> String {
        switch nonEmpty(node?["name"]) {
        case "gcp": "the exec plug-in gke-gcloud-auth-plugin (`gcloud container clusters get-credentials` writes it)"
        case "azure": "the exec plug-in kubelogin (`kubelogin convert-kubeconfig` writes it)"
        case "oidc": "an exec plug-in that gets ID tokens (`kubectl oidc-login`, also called kubelogin)"
        default: "an exec plug-in, a token, a tokenFile or a client certificate"
        }
    }

    func flag(_ node: Node, _ field: String, _ of: String) throws(KubeconfigError) -> Bool {
        guard let text = nonEmpty(node[field]) else { return false }
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default: throw failure(.fieldInvalid("\(of).\(field)", expected: "true or false"))
        }
    }

    func resolve(_ file: String) -> String {
        if file.hasPrefix("/") { return file }
        let folder = (path as NSString).deletingLastPathComponent
        return folder.isEmpty ? file : folder + "/" + file
    }
}
