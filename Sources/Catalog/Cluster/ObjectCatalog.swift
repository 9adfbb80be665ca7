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

        fileprivate var isOfSecrets: Bool { kind == "Secret" }
        fileprivate var isOfReceivers: Bool { kind.hasPrefix("Receiver.") }
        /// The kind without its group.
        fileprivate var word: Substring { kind.prefix { $0 != "." } }
    }

    private struct State {
        var collections: [Collection: SortedObjects] = [:]
        var unreadable: [SecretName: String] = [:]
        var retiredPaths: [RetiredPath] = []
        /// How many times each Secret is named.
        var references: [SecretName: Int] = [:]
        var tokenRevision: UInt64 = 0

        /// Receivers or Secrets may be others.
        mutating func noteTokens(_ collection: Collection) {
            if collection.isOfSecrets || collection.isOfReceivers { tokenRevision += 1 }
        }

        mutating func count(_ object: CatalogObject, _ sign: Int) {
            for name in object.secretReferences {
                let count = references[name, default: 0] + sign
                references[name] = count == 0 ? nil : count
            }
        }
    }

    /// What became of one event.
    public struct Change: Sendable, Equatable {
        public var object: ObjectChange
        /// Whether the Secrets that receivers name may be others than before.
        public var concernsReferences: Bool
    }

    /// The cluster's name.
    public let cluster: String
    private let state = Mutex(State())

    public init(cluster: String) { self.cluster = cluster }

    /// A complete list: what is not in it is gone.
    public func replace(_ collection: Collection, _ objects: [CatalogObject]) {
        state.withLock { state in
            let old = state.collections[collection] ?? SortedObjects()
            for object in old.list { state.count(object, -1) }
            let new = SortedObjects(objects.map { $0.following(old[$0.facts.namespace, $0.facts.name]).object })
            for object in new.list { state.count(object, 1) }
            state.collections[collection] = new
            state.noteTokens(collection)
        }
    }

    /// An object that is new or changed.
    @discardableResult
    public func apply(_ collection: Collection, _ object: CatalogObject) -> Change {
        state.withLock { state in
            let old = state.collections[collection]?[object.facts.namespace, object.facts.name]
            let (object, change) = object.following(old)
            state.collections[collection, default: SortedObjects()].put(object)
            if change == .content { state.noteTokens(collection) }
            let isSame = old?.secretReferences == object.secretReferences
            if !isSame {
                if let old { state.count(old, -1) }
                state.count(object, 1)
            }
            return Change(
                object: change, concernsReferences: !isSame && !(old == nil && object.secretReferences.isEmpty))
        }
    }

    public func remove(_ collection: Collection, namespace: String, name: String) {
        state.withLock { state in
            guard let old = state.collections[collection]?.remove(namespace, name) else { return }
            state.count(old, -1)
            state.noteTokens(collection)
        }
    }

    /// The kind is no longer served, or no longer asked for.
    public func removeAll(_ collection: Collection) {
        state.withLock { state in
            for object in state.collections.removeValue(forKey: collection)?.list ?? [] { state.count(object, -1) }
            state.noteTokens(collection)
        }
    }

    /// Why a Secret may not be read; nil when it may.
    public func setUnreadable(_ secret: SecretName, _ reason: String?) {
        state.withLock { $0.unreadable[secret] = reason }
    }

    public func setRetiredPaths(_ paths: [RetiredPath]) { state.withLock { $0.retiredPaths = paths } }

    /// Secrets that receivers name.
    public var secretReferences: Set<SecretName> { state.withLock { Set($0.references.keys) } }

    /// Bookkeeping of all receivers of these kinds.
    public func facts(of kinds: Set<String>) -> [ObjectFacts] { objects(of: kinds).map(\.facts) }

    /// All objects of these kinds, as they are now.
    package func objects(of kinds: Set<String>) -> [CatalogObject] {
        state.withLock { state in
            state.collections.filter { kinds.contains($0.key.kind) }.flatMap { $0.value.list }
        }
    }

    /// Bookkeeping of one receiver; nil when there is none.
    public func facts(of identity: RouteIdentity) -> ObjectFacts? {
        let word = identity.kind.name
        return state.withLock { state in
            for (collection, objects) in state.collections where collection.kind.hasPrefix(word + ".") {
                if let object = objects[identity.namespace, identity.name] { return object.facts }
            }
            return nil
        }
    }

    /// Grows with every change of a Receiver or a Secret: while it stays, `tokens()` gives the same.
    public var tokenRevision: UInt64 { state.withLock { $0.tokenRevision } }

    /// Flux's tokens as they are now, by Receiver: what a rotation is told from.
    public func tokens() -> [RouteIdentity: SecretBytes] {
        let collections = state.withLock { $0.collections }.sorted { $0.key < $1.key }
        var secrets: [SecretName: SecretManifest] = [:]
        for (collection, objects) in collections where collection.isOfSecrets {
            for object in objects.list {
                guard case .secret(let secret)? = object.resource else { continue }
                // As in the catalog, the first counts: what is watched before what was read once.
                let name = SecretName(namespace: secret.namespace, name: secret.name)
                if secrets[name] == nil { secrets[name] = secret }
            }
        }
        var tokens: [RouteIdentity: SecretBytes] = [:]
        for (collection, objects) in collections where collection.isOfReceivers {
            for object in objects.list {
                guard case .receiver(let receiver)? = object.resource, let name = receiver.secretName else { continue }
                let namespace = receiver.metadata.namespace
                tokens[
                    RouteIdentity(
                        cluster: cluster, kind: .receiver, namespace: namespace, name: receiver.metadata.name)] =
                    secrets[SecretName(namespace: namespace, name: name)]?.values["token"]
            }
        }
        return tokens
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
        // Only collections of one kind can hold the same object: two groups of Receivers, Secrets that are watched and that were read.
        let words = Dictionary(grouping: state.collections.keys, by: \.word)
        var seen: Set<ResourceKey> = []
        contribution.resources.reserveCapacity(state.collections.values.reduce(0) { $0 + $1.list.count })
        for (collection, objects) in state.collections.sorted(by: { $0.key < $1.key }) {
            let isAlone = words[collection.word]?.count == 1
            for held in objects.list {
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
                guard let resource = held.resource, isAlone || seen.insert(resource.key).inserted else { continue }
                contribution.resources.append(PlacedResource(resource: resource, file: place, isOfTenant: true))
                contribution.count(resource)
            }
        }
        return contribution
    }
}
