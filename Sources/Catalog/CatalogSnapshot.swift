// CatalogSnapshot: what the catalog knows at one moment: routes to compile, and everything that is wrong.

public import Delivery

/// A place in a manifest or settings file.
public struct SourcePlace: Hashable, Sendable, CustomStringConvertible {
    public var file: String
    /// From 1; 0 names the file as a whole.
    public var line: Int

    public init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    public var description: String { line > 0 ? "\(file):\(line)" : file }
}

/// Something that an operator should know about a manifest. Never shows a secret.
public struct CatalogProblem: Hashable, Sendable, CustomStringConvertible {
    public enum Severity: String, Sendable { case error, warning, note }

    public enum Scope: Sendable {
        /// The document or file itself is wrong: what it says was not taken over. Keeps the catalog from being ready.
        case document
        /// The document is right, but a route cannot do (all) it says: a missing Secret, a claimed path, an unsupported type.
        /// Concerns that route alone.
        case route
    }

    public var place: SourcePlace
    public var severity: Severity
    public var scope: Scope
    public var message: String

    public init(place: SourcePlace, severity: Severity, scope: Scope, message: String) {
        self.place = place
        self.severity = severity
        self.scope = scope
        self.message = message
    }

    public var file: String { place.file }
    public var line: Int { place.line }

    /// `file:line: error: message`.
    public var description: String { "\(place): \(severity.rawValue): \(message)" }
}

/// How much was read.
public struct CatalogCounts: Equatable, Sendable {
    public var files = 0
    public var documents = 0
    public var receivers = 0
    public var hooks = 0
    public var buildConfigs = 0
    public var s2iBuilders = 0
    /// kpack's objects.
    public var kpack = 0
    public var secrets = 0
    /// Flux sources and other objects that receivers act on.
    public var targets = 0
    /// Documents of kinds that mean nothing here.
    public var ignored = 0
    /// Resources whose last good version is used because the present one cannot be read.
    public var stale = 0

    public init() {}

    mutating func add(_ other: CatalogCounts) {
        files += other.files
        documents += other.documents
        receivers += other.receivers
        hooks += other.hooks
        buildConfigs += other.buildConfigs
        s2iBuilders += other.s2iBuilders
        kpack += other.kpack
        secrets += other.secrets
        targets += other.targets
        ignored += other.ignored
        stale += other.stale
    }
}

/// A receiver that has no route, and why.
public struct UnservedReceiver: Equatable, Sendable {
    public var identity: RouteIdentity
    public var place: SourcePlace
    public var reason: String

    public init(identity: RouteIdentity, place: SourcePlace, reason: String) {
        self.identity = identity
        self.place = place
        self.reason = reason
    }
}

/// Immutable; the order of everything depends on the manifests alone.
public struct CatalogSnapshot: Sendable {
    public var routes: [RouteDefinition]
    public var unserved: [UnservedReceiver]
    public var problems: [CatalogProblem]
    public var counts: CatalogCounts
    /// Where each secret of a route stands, in the order of the route's `secrets`: `key "token" of Secret/team-a/webhook`.
    public var secretPlaces: [RouteIdentity: [String]] = [:]
    /// What to say in the status of each receiver that this server judges.
    public var verdicts: [RouteIdentity: ReceiverVerdict] = [:]
    /// Shapes of paths that lead to these routes.
    public var families: [any PathFamily] = []
    /// From repositories and images to what follows them.
    public var repositories = RepositoryIndex()
    /// From images to the kpack objects that read them, by cluster.
    public var images: [String: ImageIndex] = [:]

    public init(
        routes: [RouteDefinition] = [], unserved: [UnservedReceiver] = [], problems: [CatalogProblem] = [],
        counts: CatalogCounts = CatalogCounts()
    ) {
        self.routes = routes
        self.unserved = unserved
        self.problems = problems
        self.counts = counts
    }

    /// Whether a file or document could not be taken over. Readiness of the catalog: a route's own trouble is not counted.
    public var hasProblems: Bool { problems.contains { $0.severity == .error && $0.scope == .document } }

    /// Whether there is any error at all: the exit status of `grapnel check`.
    public var hasErrors: Bool { problems.contains { $0.severity == .error } }
}
