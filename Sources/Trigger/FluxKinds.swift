// FluxKinds: the API versions that Flux's Receiver takes for a kind written without one (fluxcd/notification-controller
// v1.9.3, internal/server/receiver_handlers.go).

import Delivery

enum FluxKinds {
    private static let apiVersions: [String: String] = [
        "Bucket": "source.toolkit.fluxcd.io/v1",
        "HelmChart": "source.toolkit.fluxcd.io/v1",
        "HelmRepository": "source.toolkit.fluxcd.io/v1",
        "GitRepository": "source.toolkit.fluxcd.io/v1",
        "OCIRepository": "source.toolkit.fluxcd.io/v1",
        "ImageRepository": "image.toolkit.fluxcd.io/v1",
        "ArtifactGenerator": "source.extensions.fluxcd.io/v1beta1",
    ]

    /// The target's own version, else the default of its kind; nil: the kind has none.
    static func apiVersion(of target: TargetReference) -> String? {
        if let apiVersion = target.apiVersion, !apiVersion.isEmpty { return apiVersion }
        return apiVersions[target.kind]
    }

    /// The API group of a target; empty for the core group and for kinds that name none.
    static func group(of target: TargetReference) -> String {
        guard let apiVersion = apiVersion(of: target), let slash = apiVersion.firstIndex(of: "/") else { return "" }
        return String(apiVersion[..<slash])
    }
}
