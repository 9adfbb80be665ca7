// ObjectCatalog: the objects of one cluster, as lists and watches gave them.
//
// A collection is what one list covers: a kind, maybe in one namespace, maybe of one name. A complete list replaces its collection; an
// event changes one object. An object that cannot be understood any more leaves its last good version in use, and its status says so.

public import Delivery
import Synchronization

/// Safe from any thread. Reading an object's JSON happens outside.
public final class ObjectCatalog: Sendable {
    /// Names a collection: `Receiver.notification.toolkit.fluxcd.io`, with namespace and name where the list has them.
    public struct Collection: Hashable, Sendable, Comparable {
        public var kind: String
        public var namespace: String
        public var name: String

        public init(kind: String, namespace: String = "", name: String = "") {
            self.kind = kind
            self.namespace = namespace
            self.name = name
        }

        public static func < (a: Collection, b: Collection) -> Bool {
            (a.kind, a.namespace, a.name) < (b.kind, b.namespace, b.name)
        }
    }

    private struct ObjectName: Hashable {
        let namespace: String
        let name: String
    }

    private struct Held {
        var facts: ObjectFacts
        /// The last good version.
        var resource: ManifestResource?
        /// What is wrong with the present one.
        var problems: [ManifestFileProblem]
    }

    private struct State {
        var collections: [Collection: [ObjectName: Held]] = [:]
        var unreadable: [SecretName: String] = [:]
        var retiredPaths: [RetiredPath] = []
    }

    /// The cluster's name.
    public let cluster: String
    private let state = Mutex(State())

    public init(cluster: String) { self.cluster = cluster }

    /// A complete list: what is not in it is gone.
    public func replace(_ collection: Collection, _ objects: [CatalogObject]) {
        state.withLock { state in
            let old = state.collections[collection] ?? [:]
            var new: [ObjectName: Held] = [:]
            new.reserveCapacity(objects.count)
            for object in objects {
                let name = ObjectName(namespace: object.facts.namespace, name: object.facts.name)
                new[name] = Self.held(object, old[name])
            }
            state.collections[collection] = new
        }
    }

    /// An object that is new or changed.
    public func apply(_ collection: Collection, _ object: CatalogObject) {
        let name = ObjectName(namespace: object.facts.namespace, name: object.facts.name)
        state.withLock { state in
            let old = state.collections[collection]?[name]
            state.collections[collection, default: [:]][name] = Self.held(object, old)
        }
    }

    public func remove(_ collection: Collection, namespace: String, name: String) {
        state.withLock {
            _ = $0.collections[collection]?.removeValue(forKey: ObjectName(namespace: namespace, name: name))
        }
    }

    /// The kind is no longer served, or no longer asked for.
    public func removeAll(_ collection: Collection) {
        state.withLock { _ = $0.collections.removeValue(forKey: collection) }
    }

    /// Why a Secret may not be read; nil when it may.
    public func setUnreadable(_ secret: SecretName, _ reason: String?) {
        state.withLock { $0.unreadable[secret] = reason }
    }

    public func setRetiredPaths(_ paths: [RetiredPath]) { state.withLock { $0.retiredPaths = paths } }

    private static func held(_ object: CatalogObject, _ old: Held?) -> Held {
        Held(facts: object.facts, resource: object.resource ?? old?.resource, problems: object.problems)
    }

    /// Secrets that receivers name.
    public var secretReferences: Set<SecretName> {
        state.withLock { state in
            var names: Set<SecretName> = []
            for objects in state.collections.values {
                for held in objects.values { names.formUnion(held.resource?.secretReferences ?? []) }
            }
            return names
        }
    }

    /// Bookkeeping of all receivers of these kinds.
    public func facts(of kinds: Set<String>) -> [ObjectFacts] {
        state.withLock { state in
            state.collections.filter { kinds.contains($0.key.kind) }.flatMap { $0.value.values.map(\.facts) }
        }
    }

    /// Bookkeeping of one receiver; nil when there is none.
    public func facts(of identity: RouteIdentity) -> ObjectFacts? {
        let word = identity.kind.name
        let name = ObjectName(namespace: identity.namespace, name: identity.name)
        return state.withLock { state in
            for (collection, objects) in state.collections where collection.kind.hasPrefix(word + ".") {
                if let held = objects[name] { return held.facts }
            }
            return nil
        }
    }

    /// Flux's tokens as they are now, by Receiver: what a rotation is told from.
    public func tokens() -> [RouteIdentity: SecretBytes] {
        state.withLock { state in
            var secrets: [SecretName: SecretManifest] = [:]
            for objects in state.collections.values {
                for held in objects.values {
                    if case .secret(let secret)? = held.resource {
                        secrets[SecretName(namespace: secret.namespace, name: secret.name)] = secret
                    }
                }
            }
            var tokens: [RouteIdentity: SecretBytes] = [:]
            for objects in state.collections.values {
                for held in objects.values {
                    guard case .receiver(let receiver)? = held.resource, let name = receiver.secretName else {
                        continue
                    }
                    let namespace = receiver.metadata.namespace
                    tokens[
                        RouteIdentity(
                            cluster: cluster, kind: .receiver, namespace: namespace, name: receiver.metadata.name)] =
                        secrets[SecretName(namespace: namespace, name: name)]?.values["token"]
                }
            }
            return tokens
        }
    }

    private func receiver(_ facts: ObjectFacts) -> RouteIdentity? {
        let kind: ReceiverKind
        switch facts.kind {
        case "Receiver": kind = .receiver
        case "Hook": kind = .hook
        default: return nil
        }
        return RouteIdentity(cluster: cluster, kind: kind, namespace: facts.namespace, name: facts.name)
    }

    /// What the objects give to the catalog: the older first, then by namespace and name, whatever the order in which they came.
    public func contribution() -> CatalogContribution {
        let state = state.withLock { $0 }
        var contribution = CatalogContribution()
        contribution.cluster = cluster
        let place = "cluster \(cluster)"
        contribution.rank[place] = 0
        contribution.unreadableSecrets = state.unreadable
        contribution.retiredPaths = state.retiredPaths
        var seen: Set<ResourceKey> = []
        for (_, objects) in state.collections.sorted(by: { $0.key < $1.key }) {
            for (_, held) in objects.sorted(by: { ($0.key.namespace, $0.key.name) < ($1.key.namespace, $1.key.name) }) {
                contribution.counts.documents += 1
                for problem in held.problems {
                    var message = problem.key.map { "\($0): \(problem.message)" } ?? problem.message
                    if problem.severity == .error, held.resource != nil {
                        message += "; the last good version stays in use"
                    }
                    contribution.problems.append(
                        CatalogProblem(
                            place: SourcePlace(file: place, line: 0), severity: problem.severity, scope: .route,
                            message: message))
                }
                if let error = held.problems.first(where: { $0.severity == .error }) {
                    if held.resource != nil { contribution.counts.stale += 1 }
                    if let identity = receiver(held.facts) { contribution.refusals[identity] = error.message }
                }
                // Deletion stops a route at once, whatever keeps the object.
                if held.facts.isBeingDeleted { continue }
                guard let resource = held.resource, seen.insert(resource.key).inserted else { continue }
                contribution.resources.append(PlacedResource(resource: resource, file: place, isOfTenant: true))
                contribution.count(resource)
            }
        }
        return contribution
    }
}
