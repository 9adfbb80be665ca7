// RouteCompiler: resources to routes. Pure: the same resources and options give the same routes and problems, in the same order.

import Delivery

/// A resource and the file it stands in.
struct PlacedResource: Sendable {
    let resource: ManifestResource
    let file: String
    /// Written by whoever may write to the cluster, not by the operator of this server.
    var isOfTenant = false

    func place(_ line: Int) -> SourcePlace { SourcePlace(file: file, line: line) }
}

struct RouteCompiler {
    let options: CatalogOptions
    let secrets: SecretBook
    var claims: [PathClaim] = []
    var verdicts: [RouteIdentity: ReceiverVerdict] = [:]
    private var unserved: [UnservedReceiver] = []
    private var sources: [SourceObject] = []
    private var families: [any PathFamily] = []
    private(set) var images: [String: ImageIndex] = [:]
    /// Whether all objects of the cluster are known.
    let isComplete: Bool
    private var tokenPaths: [String] = []
    private var problems: [CatalogProblem] = []
    private var secretPlaces: [RouteIdentity: [String]] = [:]
    /// Secret keys whose doubtful value was reported: once is enough for all receivers that use it.
    private var doubted: Set<String> = []
    private let filters: FilterCache

    /// spec/flux.md section 3: 3 MiB, and a body of exactly that passes.
    static let fluxBodyBytesMax = 3 << 20

    struct Result {
        var routes: [RouteDefinition]
        var unserved: [UnservedReceiver]
        var problems: [CatalogProblem]
        var secretPlaces: [RouteIdentity: [String]]
        var sources: [SourceObject]
        var families: [any PathFamily]
        var images: [String: ImageIndex]
        var verdicts: [RouteIdentity: ReceiverVerdict]
    }

    /// Of each cluster one contribution, in which each resource stands once.
    static func compile(
        _ clusters: [CatalogContribution], options: CatalogOptions, filters: FilterCache
    ) -> Result {
        defer { filters.sweep() }
        var all = compiled(clusters[0], options, filters)
        for cluster in clusters.dropFirst() { all.append(compiled(cluster, options, filters)) }
        all.families = [
            OpenShiftPathFamily(settings: options.openShift, cluster: options.cluster),
            KubeSpherePathFamily(cluster: options.cluster),
        ]
        if all.claims.contains(where: { $0.route.identity.kind == .buildService }) {
            all.families.append(BuildServicePathFamily())
        }
        if !all.tokenPaths.isEmpty { all.families.append(TokenPathFamily(routes: all.tokenPaths)) }
        return all.settled()
    }

    /// What one cluster gives, its claims not yet settled.
    private static func compiled(
        _ contribution: CatalogContribution, _ options: CatalogOptions, _ filters: FilterCache
    ) -> RouteCompiler {
        let hosts = options.clusters.first { $0.name == contribution.cluster }?.hosts ?? []
        let options = options.options(for: contribution)
        let resources = contribution.resources
        let secrets = resources.lazy.compactMap { placed -> SecretManifest? in
            if case .secret(let secret) = placed.resource { secret } else { nil }
        }
        var compiler = RouteCompiler(
            options: options, secrets: SecretBook(secrets, unreadable: contribution.unreadableSecrets),
            filters: filters, isComplete: contribution.isComplete)
        for placed in resources {
            guard compiler.isWatched(placed.resource.key.namespace) else { continue }
            switch placed.resource {
            case .receiver(let receiver): compiler.add(receiver, placed)
            case .hook(let hook):
                compiler.add(hook, placed)
                if placed.isOfTenant { compiler.confine(hook, placed) }
            case .source(let source): compiler.sources.append(source.object(cluster: options.cluster))
            case .buildConfig(let config):
                compiler.add(config, placed)
                compiler.sources += config.source(cluster: options.cluster)
            case .s2iBuilder(let builder):
                compiler.add(builder, placed)
                compiler.sources += builder.source(cluster: options.cluster)
            case .kpack: break
            case .secret: break
            }
        }
        let kpack = resources.compactMap { placed -> KpackObject? in
            if case .kpack(let object) = placed.resource { object.object } else { nil }
        }
        compiler.images[options.cluster] = compiler.addBuildService(kpack)
        for retired in contribution.retiredPaths { compiler.add(retired) }
        compiler.keep(to: hosts)
        return compiler
    }

    init(
        options: CatalogOptions, secrets: SecretBook, filters: FilterCache = FilterCache(), isComplete: Bool = true
    ) {
        self.options = options
        self.secrets = secrets
        self.filters = filters
        self.isComplete = isComplete
    }

    /// Takes over what another cluster gives.
    private mutating func append(_ other: RouteCompiler) {
        claims += other.claims
        unserved += other.unserved
        sources += other.sources
        tokenPaths += other.tokenPaths
        // What is wrong with the settings is wrong for each cluster.
        let known = Set(problems)
        problems += other.problems.filter { !known.contains($0) }
        verdicts.merge(other.verdicts) { first, _ in first }
        images.merge(other.images) { first, _ in first }
        secretPlaces.merge(other.secretPlaces) { first, _ in first }
    }

    private func isWatched(_ namespace: String) -> Bool {
        options.watchNamespaces.isEmpty || options.watchNamespaces.contains(namespace)
    }

