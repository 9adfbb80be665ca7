// Selection: targets that are chosen for each delivery: by label, by a filter, or because they name the event's repository.

/// An entry that leads to targets.
public struct Selection: Sendable, Equatable {
    public enum Targets: Sendable, Equatable {
        /// One object.
        case named(TargetReference)
        /// All objects of a kind in a namespace that carry these labels; none given: all. The reference's name is empty.
        case labelled(TargetReference, labels: [String: String])
        /// All objects of these kinds in these namespaces (none given: in all) whose source is the event's repository and whose
        /// ref is the event's.
        case ofRepository(cluster: String, kinds: [String], namespaces: [String])
        /// All kpack objects in these namespaces (none given: in all, and those of the cluster) that read the event's image.
        case ofImage(cluster: String, namespaces: [String] = [])
    }

    /// What is done with each target.
    public enum Act: String, Sendable, Equatable {
        case reconcile
        case openshiftBuild = "openshift-build"
        case s2iRun = "s2i-run"
        case kpackRefresh = "kpack-refresh"
    }

    public var act: Act
    public var targets: Targets
    /// CEL over `req` and `res`; nil passes all.
    public var filter: Filter?
    /// Where the entry stands, for messages: `spec.resources[2]`.
    public var place: String

    public init(_ act: Act = .reconcile, _ targets: Targets, filter: Filter? = nil, place: String = "") {
        self.act = act
        self.targets = targets
        self.filter = filter
        self.place = place
    }
}
