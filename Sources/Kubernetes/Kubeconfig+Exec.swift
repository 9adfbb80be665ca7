// The `exec` section of a user, and the cluster as plug-ins are told of it (client.authentication.k8s.io, ExecCredential
// spec.cluster).

import Foundation
import Yams

extension Reader {
    /// nil when the user has no `exec` section. `config` holds the cluster's fields.
    func exec(_ user: Node, _ cluster: Node, _ config: Kubeconfig) throws(KubeconfigError) -> ExecPlugin? {
        guard let node = user["exec"], node.null == nil else { return nil }
        guard let command = nonEmpty(node["command"]) else { throw failure(.fieldMissing("user.exec.command")) }
        guard let version = nonEmpty(node["apiVersion"]) else { throw failure(.fieldMissing("user.exec.apiVersion")) }
        guard ExecPlugin.versions.contains(version) else {
            throw failure(
                .fieldInvalid("user.exec.apiVersion", expected: ExecPlugin.versions.joined(separator: " or ")))
        }
        switch nonEmpty(node["interactiveMode"]) {
        case "Never", "IfAvailable": break
        case "Always":
            throw failure(
                .unsupported(
                    field: "user.exec.interactiveMode: Always",
                    instead: "Never or IfAvailable with a plug-in that asks nobody (there is no terminal), or a token"))
        case nil where version.hasSuffix("/v1beta1"): break
        case nil: throw failure(.fieldMissing("user.exec.interactiveMode"))
        default: throw failure(.fieldInvalid("user.exec.interactiveMode", expected: "Never, IfAvailable or Always"))
        }
        let isToldOfCluster = try flag(node, "provideClusterInfo", "user.exec")
        return ExecPlugin(
            apiVersion: version, command: resolveCommand(command), arguments: try arguments(node),
            environment: try environment(node), installHint: nonEmpty(node["installHint"]),
            clusterJSON: isToldOfCluster ? clusterJSON(cluster, config) : nil)
    }

    private func arguments(_ node: Node) throws(KubeconfigError) -> [String] {
        guard let list = node["args"], list.null == nil else { return [] }
        var result: [String] = []
        for item in list.sequence ?? [] {
            guard let text = item.scalar?.string, !text.utf8.contains(0) else {
                throw failure(.fieldInvalid("user.exec.args", expected: "a list of texts"))
            }
            result.append(text)
        }
        return result
    }

    private func environment(_ node: Node) throws(KubeconfigError) -> [String: SecretText] {
        guard let list = node["env"], list.null == nil else { return [:] }
        var result: [String: SecretText] = [:]
        for item in list.sequence ?? [] {
            guard let name = nonEmpty(item["name"]), !name.utf8.contains(where: { $0 == 0 || $0 == 0x3d }),
                let value = item["value"]?.scalar?.string, !value.utf8.contains(0)
            else { throw failure(.fieldInvalid("user.exec.env", expected: "a list of {name, value}")) }
            result[name] = SecretText(value)
        }
        return result
    }

    /// A name is looked for in PATH; a path that is relative is relative to the kubeconfig's folder.
    private func resolveCommand(_ command: String) -> String { command.contains("/") ? resolve(command) : command }

    private func clusterJSON(_ cluster: Node, _ config: Kubeconfig) -> String? {
        var fields: [String: Any] = ["server": config.server]
        if let name = config.tlsServerName { fields["tls-server-name"] = name }
        if config.skipsTLSVerification { fields["insecure-skip-tls-verify"] = true }
        if let pem = config.certificateAuthorityPEM {
            fields["certificate-authority-data"] = Data(pem).base64EncodedString()
        }
        if let proxy = nonEmpty(cluster["proxy-url"]) { fields["proxy-url"] = proxy }
        for item in cluster["extensions"]?.sequence ?? []
        where nonEmpty(item["name"]) == "client.authentication.k8s.io/exec" {
            if let node = item["extension"] { fields["config"] = Self.json(node, depth: 0) }
        }
        return (try? JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys, .withoutEscapingSlashes]))
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// YAML to what JSONSerialization takes; nesting beyond 32 levels is cut off.
    private static func json(_ node: Node, depth: Int) -> Any {
        guard depth < 32 else { return NSNull() }
        switch node {
        case .mapping(let mapping):
            var result: [String: Any] = [:]
            for (key, value) in mapping { result[key.scalar?.string ?? ""] = json(value, depth: depth + 1) }
            return result
        case .sequence(let sequence): return sequence.map { json($0, depth: depth + 1) }
        default:
            if node.null != nil { return NSNull() }
            if let bool = node.bool { return bool }
            if let int = node.int { return int }
            if let float = node.float, float.isFinite { return float }
            return node.scalar?.string ?? ""
        }
    }
}