    func settled() -> Result {
        let settled = PathClaims(claims)
        let owners = settled.owners
        var result = Result(
            routes: owners.map(\.route), unserved: unserved, problems: problems, secretPlaces: secretPlaces,
            sources: sources, families: families, images: images, verdicts: verdicts)
        for owner in owners where owner.route.identity.kind == .hook {
            result.verdicts[owner.route.identity] = Self.verdict(of: owner.route)
        }
        for lost in settled.lost {
            let winner = lost.winner.route.identity
            let host = lost.loser.route.host.map { " on host \($0)" } ?? ""
            let reason =
                "the path \(WebhookPath.redacted(lost.loser.route.path))\(host) is already claimed by \(winner) at "
                + "\(lost.winner.place); " + Self.remedy(lost.loser.route.identity.kind)
            if !lost.loser.route.isRetiredPath {
                result.verdicts[lost.loser.route.identity] = .waiting(reason: .pathTaken, message: reason)
            }
            result.unserved.append(
                UnservedReceiver(identity: lost.loser.route.identity, place: lost.loser.place, reason: reason))
            result.problems.append(
                CatalogProblem(
                    place: lost.loser.place, severity: .error, scope: .route,
                    message: "\(lost.loser.route.identity): \(reason)"))
        }
        return result
    }

    private static func remedy(_ kind: ReceiverKind) -> String {
        kind == .hook ? "give one of them another spec.path" : "give one of them another token or name"
    }

    // - what both kinds of receivers need

    mutating func report(
        _ place: SourcePlace, _ identity: RouteIdentity, _ message: String,
        _ severity: CatalogProblem.Severity = .error
    ) {
        problems.append(
            CatalogProblem(place: place, severity: severity, scope: .route, message: "\(identity): \(message)"))
    }

    /// A receiver without a route.
    mutating func refuse(_ place: SourcePlace, _ identity: RouteIdentity, _ reason: String) {
        report(place, identity, reason)
        unserved.append(UnservedReceiver(identity: identity, place: place, reason: reason))
    }

    /// Adds a secret, once, and remembers where it stands.
    mutating func add(_ secret: SecretBytes, name: String, key: String, to route: inout RouteDefinition) {
        guard !route.secrets.contains(secret) else { return }
        route.secrets.append(secret)
        secretPlaces[route.identity, default: []].append(
            "key \(quoted(key)) of Secret/\(route.identity.namespace)/\(name)")
    }

    /// A filter, compiled; nil when there is none, or when it does not compile: then the route is not ready.
    mutating func filter(
        _ text: Placed<String>?, _ name: String, of route: inout RouteDefinition, _ placed: PlacedResource
    ) -> Filter? {
        guard let text else { return nil }
        do throws(FilterError) {
            let hasClaims = route.sender == .genericOIDC
            return try filters.filter(text.value, hasClaims: hasClaims)
        } catch {
            let reason = "invalid \(name == "resourceFilter" ? name : "filter") expression"
            let whole = name == "resourceFilter" || name == "filter" ? reason : "\(reason) for \(name)"
            report(placed.place(text.line), route.identity, "not ready: \(whole): \(error.message)")
            route.readiness = .notReady(reason: "\(whole): \(error.message)")
            return nil
        }
    }

    /// Requests for this route have the secret as one more segment of the path.
    mutating func addTokenPath(_ path: String) { tokenPaths.append(path) }

    mutating func claim(_ route: RouteDefinition, createdAt: Int?, _ place: SourcePlace) {
        claims.append(PathClaim(route: route, createdAt: createdAt, place: place))
    }

    mutating func secret(
        _ name: String, key: String, of identity: RouteIdentity, _ place: SourcePlace
    ) -> SecretBook.Answer {
        let answer = secrets.value(namespace: identity.namespace, name: name, key: key)
        if case .found(let value) = answer, !value.isEmpty, let doubt = SecretBook.doubt(about: value),
            doubted.insert("\(identity.namespace)/\(name)/\(key)").inserted
        {
            report(place, identity, "\(quoted(key)) of Secret/\(identity.namespace)/\(name) \(doubt)", .warning)
        }
        return answer
    }

    /// The reconcile action for a target; nil, with the problem reported, when it must not be acted on.
    mutating func reconcile(
        _ target: ReceiverTarget, of identity: RouteIdentity, _ place: SourcePlace
    ) -> Action? {
        guard let cluster = cluster(target.cluster, of: identity) else { return nil }
        let namespace = target.namespace ?? identity.namespace
        let name = "\(target.kind)/\(namespace)/\(target.name)"
        if options.noCrossNamespaceRefs, namespace != identity.namespace {
            report(
                place, identity,
                "\(name) is left out: --no-cross-namespace-refs forbids targets outside of the own namespace")
            return nil
        }
        if target.apiVersion == nil, !ReceiverManifest.hasDefaultVersion(target.kind) {
            report(place, identity, "\(name) is left out: this kind needs an explicit apiVersion")
            return nil
        }
        return .reconcile(
            TargetReference(
                cluster: cluster, apiVersion: target.apiVersion, kind: target.kind, namespace: namespace,
                name: target.name))
    }
}

extension Array where Element == Action {
    /// Appends `action` unless it is there already: a target that is listed twice is acted on once.
    mutating func appendOnce(_ action: Action) {
        if !contains(action) { append(action) }
    }
}
