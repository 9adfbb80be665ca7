// The reading of a kubeconfig's text: YAML nodes to values, one context resolved.

import Foundation
import Yams

extension Kubeconfig {
    /// Resolves `context` (nil: `current-context`) in the text of a kubeconfig. `path` is for messages and relative names.
    static func parse(_ bytes: [UInt8], path: String, context requested: String?) throws(KubeconfigError) -> Kubeconfig
    {
        func failure(_ problem: KubeconfigError.Problem, _ context: String? = nil) -> KubeconfigError {
            KubeconfigError(file: path, context: context, problem: problem)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure(.notYAML(reason: "not UTF-8")) }
        let root: Node
        do {
            guard let node = try Yams.compose(yaml: text) else { throw failure(.notYAML(reason: "empty")) }
            root = node
        } catch let error as KubeconfigError {
            throw error
        } catch {
            throw failure(.notYAML(reason: yamlReason(error)))
        }
        guard root.mapping != nil else { throw failure(.notYAML(reason: "not a mapping")) }

        let contexts = Self.named(root["contexts"], key: "context")
        guard !contexts.isEmpty else { throw failure(.noContexts) }
        guard let contextName = requested ?? nonEmpty(root["current-context"]) else { throw failure(.noCurrentContext) }
        guard let context = contexts[contextName] else {
            throw failure(.unknownContext(known: contexts.keys.sorted()), contextName)
        }
        guard let clusterName = nonEmpty(context["cluster"]) else {
            throw failure(.fieldMissing("context.cluster"), contextName)
        }
        guard let cluster = Self.named(root["clusters"], key: "cluster")[clusterName] else {
            throw failure(.unknown(what: "cluster", name: clusterName), contextName)
        }
        var user: Node?
        if let userName = nonEmpty(context["user"]) {
            user = Self.named(root["users"], key: "user")[userName]
            if user == nil { throw failure(.unknown(what: "user", name: userName), contextName) }
        }
        let reader = Reader(path: path, context: contextName)
        var result = Kubeconfig(
            source: path, contextName: contextName, namespace: nonEmpty(context["namespace"]) ?? "default",
            server: try reader.server(cluster))
        try reader.readCluster(cluster, into: &result)
        if let user { try reader.readUser(user, into: &result) }
        return result
    }

    /// `[{name, <key>: mapping}]` as a dictionary; of two entries with one name the first counts, as in kubectl.
    private static func named(_ list: Node?, key: String) -> [String: Node] {
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

/// A scalar that is neither empty nor null.
private func nonEmpty(_ node: Node?) -> String? {
    guard let node, case .scalar(let scalar) = node, !scalar.string.isEmpty, node.null == nil else { return nil }
    return scalar.string
}

/// Reads one cluster and one user; knows the file and the context for messages.
private struct Reader {
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
        if config.skipsTLSVerification, config.certificateAuthorityPEM != nil {
            throw failure(.bothGiven("cluster.insecure-skip-tls-verify", "cluster.certificate-authority(-data)"))
        }
        config.tlsServerName = nonEmpty(cluster["tls-server-name"])
        if let proxy = nonEmpty(cluster["proxy-url"]) {
            guard let components = URLComponents(string: proxy), components.host?.isEmpty == false,
                ["http", "socks5"].contains(components.scheme?.lowercased())
            else {
                throw failure(
                    .fieldInvalid("cluster.proxy-url", expected: "a URL like http://host:3128 or socks5://host:1080"))
            }
            config.proxyURL = proxy
        }
    }

    func readUser(_ user: Node, into config: inout Kubeconfig) throws(KubeconfigError) {
        for (field, instead) in [
            ("exec", "a token, a tokenFile or a client certificate (`kubectl create token` makes a token)"),
            ("auth-provider", "a token, a tokenFile or a client certificate"),
            ("username", "a token, a tokenFile or a client certificate"),
            ("password", "a token, a tokenFile or a client certificate"),
            ("as", "an account that has the rights itself"), ("as-groups", "an account that has the rights itself"),
            ("as-uid", "an account that has the rights itself"),
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
