// KubeSphereSending: requests to one builder, for the suites of this folder.

import Testing

@testable import Delivery

protocol KubeSphereSending {}

extension KubeSphereSending {
    static var path: String { "/s2itrigger/v1alpha1/general/namespaces/demo/s2ibuilders/app" }
    static var githubPath: String { "/s2itrigger/v1alpha1/github/namespaces/demo/s2ibuilders/app" }
    static var push: String { #"{"ref":"refs/heads/master","head_commit":{"id":"1cb2","committer":{"name":"Dana"}}}"# }

    static func builder(
        _ secret: String? = "t0psecret", revision: String = "", expression: String = "", isBinary: Bool = false
    ) -> S2iBuilderFacts {
        S2iBuilderFacts(
            namespace: "demo", name: "app", secretCode: secret.map { SecretBytes(Array($0.utf8)) },
            revisionID: revision,
            branchExpression: expression, isBinaryURL: isBinary)
    }

    static func request(
        _ path: String = Self.path, _ fields: [(String, String)] = [], body: String = "", method: String = "POST",
        query: String? = nil
    ) -> InboundRequest {
        InboundRequest(
            method: method, path: path, query: query,
            fields: fields.map { InboundRequest.Field(name: $0.0, value: $0.1) }, body: Array(body.utf8))
    }

    static var form: (String, String) { ("Content-Type", "application/x-www-form-urlencoded") }
    static var json: (String, String) { ("Content-Type", "application/json") }
    static var github: [(String, String)] { [json, ("X-GitHub-Event", "push")] }

    func send(
        _ builder: S2iBuilderFacts, _ request: InboundRequest, _ settings: KubeSphereSettings = KubeSphereSettings()
    ) throws -> KubeSphereFront.Outcome {
        try KubeSphereFront(builders: [builder], settings: settings).send(request)
    }

    func run(_ outcome: KubeSphereFront.Outcome) -> JSONValue? {
        guard case .actions(let actions)? = outcome.triggers, case .s2iRun(_, let json)? = actions.first else {
            return nil
        }
        return JSONValue(json)
    }
}
