// RouteDefinition+Sibling: one receiver that several clusters have.
//
// The same manifests applied to two clusters give the same path twice: Flux computes it from token, name and namespace, and the endpoints
// of Build Service are the server's own. What comes there is for all of them, and each has a record, a plan and outcomes of its own.

extension RouteDefinition {
    /// Whether this and `other` are one receiver in two clusters: reached alike, proven alike.
    public func isSibling(of other: RouteDefinition) -> Bool {
        identity.cluster != other.identity.cluster && (identity.kind == .receiver || identity.kind == .buildService)
            && identity.kind == other.identity.kind && identity.namespace == other.identity.namespace
            && identity.name == other.identity.name && sender == other.sender && host == other.host
            && path == other.path && secrets == other.secrets
    }
}
