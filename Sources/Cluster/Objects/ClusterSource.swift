// ClusterSource: one cluster as a source of the catalog: lists and watches every kind, and the Secrets that receivers name.
//
//   Reflector per kind (and namespace) ──> ObjectCatalog ──> changed()
//        │ receivers name Secrets
//        v
//   SecretWatcher ──────────────────────────────^
//
// What is known stays known when the API server goes away: routes go on being served from the last state.

public import Catalog
internal import Delivery
internal import Dispatch
public import Kubernetes
public import Logging

/// How Secrets are watched.
public enum SecretAccess: String, Sendable, CaseIterable {
    /// Each Secret that a receiver names, by its name: needs rights to those alone, and one watch each.
    case byName = "by-name"
    /// Those with a label by one watch; named ones without it are read at first and every minute.
    case labelled
    /// All Secrets by one watch; only those that are named are kept.
    case all
}

public final class ClusterSource: Sendable {
    public struct Settings: Sendable {
        /// The cluster's name in routes, records and metrics.
        public var cluster: String
        /// Empty: all namespaces.
        public var namespaces: [String] = []
        public var secretAccess = SecretAccess.byName
        /// For `labelled`.
        public var secretSelector = "reconcile.fluxcd.io/watch=Enabled"
        /// Secrets that the settings name.
        public var secrets: [SecretName] = []

        public init(cluster: String) { self.cluster = cluster }
    }

    public let settings: Settings
    public let objects: ObjectCatalog
    public let report = CollectionReport()
    private let client: KubernetesClient
    private let logger: Logger
    private let changed: @Sendable () -> Void
    private let noted: @Sendable (ObjectFacts, ObjectChange) -> Void
    private let secrets: SecretWatcher

    /// A kind that vanished keeps its objects for so long: an API server that restarts forgets its CRDs for a moment.
    static let vanishedGrace = Duration.seconds(300)

    /// `changed` is called after each change that the catalog may have to be compiled for, from any thread and often: who listens
    /// gathers. `noted` is called in its place after those that leave the object's content as it was (never with `.content`).
    public init(
        _ client: KubernetesClient, settings: Settings, logger: Logger, changed: @escaping @Sendable () -> Void,
        noted: @escaping @Sendable (ObjectFacts, ObjectChange) -> Void
    ) {
        self.client = client
        self.settings = settings
        self.logger = logger
        self.changed = changed
        self.noted = noted
        objects = ObjectCatalog(cluster: settings.cluster)
        secrets = SecretWatcher(
            client, settings: settings, objects: objects, report: report, logger: logger, changed: changed)
    }

    /// Keeps the catalog in step until the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            for kind in WatchedKind.all {
                for namespace in scopes(of: kind) {
                    let collection = ObjectCatalog.Collection(kind: kind.name, namespace: namespace ?? "")
                    report.begin(collection, now: monotonicNanoseconds())
                    group.addTask { await self.watch(kind, namespace, collection) }
                }
            }
            group.addTask { await self.secrets.run() }
        }
    }

    /// Lists that were refused for long are left out from now on. True when there are new ones.
    func settleDenied() -> Bool {
        let denied = report.settleDenied(now: monotonicNanoseconds())
        for (collection, reason) in denied where collection.kind == WatchedKind.secret.name && !collection.name.isEmpty
        {
            objects.setUnreadable(SecretName(namespace: collection.namespace, name: collection.name), reason)
        }
        return !denied.isEmpty
    }

    /// Whether everything was listed, Secrets included.
    public var isSynced: Bool { report.isSynced && secrets.isSettled }

    private func scopes(of kind: WatchedKind) -> [String?] {
        kind.isNamespaced && !settings.namespaces.isEmpty ? settings.namespaces : [nil]
    }

    private func watch(_ kind: WatchedKind, _ namespace: String?, _ collection: ObjectCatalog.Collection) async {
        var reflectorSettings = ReflectorSettings()
        reflectorSettings.versions = kind.versions
        reflectorSettings.vanishedAfter = Self.vanishedGrace
        let reflector = Reflector(
            client: client, group: kind.group, kind: kind.kind, scope: WatchScope(namespace: namespace),
            decoder: CatalogDecoder(), settings: reflectorSettings, logger: logger
        ) { [self] update in take(update, kind, collection) }
        await reflector.run()
    }

    private func take(
        _ update: ReflectorUpdate<CatalogObject>, _ kind: WatchedKind, _ collection: ObjectCatalog.Collection
    ) {
        switch update {
        case .replaced(let list):
            objects.replace(collection, list)
            // Before the collection counts as listed, so that nobody sees it complete without its Secrets.
            if kind.isReceiver { secrets.referencesChanged() }
            report.note(collection, .synced)
            logger.debug(
                "objects listed",
                metadata: ["kind": "\(kind.name)", "count": "\(list.count)", "cluster": "\(settings.cluster)"])
            changed()
        case .applied(let object):
            let change = objects.apply(collection, object)
            if change.concernsReferences { secrets.referencesChanged() }
            if change.object == .content { changed() } else { noted(object.facts, change.object) }
        case .deleted(let object):
            objects.remove(collection, namespace: object.facts.namespace, name: object.facts.name)
            receiversChanged(kind)
        case .failing(let error):
            // 401 is no answer about rights: credentials that ended would make everything look as if it were gone.
            let isForbidden = error.statusCode == 403
            report.fail(collection, "\(error)", isForbidden: isForbidden, now: monotonicNanoseconds())
            changed()
        case .recovered:
            report.recover(collection)
            changed()
        case .unserved:
            objects.removeAll(collection)
            report.note(collection, .absent)
            receiversChanged(kind)
        }
    }

    private func receiversChanged(_ kind: WatchedKind) {
        if kind.isReceiver { secrets.referencesChanged() }
        changed()
    }
}

func monotonicNanoseconds() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
