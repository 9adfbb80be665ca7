// BuildObjects: what a Hook's openshiftBuild and s2iRun actions have created, from the event alone. A BuildConfig's and an S2iBuilder's
// own webhooks say more; their rules make these objects themselves.

import Delivery

enum BuildObjects {
    /// The body of `instantiate`. The delivery is named in an annotation, by which a repeat can be recognised.
    static func buildRequest(for target: TargetReference, _ event: Event, _ delivery: QueuedDelivery) -> [UInt8] {
        var members: [JSONValue.Member] = [
            .init(name: "kind", value: "BuildRequest"), .init(name: "apiVersion", value: "build.openshift.io/v1"),
            .init(
                name: "metadata",
                value: [
                    "name": .string(target.name),
                    "annotations": ["grapnel.dev/sequence": .string("\(delivery.sequence)")],
                ]),
        ]
        var cause: JSONValue = ["secret": "<secret>"]
        if let commit = event.commit {
            let revision: JSONValue = ["type": "Git", "git": ["commit": .string(commit)]]
            members.append(.init(name: "revision", value: revision))
            cause = ["revision": revision, "secret": "<secret>"]
        }
        members.append(
            .init(
                name: "triggeredBy", value: .array([["message": "Generic WebHook", "genericWebHook": cause]])))
        return JSONValue.object(members).serialized
    }

    /// An S2iRun of the builder; a commit is built as such.
    static func s2iRun(of builder: TargetReference, _ event: Event) -> [UInt8] {
        var spec: [JSONValue.Member] = [.init(name: "builderName", value: .string(builder.name))]
        if let commit = event.commit { spec.append(.init(name: "newRevisionId", value: .string(commit))) }
        let run: JSONValue = [
            "apiVersion": "devops.kubesphere.io/v1alpha1", "kind": "S2iRun",
            "metadata": [
                "generateName": .string(builder.name), "namespace": .string(builder.namespace),
                "annotations": ["kubesphere.io/creator": "auto-trigger"],
                "labels": ["app.kubernetes.io/managed-by": "grapnel"],
            ],
            "spec": .object(spec),
        ]
        return run.serialized
    }
}
