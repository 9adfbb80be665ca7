// Selection: targets that are chosen for each delivery: by label, by a filter, or because they name the event's repository.

/// An entry that leads to targets.
public struct Selection: Sendable, Equatable {
    public enum Targets: Sendable, Equatable {
        /// One object.
        case named(TargetReference)
        /// All objects of a kind in a namespace that carry these labels; none given: all. The reference's name is empty.
        case labelled(TargetReference, labels: [String: String])
        /// All objects whose source is the event's repository and whose ref is the event's.
        case ofRepository(RepositorySelection)
    }

    public var targets: Targets
    /// CEL over `req` and `res`; nil passes all.
    public var filter: String?
    /// Where the entry stands, for messages: `spec.resources[2]`.
    public var place: String

    public init(_ targets: Targets, filter: String? = nil, place: String = "") {
        self.targets = targets
        self.filter = filter
        self.place = place
    }
}

/// Which objects a repository match may choose.
public struct RepositorySelection: Sendable, Equatable {
    public enum Act: String, Sendable, Equatable { case reconcile, openshiftBuild, s2iRun }

    public var act: Act
    public var cluster: String
    /// Kinds that are looked at.
    public var kinds: [String]
    /// Only these namespaces; empty: the route's own.
    public var namespaces: [String]

    public init(act: Act, cluster: String = "local", kinds: [String], namespaces: [String]) {
        self.act = act
        self.cluster = cluster
        self.kinds = kinds
        self.namespaces = namespaces
    }
}
