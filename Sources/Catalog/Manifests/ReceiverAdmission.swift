// ReceiverAdmission: what the API server's admission would say about the `spec` of a Receiver, without a server.

public enum ReceiverAdmission {
    /// What is wrong with a Receiver whose spec is `spec`, JSON or YAML; empty: nothing.
    public static func errors(spec: [UInt8]) -> [String] {
        let documents = YAMLReader.documents(of: spec)
        guard documents.count == 1 else { return ["expected one document, found \(documents.count)"] }
        switch documents[0].content {
        case .failure(let problem): return [problem.message]
        case .success(let spec):
            let text = { (text: String) in YAMLNode(.text(text), line: 1) }
            let field = { (key: String, value: YAMLNode) in YAMLNode.Field(key: key, line: 1, value: value) }
            let object = YAMLNode(
                .map([
                    field("apiVersion", text("notification.toolkit.fluxcd.io/v1")), field("kind", text("Receiver")),
                    field("metadata", YAMLNode(.map([field("name", text("receiver"))]), line: 1)),
                    field("spec", spec),
                ]), line: 1)
            return ManifestFile(object).problems.filter { $0.severity == .error }.map(\.message)
        }
    }
}
