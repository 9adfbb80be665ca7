// PlannedWrite: the request that an action would send, as the action's runner makes it.
//
// Values that only the attempt knows (times) stand as `<…>`.

import Catalog
import Delivery
import Kubernetes
import Trigger

enum PlannedWrite {
    static func of(_ action: Action) -> Explanation.Write {
        var write = Explanation.Write(action: action.summary(reveal: false))
        switch action {
        case .reconcile(let target):
            patch(
                &write, target,
                ["metadata": ["annotations": ["reconcile.fluxcd.io/requestedAt": "<time of the write>"]]])
        case .kpackRefresh(let target, let image, let forceBuild):
            if forceBuild, target.kind == "Build" {
                let isLegacy = target.apiVersion?.hasPrefix("build.pivotal.io/") ?? false
                let name = isLegacy ? "image.build.pivotal.io" : "image.kpack.io"
                patch(
                    &write, target,
                    [
                        "metadata": [
                            "annotations": .object([
                                .init(name: "\(name)/additionalBuildNeeded", value: "<time of the write>")
                            ])
                        ]
                    ])
            } else {
                patch(
                    &write, target,
                    [
                        "metadata": [
                            "annotations": [
                                "grapnel.dev/refresh-requested-at": "<time of the write>",
                                "grapnel.dev/refresh-image": .string(image),
                            ]
                        ]
                    ])
            }
        case .openshiftBuild(let target, let request):
            write.verb = "POST"
            write.path =
                "/apis/build.openshift.io/v1/namespaces/\(target.namespace)/buildconfigs/\(target.name)/instantiate"
            json(&write, RepeatKey.labelling(request, "<key of the delivery>"))
        case .s2iRun(let builder, let run):
            write.verb = "POST"
            write.path = "/apis/devops.kubesphere.io/v1alpha1/namespaces/\(builder.namespace)/s2iruns"
            json(&write, RepeatKey.labelling(run, "<key of the delivery>"))
        case .openshiftRelay(let target, let type):
            write.verb = "POST"
            write.path =
                "/apis/build.openshift.io/v1/namespaces/\(target.namespace)/buildconfigs/\(target.name)/webhooks/***/\(type.prefix { $0 != "#" })"
            write.notes.append("the delivery goes on as it came; the trigger's secret is looked up then")
        case .dockerHubCallback(_, let request):
            write.verb = "POST"
            // What stands behind the host is a credential.
            write.path = (try? HTTPURL(request.url)).map { "https://\($0.authority)/…" } ?? "…"
            json(&write, request.body)
        case .http(_, let timeout, let secret):
            write.verb = "POST"
            // The words of `check`: host and port; the rest of a URL may be a credential.
            write.path = String(write.action.dropFirst("http ".count).prefix { $0 != " " })
            write.notes.append(
                "the body goes on as it came, with webhook-id and webhook-timestamp"
                    + (secret == nil ? "" : ", signed") + "; time limit \(timeout / 1_000_000_000) s")
        case .exec: write.notes.append("the delivery goes to its standard input as JSON; no shell")
        case .log: write.notes.append("one line in the server's log")
        }
        return write
    }

    private static func patch(_ write: inout Explanation.Write, _ target: TargetReference, _ body: JSONValue) {
        write.verb = "PATCH"
        write.path = APIPath(target).text
        write.contentType = "application/merge-patch+json"
        write.body = body
    }

    private static func json(_ write: inout Explanation.Write, _ bytes: [UInt8]) {
        write.contentType = "application/json"
        guard let value = JSONValue(bytes) else {
            write.notes.append("\(bytes.count) bytes are sent that are no JSON")
            return
        }
        write.body = withPlaceholder(value)
    }

    /// A request that was not received has no sequence.
    private static func withPlaceholder(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members):
            .object(
                members.map { member in
                    let isNumber = member.name == "grapnel.dev/sequence" && member.value == "0"
                    return .init(name: member.name, value: isNumber ? "<sequence>" : withPlaceholder(member.value))
                })
        case .array(let elements): .array(elements.map(withPlaceholder))
        default: value
        }
    }
}

/// Where the API server serves an object: its group's default version and a guessed plural, until discovery says better.
struct APIPath {
    let group: String
    let version: String
    let text: String

    init(_ target: TargetReference) {
        let apiVersion = target.apiVersion.flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultVersion(target.kind)
        let parts = apiVersion.split(separator: "/", maxSplits: 1).map(String.init)
        group = parts.count == 2 ? parts[0] : ""
        version = parts.last ?? ""
        text = Self.path(group, version, Self.plural(target.kind), target.namespace, target.name)
    }

    init(_ target: TargetReference, _ resource: APIResource) {
        group = resource.group
        version = resource.version
        text = Self.path(
            group, version, resource.plural, resource.isNamespaced ? target.namespace : "", target.name)
    }

    private static func path(
        _ group: String, _ version: String, _ plural: String, _ namespace: String, _ name: String
    ) -> String {
        (group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)")
            + (namespace.isEmpty ? "" : "/namespaces/\(namespace)") + "/\(plural)/\(name)"
    }

    /// As Flux's Receiver has it for a kind without a version.
    private static func defaultVersion(_ kind: String) -> String {
        switch kind {
        case "ImageRepository": "image.toolkit.fluxcd.io/v1"
        case "ArtifactGenerator": "source.extensions.fluxcd.io/v1beta1"
        default: "source.toolkit.fluxcd.io/v1"
        }
    }

    private static func plural(_ kind: String) -> String {
        let name = kind.lowercased()
        if name.hasSuffix("y"), let before = name.dropLast().last, !"aeiou".contains(before) {
            return name.dropLast() + "ies"
        }
        return name + (["s", "x", "ch", "sh"].contains { name.hasSuffix($0) } ? "es" : "s")
    }
}

extension Action {
    /// The object that is acted on; nil for what has none.
    var target: TargetReference? {
        switch self {
        case .reconcile(let target), .openshiftBuild(let target, _), .openshiftRelay(let target, _),
            .s2iRun(let target, _), .kpackRefresh(let target, _, _):
            target
        case .dockerHubCallback, .http, .exec, .log: nil
        }
    }

    var needsCluster: Bool { target != nil }

    /// Its path is found by discovery.
    var isDiscovered: Bool {
        switch self {
        case .reconcile, .kpackRefresh: true
        default: false
        }
    }
}
