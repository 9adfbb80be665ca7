// S2iRun: the object whose creation starts a build (devops.kubesphere.io/v1alpha1).

struct S2iRun {
    static let apiVersion = "devops.kubesphere.io/v1alpha1"

    /// The annotation `kubesphere.io/creator`.
    var creator = "auto-trigger"
    var newTag: String?
    var newRevisionID: String?
    var newSourceURL: String?

    /// `generateName` is the builder's name as it is: the API server cuts it and adds five characters.
    func json(_ builder: S2iBuilderFacts, _ delivery: DeliveryFacts) -> [UInt8] {
        var spec: [JSONValue.Member] = [.init(name: "builderName", value: .string(builder.name))]
        if let newTag { spec.append(.init(name: "newTag", value: .string(newTag))) }
        if let newRevisionID { spec.append(.init(name: "newRevisionId", value: .string(newRevisionID))) }
        if let newSourceURL { spec.append(.init(name: "newSourceURL", value: .string(newSourceURL))) }
        let annotations: [JSONValue.Member] =
            [.init(name: "kubesphere.io/creator", value: .string(creator))] + TriggerAnnotations.of(delivery)
        let metadata: [JSONValue.Member] = [
            .init(name: "generateName", value: .string(builder.name)),
            .init(name: "namespace", value: .string(builder.namespace)),
            .init(name: "annotations", value: .object(annotations)),
        ]
        return JSONValue.object([
            .init(name: "apiVersion", value: .string(Self.apiVersion)), .init(name: "kind", value: "S2iRun"),
            .init(name: "metadata", value: .object(metadata)), .init(name: "spec", value: .object(spec)),
        ]).serialized
    }
}
