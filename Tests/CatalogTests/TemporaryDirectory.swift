import Foundation

/// A directory of a test's own, removed with it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "grapnel-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { path + "/" + name }

    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

    /// In place of an older file, as `mv` does it: never half written.
    func write(_ name: String, _ data: Data) throws {
        let target = self(name)
        try FileManager.default.createDirectory(
            atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try data.write(to: URL(fileURLWithPath: target), options: .atomic)
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self(name)) }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: self(name), withDestinationPath: target)
    }
}

enum Sample {
    static func secret(_ name: String, _ token: String = "0123456789abcdef", namespace: String = "default") -> String {
        "apiVersion: v1\nkind: Secret\nmetadata: {name: \(name), namespace: \(namespace)}\nstringData: {token: \"\(token)\"}\n---\n"
    }

    static func receiver(
        _ name: String, namespace: String = "default", type: String = "github", secret: String = "s", more: String = ""
    ) -> String {
        """
        apiVersion: notification.toolkit.fluxcd.io/v1
        kind: Receiver
        metadata: {name: \(name), namespace: \(namespace)}
        spec:
          type: \(type)
          secretRef: {name: \(secret)}
          resources: [{kind: GitRepository, name: webapp}]
        \(more.split(separator: "\n").map { "  \($0)\n" }.joined())
        ---

        """
    }

    static func hook(_ name: String, namespace: String = "default", metadata: String = "", more: String = "") -> String
    {
        """
        apiVersion: grapnel.dev/v1alpha1
        kind: Hook
        metadata: {name: \(name), namespace: \(namespace)\(metadata)}
        spec:
          type: github
          secretRefs: [{name: s}]
          actions: [{log: {}}]
        \(more.split(separator: "\n").map { "  \($0)\n" }.joined())
        ---

        """
    }
}
