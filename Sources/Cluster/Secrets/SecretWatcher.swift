// SecretWatcher: the Secrets that receivers name, and no others.
//
//   by-name    one list and watch for each, with a field selector: rights by resourceNames are enough
//   labelled   one watch of those with the label; the others that are named are read at first and every minute
//   all        one watch of all; a Secret that is named later is read then
//
// Values of Secrets that nobody names are never kept, and none is ever shown.

internal import Catalog
internal import Delivery
internal import Kubernetes
internal import Logging
internal import Synchronization

final class SecretWatcher: Sendable {
    private struct State {
        var references: Set<SecretName> = []
        var watches: [SecretName: Task<Void, Never>] = [:]
        /// Counts changes of what receivers name, and how many of them were looked at.
        var changeCount = 1
        var takenCount = 0
    }

    private let client: KubernetesClient
    private let settings: ClusterSource.Settings
    private let objects: ObjectCatalog
    private let report: CollectionReport
    private let logger: Logger
    private let changed: @Sendable () -> Void
    private let state = Mutex(State())
    private let wakeups: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// References are looked at no more often than this: in a burst they change with every event.
    private static let gathering = Duration.milliseconds(20)
    private static let rereading = Duration.seconds(60)
    /// Above, watching by name costs more than it should.
    static let byNameAdvised = 500

