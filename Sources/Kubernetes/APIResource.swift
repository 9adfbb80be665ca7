// APIResource: under which path the API server serves a kind.

import Foundation

/// `group/version`, or `version` alone for the core group.
struct GroupVersion: Hashable, Sendable {
    var group: String
    var version: String

    init(group: String, version: String) {
        self.group = group
        self.version = version
    }

    init(_ apiVersion: String) {
        if let slash = apiVersion.firstIndex(of: "/") {
            group = String(apiVersion[..<slash])
            version = String(apiVersion[apiVersion.index(after: slash)...])
        } else {
            group = ""
            version = apiVersion
        }
    }

    /// `/apis/group/version`, `/api/version`.
    var path: String { group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)" }
}

/// A kind as the API server serves it.
public struct APIResource: Sendable, Hashable {
    public var group: String
    public var version: String
    public var kind: String
    public var plural: String
    public var isNamespaced: Bool

    public init(group: String, version: String, kind: String, plural: String, isNamespaced: Bool) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    /// The object's path; names that could change the path are refused.
    func path(namespace: String?, name: String, call: KubernetesCall) throws(KubernetesError) -> String {
        var path = GroupVersion(group: group, version: version).path
        if isNamespaced {
            path += try "/namespaces/" + Self.segment(namespace ?? "", "namespace", call)
        }
        return try path + "/" + Self.segment(plural, "resource", call) + "/" + Self.segment(name, "name", call)
    }

    /// The path of the kind's collection; of a namespaced kind with no namespace, that of all namespaces.
    func wholePath(namespace: String?, call: KubernetesCall) throws(KubernetesError) -> String {
        guard isNamespaced, namespace == nil else { return try collectionPath(namespace: namespace, call: call) }
        return try GroupVersion(group: group, version: version).path + "/" + Self.segment(plural, "resource", call)
    }

    /// The path of the kind's collection in one namespace, or of a kind without namespaces.
    func collectionPath(namespace: String?, call: KubernetesCall) throws(KubernetesError) -> String {
        var path = GroupVersion(group: group, version: version).path
        if isNamespaced { path += try "/namespaces/" + Self.segment(namespace ?? "", "namespace", call) }
        return try path + "/" + Self.segment(plural, "resource", call)
    }

    /// What the API server itself demands of a name in a path: not empty, not `.` or `..`, no slash and no percent sign.
    private static func segment(
        _ text: String, _ what: String, _ call: KubernetesCall
    ) throws(KubernetesError) -> String {
        guard !text.isEmpty, text != ".", text != "..", text.utf8.count <= 253,
            !text.utf8.contains(where: { $0 == 0x2f || $0 == 0x25 || $0 < 0x20 || $0 == 0x7f }),
            let encoded = text.addingPercentEncoding(withAllowedCharacters: Self.segmentCharacters)
        else { throw KubernetesError(call: call, cause: .invalidName("the \(what)")) }
        return encoded
    }

    /// RFC 3986 section 2.3, unreserved.
    static let segmentCharacters = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}
