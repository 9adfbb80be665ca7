// CatalogContribution: what one source gives to the catalog: resources in order, and what is wrong with them.
//
//   manifests (files)  ─┐
//                       ├─> CatalogAssembly ─> routes, families, indexes, problems, verdicts
//   objects (a cluster) ┘

import Delivery

/// What was read, not yet compiled.
public struct CatalogContribution: Sendable {
    /// The cluster that all of it is of.
    public var cluster = "local"
    /// Whether all of the source was read.
    public var isComplete = true
    /// Who decides on Receivers there; nil: as the options say.
    public var receiverStatus: CatalogOptions.ReceiverStatus?
    /// In the order in which they count: of two that claim one path or name, the first.
    var resources: [PlacedResource] = []
    /// In the order in which they are shown.
    var problems: [CatalogProblem] = []
    var counts = CatalogCounts()
    /// Secrets that exist but may not be read, and why.
    var unreadableSecrets: [SecretName: String] = [:]
    /// Paths that a rotation left behind and that are served for a while.
    public var retiredPaths: [RetiredPath] = []
    /// Receivers whose present version cannot be understood, and why.
    var refusals: [RouteIdentity: String] = [:]
    /// Where the order of problems that the compiler finds comes from: the rank of each file.
    var rank: [String: Int] = [:]

    public init() {}

    mutating func count(_ resource: ManifestResource) {
        switch resource {
        case .receiver: counts.receivers += 1
        case .hook: counts.hooks += 1
        case .secret: counts.secrets += 1
        case .source: break
        case .kpack: counts.kpack += 1
        case .buildConfig: counts.buildConfigs += 1
        case .s2iBuilder: counts.s2iBuilders += 1
        }
    }
}