    init(
        _ client: KubernetesClient, settings: ClusterSource.Settings, objects: ObjectCatalog, report: CollectionReport,
        logger: Logger, changed: @escaping @Sendable () -> Void
    ) {
        self.client = client
        self.settings = settings
        self.objects = objects
        self.report = report
        self.logger = logger
        self.changed = changed
        (wakeups, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether every Secret that is named now is being watched or read; whether each was listed, the report says.
    var isSettled: Bool { state.withLock { $0.takenCount == $0.changeCount } }

    /// Receivers changed, and maybe what they name.
    func referencesChanged() {
        state.withLock { $0.changeCount += 1 }
        wake.yield()
    }

    /// Until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            switch settings.secretAccess {
            case .byName: break
            case .labelled:
                for namespace in scopes {
                    group.addTask { await self.watchMany(namespace, labelSelector: self.settings.secretSelector) }
                }
                group.addTask { await self.rereadForEver() }
            case .all:
                for namespace in scopes { group.addTask { await self.watchMany(namespace, labelSelector: nil) } }
            }
            wake.yield()
            for await _ in wakeups {
                takeReferences()
                try? await Task.sleep(for: Self.gathering)
            }
        }
        state.withLock { state in
            for task in state.watches.values { task.cancel() }
            state.watches = [:]
        }
    }

    private var scopes: [String?] { settings.namespaces.isEmpty ? [nil] : settings.namespaces }

    private func takeReferences() {
        let watched = settings.namespaces
        let count = state.withLock { $0.changeCount }
        var references = objects.secretReferences.union(settings.secrets)
        if !watched.isEmpty {
            // What the settings name may lie anywhere.
            references = references.filter { watched.contains($0.namespace) || settings.secrets.contains($0) }
        }
        let (gone, new) = state.withLock { state -> (Set<SecretName>, Set<SecretName>) in
            let gone = state.references.subtracting(references)
            let new = references.subtracting(state.references)
            state.references = references
            for secret in new { report.begin(Self.collection(secret), now: monotonicNanoseconds()) }
            for secret in new {
                state.watches[secret] = Task { [weak self] in await self?.keep(secret) }
            }
            for secret in gone { state.watches.removeValue(forKey: secret)?.cancel() }
            state.takenCount = count
            return (gone, new)
        }
        for secret in gone { forget(secret) }
        if settings.secretAccess == .byName, references.count > Self.byNameAdvised, !new.isEmpty {
            logger.notice(
                "many Secrets are watched one by one; --secret-access labelled or all needs one watch only",
                metadata: ["count": "\(references.count)", "cluster": "\(settings.cluster)"])
        }
        // Also when nothing is new: who waits for the Secrets of what changed may go on.
        changed()
    }

    private func forget(_ secret: SecretName) {
        objects.removeAll(Self.collection(secret))
        for namespace in scopes {
            objects.remove(Self.collection(namespace), namespace: secret.namespace, name: secret.name)
        }
        objects.setUnreadable(secret, nil)
        report.end(Self.collection(secret))
    }

    // MARK: - One by one

    private func keep(_ secret: SecretName) async {
        if settings.secretAccess == .byName {
            await watchOne(secret)
        } else {
            await readOne(secret)
        }
    }

    private func watchOne(_ secret: SecretName) async {
        let collection = Self.collection(secret)
        let reflector = Reflector(
            client: client, group: "", kind: "Secret",
            scope: WatchScope(namespace: secret.namespace, fieldSelector: "metadata.name=\(secret.name)"),
            decoder: CatalogDecoder(isWanted: { $0 == secret.namespace && $1 == secret.name }),
            settings: ReflectorSettings(), logger: logger
        ) { [weak self] update in
            guard let self, state.withLock({ $0.references.contains(secret) }) else { return }
            take(update, secret, collection)
        }
        await reflector.run()
    }

    private func take(
        _ update: ReflectorUpdate<CatalogObject>, _ secret: SecretName, _ collection: ObjectCatalog.Collection
    ) {
        switch update {
        case .replaced(let list):
            objects.setUnreadable(secret, nil)
            objects.replace(collection, list)
            report.note(collection, .synced)
        case .applied(let object): objects.apply(collection, object)
        case .deleted(let object):
            objects.remove(collection, namespace: object.facts.namespace, name: object.facts.name)
        case .failing(let error): fail(secret, error)
        case .recovered:
            objects.setUnreadable(secret, nil)
            report.recover(collection)
        case .unserved: break
        }
        changed()
    }

    /// One that was read stays in use. One that was never read and is refused for a while keeps its receivers from being ready, and
    /// nothing else (`ClusterSource.settleDenied`).
    private func fail(_ secret: SecretName, _ error: KubernetesError) {
        report.fail(
            Self.collection(secret), "\(error)", isForbidden: error.statusCode == 403, now: monotonicNanoseconds())
        changed()
    }

    /// Reads until there is an answer.
    private func readOne(_ secret: SecretName) async {
        let collection = Self.collection(secret)
        var delay = Duration.milliseconds(200)
        while !Task.isCancelled {
            do throws(KubernetesError) {
                let object = try await get(secret)
                guard state.withLock({ $0.references.contains(secret) }) else { return }
                objects.setUnreadable(secret, nil)
                // The watch may have been faster, and is what keeps up: it comes first in the catalog.
                objects.replace(collection, object.map { [$0] } ?? [])
                report.note(collection, .synced)
                changed()
                return
            } catch {
                fail(secret, error)
                try? await Task.sleep(for: delay * Double.random(in: 0.5...1))
                delay = min(delay * 2, .seconds(30))
            }
        }
    }

    /// nil when there is no such Secret.
    private func get(_ secret: SecretName) async throws(KubernetesError) -> CatalogObject? {
        do throws(KubernetesError) {
            let body = try await client.get(
                apiVersion: "v1", kind: "Secret", plural: "secrets", namespace: secret.namespace, name: secret.name)
            return JSONValue(body).flatMap { CatalogObject($0, apiVersion: "v1", kind: "Secret") }
        } catch {
            if error.isObjectMissing { return nil }
            throw error
        }
    }

    private func rereadForEver() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.rereading)
            for secret in state.withLock({ $0.references }).sorted() where !Task.isCancelled {
                await reread(secret)
            }
        }
    }

    /// What is there now; what cannot be read stays as it is.
    private func reread(_ secret: SecretName) async {
        do throws(KubernetesError) {
            let object = try await get(secret)
            guard state.withLock({ $0.references.contains(secret) }) else { return }
            objects.replace(Self.collection(secret), object.map { [$0] } ?? [])
            changed()
        } catch {
            logger.debug("a Secret cannot be read again", metadata: ["secret": "\(secret)", "reason": "\(error)"])
        }
    }

    // MARK: - By one watch

    private func watchMany(_ namespace: String?, labelSelector: String?) async {
        let collection = Self.collection(namespace)
        report.begin(collection, now: monotonicNanoseconds())
        let decoder = CatalogDecoder(isWanted: { [weak self] namespace, name in
            self?.state.withLock { $0.references.contains(SecretName(namespace: namespace, name: name)) } ?? false
        })
        let reflector = Reflector(
            client: client, group: "", kind: "Secret",
            scope: WatchScope(namespace: namespace, labelSelector: labelSelector), decoder: decoder,
            settings: ReflectorSettings(), logger: logger
        ) { [weak self] update in
            guard let self else { return }
            switch update {
            case .replaced(let list):
                objects.replace(collection, list)
                for object in list { dropRead(object) }
                report.note(collection, .synced)
            case .applied(let object):
                objects.apply(collection, object)
                dropRead(object)
            case .deleted(let object):
                let secret = SecretName(namespace: object.facts.namespace, name: object.facts.name)
                if labelSelector != nil {
                    // It may only have lost its label: in use as it was until it is read.
                    objects.replace(Self.collection(secret), [object])
                    objects.remove(collection, namespace: secret.namespace, name: secret.name)
                    await reread(secret)
                } else {
                    objects.remove(collection, namespace: secret.namespace, name: secret.name)
                    dropRead(object)
                }
            case .failing(let error):
                report.fail(
                    collection, "\(error)", isForbidden: error.statusCode == 403, now: monotonicNanoseconds())
            case .recovered: report.recover(collection)
            case .unserved: break
            }
            changed()
        }
        await reflector.run()
    }

    /// The watch knows better than what was read before.
    private func dropRead(_ object: CatalogObject) {
        let secret = SecretName(namespace: object.facts.namespace, name: object.facts.name)
        objects.replace(Self.collection(secret), [])
    }

    private static func collection(_ secret: SecretName) -> ObjectCatalog.Collection {
        ObjectCatalog.Collection(kind: "Secret", namespace: secret.namespace, name: secret.name)
    }

    private static func collection(_ namespace: String?) -> ObjectCatalog.Collection {
        ObjectCatalog.Collection(kind: "Secret", namespace: namespace ?? "")
    }
}
