// RouteCompiler+BuildService: the three Build Service endpoints to routes, over all kpack objects of the cluster.
//
// No object defines these routes: the settings do. While one endpoint is configured, one without a usable credential is a route too
// that says so (503), so that a sender whose endpoint was forgotten does not hear that there is nothing. The index of images is of
// use without them: a Hook may refresh kpack objects too.

import Delivery

extension RouteCompiler {
    /// `objects` are all kpack objects of the cluster. Gives the index of those in watched namespaces.
    @discardableResult
    mutating func addBuildService(_ objects: [KpackObject]) -> ImageIndex {
        let watched = options.watchNamespaces
        let seen =
            watched.isEmpty ? objects : objects.filter { $0.namespace.isEmpty || watched.contains($0.namespace) }
        let index = ImageIndex(
            seen, hostAliases: options.buildService.hostAliases, artifactory: options.buildService.repositories,
            cluster: options.cluster)
        let isUsed = BuildServiceEndpoint.allCases.contains { !options.buildService.credentials(of: $0).isEmpty }
        guard isUsed || !options.buildServiceReferences.isEmpty else { return index }
        let settings = buildServiceSettings()
        for endpoint in BuildServiceEndpoint.allCases {
            let identity = endpoint.identity(cluster: options.cluster)
            let place = Self.place(endpoint)
            for warning in settings.warnings(of: endpoint) { report(place, identity, warning, .warning) }
            var route = RouteDefinition(
                identity: identity, path: endpoint.path, sender: endpoint.sender, secrets: [],
                rules: BuildServiceRules(endpoint, settings, index, isComplete: isComplete),
                bodyBytesMax: endpoint.bodyBytesMax,
                dedupeWindowSeconds: settings.dedupeWindowSeconds, source: place.description)
            if !settings.isServed(endpoint) {
                route.readiness = .notReady(reason: "\(place) has no credential that can prove anything")
            }
            // One push makes several calls where no digest tells them apart; the registry's are told apart by theirs.
            if endpoint != .notification {
                route.coalesce = Coalesce(
                    by: .target, windowNanoseconds: UInt64(max(0, settings.coalesceSeconds)) * 1_000_000_000)
            }
            claim(route, createdAt: nil, place)
        }
        return index
    }

    /// The settings with the credentials that stand in Secrets. One that is missing takes nothing from the others.
    private mutating func buildServiceSettings() -> BuildServiceSettings {
        var settings = options.buildService
        for reference in options.buildServiceReferences {
            let identity = reference.endpoint.identity(cluster: options.cluster)
            let place = Self.place(reference.endpoint)
            var owner = identity
            owner.namespace = reference.namespace
            switch secret(reference.name, key: reference.key, of: owner, place) {
            // An empty one is among the warnings.
            case .found(let value): settings.add(reference.credential(value), to: reference.endpoint)
            case .unusable(let reason): report(place, identity, reason)
            }
        }
        return settings
    }

    /// The setting that holds an endpoint's credentials.
    private static func place(_ endpoint: BuildServiceEndpoint) -> SourcePlace {
        switch endpoint {
        case .notification: SourcePlace(file: "buildService.auth.notification", line: 0)
        case .artifactory: SourcePlace(file: "buildService.auth.artifactory", line: 0)
        case .dockerHub: SourcePlace(file: "buildService.auth.dockerHub", line: 0)
        }
    }
}
