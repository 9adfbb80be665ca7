// S2iBuilderManifest: a KubeSphere `S2iBuilder` (devops.kubesphere.io/v1alpha1), as far as its triggers are concerned. The object
// belongs to others: what has an unexpected shape reads as absent.

import Delivery

struct S2iBuilderManifest: Sendable {
    let metadata: ObjectMetadata
    let line: Int
    /// nil when absent or empty.
    let secretCode: SecretBytes?
    let secretLine: Int
    let revisionID: String
    let branchExpression: String
    let branchLine: Int
    let isBinaryURL: Bool
    let sourceURL: String

    init?(_ fields: inout YAMLFields, metadata: ObjectMetadata) {
        self.metadata = metadata
        line = fields.line
        let config = fields.node("spec")?.value["config"]
        let code = config?["secretCode"]
        let text = code?.plainText ?? ""
        secretCode = text.isEmpty ? nil : SecretBytes(Array(text.utf8))
        secretLine = code?.line ?? fields.line
        sourceURL = config?["sourceUrl"]?.plainText ?? ""
        revisionID = config?["revisionId"]?.plainText ?? ""
        branchExpression = config?["branchExpression"]?.plainText ?? ""
        branchLine = config?["branchExpression"]?.line ?? fields.line
        if case .boolean(true)? = config?["isBinaryURL"]?.content { isBinaryURL = true } else { isBinaryURL = false }
    }
}
