// Event: a verified delivery's decoded meaning. Made by the trigger workers, off the way to the answer.

/// What a delivery says happened. Every member may be absent: decoders are total.
public struct Event: Sendable, Equatable {
    /// The sender's event name (`push`, `Push Hook`).
    public var kind: String?
    /// `owner/name` as the sender writes it.
    public var repository: String?
    /// A clone URL of that repository (https preferred).
    public var repositoryURL: String?
    /// Full ref, e.g. `refs/heads/main`.
    public var ref: String?
    /// Commit after the event.
    public var commit: String?
    /// Every URL by which the sender names the repository.
    public var repositoryURLs: [String] = []
    /// What happened removed the ref: there is nothing to be built.
    public var isDeletion = false
    /// Every image that the delivery names; the members below are those of the first.
    public var images: [ImageEvent] = []
    /// `host/path` of an image, without tag or digest.
    public var image: String?
    public var tag: String?
    /// `sha256:` and 64 hexadecimal digits.
    public var digest: String?

    public init(
        kind: String? = nil, repository: String? = nil, repositoryURL: String? = nil, ref: String? = nil,
        commit: String? = nil
    ) {
        self.kind = kind
        self.repository = repository
        self.repositoryURL = repositoryURL
        self.ref = ref
        self.commit = commit
    }
}
