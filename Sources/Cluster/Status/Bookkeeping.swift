// Bookkeeping: brings together what an object is now and what was found about it, for the status writer.
//
// Most events change nothing but status and versions: those go straight to the writer, and the catalog is not compiled for them. That is
// safe only while the verdict is of the same content as the object, which the generation tells:
//
//   beginCompiling   keeps the generations that the compilation will see, before it sees the objects
//   publish          gives the writer each object with its verdict; one that changed meanwhile goes without, its own compilation follows
//   note             an event without new content: the writer's entry gets the new version when it has the same generation, else all is
//                    compiled and published again
//
// Publishing and noting exclude each other, so that an entry never becomes older than it was.

internal import Catalog
internal import Delivery
internal import Synchronization

final class Bookkeeping: Sendable {
    private struct State {
        var owner: ClusterMember.StatusOwner
        /// Receivers as they were before the compilation that is under way.
        var compiled: [CatalogObject] = []
    }

    /// Tells one state of an object's spec from all others.
    private struct Version: Equatable {
        let uid: String
        let generation: Int

        init(_ facts: ObjectFacts) {
            uid = facts.uid
            generation = facts.generation
        }
    }

    static let receiverKinds = Set(WatchedKind.all.filter { $0.kind == "Receiver" }.map(\.name))
    private static let hookKinds: Set<String> = [WatchedKind.hook.name]

    private let status: StatusWriter
    private let changed: @Sendable () -> Void
    private let state: Mutex<State>

    init(_ status: StatusWriter, owner: ClusterMember.StatusOwner, changed: @escaping @Sendable () -> Void) {
        self.status = status
        self.changed = changed
        state = Mutex(State(owner: owner))
    }

    /// Who writes the status of Receivers.
    var owner: ClusterMember.StatusOwner { state.withLock { $0.owner } }

    /// False when it was so before.
    func setOwner(_ owner: ClusterMember.StatusOwner) -> Bool {
        state.withLock { state in
            defer { state.owner = owner }
            return state.owner != owner
        }
    }

    /// Called before the objects are read for a compilation.
    func beginCompiling(_ objects: ObjectCatalog) {
        state.withLock { $0.compiled = objects.objects(of: Self.receiverKinds.union(Self.hookKinds)) }
    }

    func publish(_ snapshot: CatalogSnapshot, _ objects: ObjectCatalog, cluster: String) {
        state.withLock { state in
            var versions: [RouteIdentity: Version] = [:]
            versions.reserveCapacity(state.compiled.count)
            for object in state.compiled { versions[Self.identity(object.facts, cluster)] = Version(object.facts) }
            state.compiled = []
            let kinds = state.owner == .own ? Self.hookKinds.union(Self.receiverKinds) : Self.hookKinds
            status.submit(
                objects.objects(of: kinds).map { object in
                    let identity = Self.identity(object.facts, cluster)
                    let isCompiled = versions[identity] == Version(object.facts)
                    return StatusWriter.Entry(
                        facts: object.facts, verdict: isCompiled ? snapshot.verdicts[identity] : nil)
                })
        }
    }

    /// After an event that left the object's content as it was; the catalog has it already.
    func note(_ facts: ObjectFacts, _ change: ObjectChange) {
        let needsCompilation = state.withLock { state -> Bool in
            switch facts.kind {
            case "Receiver":
                // Where another controller decides, its status is content; until that is known, all is.
                if state.owner != .own { return change == .givenStatus || state.owner == .auto }
            case "Hook": break
            // Nobody's status of ours.
            default: return false
            }
            return !status.refresh(facts)
        }
        if needsCompilation { changed() }
    }

    private static func identity(_ facts: ObjectFacts, _ cluster: String) -> RouteIdentity {
        RouteIdentity(
            cluster: cluster, kind: facts.kind == "Hook" ? .hook : .receiver, namespace: facts.namespace,
            name: facts.name)
    }
}
