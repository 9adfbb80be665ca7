// BuildRequest: the body of `POST …/buildconfigs/{name}/instantiate` (build.openshift.io/v1).
//
// The API server merges annotations into the Build, which so tells what caused it.

enum BuildRequest {
    static let apiVersion = "build.openshift.io/v1"

    static func json(
        name: String, type: BuildHookType, _ plan: BuildHook.Plan, _ delivery: DeliveryFacts
    ) -> [UInt8] {
        var annotations = TriggerAnnotations.of(delivery)
        if let warning = plan.warning {
            annotations.append(.init(name: "grapnel.dev/warning", value: .string(warning)))
        }
        var cause: [JSONValue.Member] = []
        if let revision = plan.revision { cause.append(.init(name: "revision", value: revision.json)) }
        // The API server too writes this literally.
        cause.append(.init(name: "secret", value: "<secret>"))

        var members: [JSONValue.Member] = [
            .init(name: "kind", value: "BuildRequest"), .init(name: "apiVersion", value: .string(apiVersion)),
            .init(
                name: "metadata",
                value: .object([
                    .init(name: "name", value: .string(name)), .init(name: "annotations", value: .object(annotations)),
                ])),
        ]
        if let revision = plan.revision { members.append(.init(name: "revision", value: revision.json)) }
        if !plan.env.isEmpty { members.append(.init(name: "env", value: .array(plan.env))) }
        if let options = plan.dockerOptions { members.append(.init(name: "dockerStrategyOptions", value: options)) }
        members.append(
            .init(
                name: "triggeredBy",
                value: .array([
                    .object([
                        .init(name: "message", value: .string(type.causeMessage)),
                        .init(name: type.causeField, value: .object(cause)),
                    ])
                ])))
        return JSONValue.object(members).serialized
    }
}

/// Annotations that lead from an object back to the delivery that caused it.
enum TriggerAnnotations {
    static func of(_ delivery: DeliveryFacts) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = [
            .init(name: "grapnel.dev/sequence", value: .string(String(delivery.sequence)))
        ]
        if !delivery.deliveryID.isEmpty {
            members.append(.init(name: "grapnel.dev/delivery-id", value: .string(delivery.deliveryID)))
        }
        return members
    }
}
